import dataclasses

import pytest

from epslab import data
from epslab.data import download, sources
from epslab.data.idx import _NAMES
from epslab.errors import UserError


@pytest.fixture
def little(release, mirror, monkeypatch):
    """The made-up release, served by the mirror and known as "little"."""
    mirror.files = {f"{name}.gz": release.gzipped(name) for name in _NAMES}
    release.source = dataclasses.replace(release.source, mirrors=(mirror.url,))
    monkeypatch.setitem(sources.SOURCES, "little", release.source)
    return release


IMAGES = f"{_NAMES[0]}.gz"


def requests(mirror, name=IMAGES):
    return [asked for path, asked in mirror.asked if path == name]


def assert_fetched(root, states):
    assert [status.state for status in states] == ["ok"] * 4
    assert sorted(path.name for path in (root / "little").iterdir()) == sorted(f"{name}.gz" for name in _NAMES)
    assert len(data.load("little", "train", root)) == 50


def test_fetches_once(little, mirror, tmp_path, capfd):
    root = tmp_path / "new" / "root"
    assert_fetched(root, data.fetch("little", root))
    assert len(mirror.asked) == 4
    shown = capfd.readouterr()
    assert IMAGES in shown.err
    assert shown.out == ""
    data.fetch("little", root)
    assert len(mirror.asked) == 4


@pytest.mark.parametrize("ranges", [True, False])
def test_resumes_after_a_cut(little, mirror, tmp_path, ranges):
    mirror.ranges, mirror.cuts = ranges, [3000]
    assert_fetched(tmp_path, data.fetch("little", tmp_path))
    assert requests(mirror) == [None, "bytes=3000-"]


@pytest.mark.parametrize("ranges", [True, False])
def test_resumes_in_a_later_call(little, mirror, tmp_path, ranges):
    mirror.ranges = ranges
    mirror.cuts = [1000, 0] if ranges else [1000, 500]
    with pytest.raises(UserError, match=r"cut after 1,000 of|cut after 500 of"):
        data.fetch("little", tmp_path)
    (part,) = (tmp_path / "little").iterdir()
    assert part.suffix == ".part"
    kept = part.stat().st_size
    assert_fetched(tmp_path, data.fetch("little", tmp_path))
    assert requests(mirror) == [None, "bytes=1000-", f"bytes={kept}-"]


def test_many_cuts_with_progress_are_borne(little, mirror, tmp_path):
    mirror.cuts = [1000] * 4
    assert_fetched(tmp_path, data.fetch("little", tmp_path))
    assert requests(mirror)[-1] == "bytes=4000-"


def test_a_part_that_is_already_whole_is_used(little, mirror, tmp_path):
    mirror.cuts = [1000, 0]
    with pytest.raises(UserError):
        data.fetch("little", tmp_path)
    (part,) = (tmp_path / "little").iterdir()
    part.write_bytes(mirror.files[IMAGES])
    assert_fetched(tmp_path, data.fetch("little", tmp_path))


def test_a_part_of_another_version_is_started_again(little, mirror, tmp_path):
    mirror.cuts = [1000, 0]
    with pytest.raises(UserError):
        data.fetch("little", tmp_path)
    (part,) = (tmp_path / "little").iterdir()
    part.write_bytes(b"?" * 2000)
    assert_fetched(tmp_path, data.fetch("little", tmp_path))
    assert requests(mirror)[-2:] == ["bytes=2000-", None]


def corrupted(content):
    return content[:2000] + bytes([content[2000] ^ 1]) + content[2001:]


@pytest.mark.parametrize("fault", ["missing", "corrupted", "another", "unreachable", "cut"])
def test_the_next_mirror_is_tried(little, mirror, tmp_path, monkeypatch, serving, fault):
    with serving() as bad:
        bad.files = dict(mirror.files)
        if fault == "missing":
            bad.files = {}
        elif fault == "corrupted":
            bad.files[IMAGES] = corrupted(bad.files[IMAGES])
        elif fault == "another":
            # A whole and well-formed file, but not the official one.
            other = little.content[_NAMES[0]]
            bad.files[IMAGES] = other[:-1] + bytes([other[-1] ^ 1])
        elif fault == "cut":
            bad.cuts = [0] * 9
        url = "http://127.0.0.1:9/" if fault == "unreachable" else bad.url
        source = dataclasses.replace(little.source, mirrors=(url, mirror.url))
        monkeypatch.setitem(sources.SOURCES, "little", source)
        assert_fetched(tmp_path, data.fetch("little", tmp_path))
    assert requests(mirror) == [None]


def test_corrupted_bytes_never_become_a_file(little, mirror, tmp_path):
    mirror.files[IMAGES] = corrupted(mirror.files[IMAGES])
    with pytest.raises(UserError, match="not the official file"):
        data.fetch("little", tmp_path)
    assert list((tmp_path / "little").iterdir()) == []


def test_offline_one_sentence_says_what_to_put_where(little, mirror, tmp_path, monkeypatch):
    source = dataclasses.replace(little.source, mirrors=("http://127.0.0.1:9/a/", "http://127.0.0.1:9/b/"))
    monkeypatch.setitem(sources.SOURCES, "little", source)
    with pytest.raises(UserError) as error:
        data.fetch("little", tmp_path)
    sentence = str(error.value)
    assert all(f"{name}.gz" in sentence for name in _NAMES)
    assert str(tmp_path / "little") in sentence
    assert "refused" in sentence
    assert "/a/" in sentence
    assert "/b/" in sentence
    assert "\n" not in sentence


def test_files_placed_by_hand_stay_and_corrupt_ones_are_replaced(little, mirror, tmp_path):
    folder = little.place(tmp_path, compressed=False)
    by_hand = folder / _NAMES[2]
    by_hand.write_bytes(by_hand.read_bytes()[:-1] + b"?")
    (folder / _NAMES[0]).write_bytes(b"broken")
    assert [status.state for status in data.fetch("little", tmp_path)] == ["ok", "ok", "differs", "ok"]
    assert [name for name, _ in mirror.asked] == [IMAGES]
    assert by_hand.read_bytes().endswith(b"?")


def test_too_little_disk_is_said_before_anything_is_sent(little, mirror, tmp_path, monkeypatch):
    source = dataclasses.replace(little.source, disk=10**18)
    monkeypatch.setitem(sources.SOURCES, "little", source)
    with pytest.raises(UserError, match="Not enough disk: downloading little"):
        data.fetch("little", tmp_path)
    assert mirror.asked == []
    assert list(tmp_path.iterdir()) == []


def test_a_root_that_cannot_be_a_folder_is_refused(little, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be made"):
        data.fetch("little", tmp_path / "file")


def test_a_full_disk_while_installing_is_said(mirror, tmp_path):
    mirror.files = {"x": b"content"}

    def install(part):
        raise OSError(28, "No space left on device")

    with pytest.raises(UserError, match="No space left on device"):
        download.download([mirror.url + "x"], tmp_path / "x", install, "put it there")
    assert not (tmp_path / "x").exists()
