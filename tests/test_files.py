import os
import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from epslab.errors import UserError
from epslab.files import PAGE, PICTURE, check_folder, check_output, require_space, write_atomic


def test_text_and_bytes_are_written_and_nothing_else_is_left(tmp_path: Path) -> None:
    write_atomic(tmp_path / "a.txt", "σ = ½")
    write_atomic(tmp_path / "b.bin", b"\x00\xff")
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "σ = ½"
    assert (tmp_path / "b.bin").read_bytes() == b"\x00\xff"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt", "b.bin"]


def test_old_content_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    write_atomic(path, "a much longer text than what follows")
    write_atomic(path, "short")
    assert path.read_text() == "short"


@pytest.mark.parametrize("moment", ["fsync", "replace"])
def test_an_interruption_leaves_the_old_content_and_no_temporary_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    path = tmp_path / "result.json"
    write_atomic(path, "old")

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    if moment == "fsync":
        monkeypatch.setattr(os, "fsync", interrupt)
    else:
        monkeypatch.setattr(Path, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomic(path, "new")
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["result.json"]


def test_the_data_reaches_the_disk_before_the_name_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order = []
    fsync, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (order.append("fsync"), fsync(handle)))
    monkeypatch.setattr(Path, "replace", lambda *paths: (order.append("replace"), replace(*paths))[1])
    write_atomic(tmp_path / "a", b"content")
    assert order == ["fsync", "replace"]


def test_permissions_are_those_of_any_new_file(tmp_path: Path) -> None:
    write_atomic(tmp_path / "atomic", b"")
    (tmp_path / "plain").write_bytes(b"")
    assert (tmp_path / "atomic").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_full_disk_is_told_with_purpose_and_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9 - 3 * 10**6, 3 * 10**6))
    require_space(tmp_path, 3 * 10**6, "mnist")
    with pytest.raises(UserError, match=r"mnist needs 4 MB in .*, which has 3 MB free"):
        require_space(tmp_path / "not" / "there" / "yet", 4 * 10**6, "mnist")


def test_a_file_to_write_is_checked_and_not_made(tmp_path: Path) -> None:
    assert check_output(str(tmp_path / "new" / "page.HTML"), PAGE) == tmp_path / "new" / "page.HTML"
    assert check_folder(tmp_path / "new" / "runs") == tmp_path / "new" / "runs"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("page.txt", "'page.txt' does not end in .png; give `out=` a name that does, e.g. 'page.png'."),
        ("page", "does not end in .png"),
        (".", "is a folder"),
        ("", "is a folder"),
        ("file/picture.png", "'file/picture.png': '.*file' is not a folder that can be written"),
        ("a" * 300 + ".png", "The name 'aaaaaaaaaaaaaaaaaaaa…' has 304 letters"),
        ("ü" * 130 + "/x.png", "has 130 letters, more than a disk takes"),
    ],
)
def test_a_file_that_cannot_be_written_or_has_another_suffix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("")
    with pytest.raises(UserError, match=sentence):
        check_output(path, PICTURE)


@pytest.mark.parametrize("mark", ["config.yaml", "result.json", "robustness.json", "results", "found"])
@pytest.mark.parametrize("name", ["model.safetensors", "Config.yaml", "figures/a.png", "checkpoints/b/c.png"])
def test_a_folders_own_files_are_never_written_over(tmp_path: Path, mark: str, name: str) -> None:
    suffixes = (".png", ".safetensors", ".yaml")
    assert check_output(tmp_path / name, suffixes)
    (tmp_path / mark).mkdir() if "." not in mark else (tmp_path / mark).write_text("")
    (tmp_path / "link").symlink_to(tmp_path)
    for way in (tmp_path, tmp_path / "link", tmp_path / "figures" / ".."):
        with pytest.raises(UserError, match=r"among the files that .* keeps for itself; choose another `out=`"):
            check_output(way / name, suffixes)
    assert check_output(tmp_path / "mine.png", suffixes)


@pytest.mark.parametrize(
    ("path", "sentence"),
    [("file", "is a file"), ("file/run", "'file/run': '.*file' is not a folder"), ("a" * 300, "has 300 letters")],
)
def test_a_folder_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("")
    with pytest.raises(UserError, match=sentence):
        check_folder(path)


def test_the_longest_name_a_disk_takes_is_written(tmp_path: Path) -> None:
    path = tmp_path / ("ü" * 125 + ".html")  # 255 bytes
    write_atomic(check_output(path, PAGE), "page")
    assert path.read_text() == "page"
