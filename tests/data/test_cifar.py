import dataclasses
import hashlib
import io
import pickle
import tarfile
from typing import ClassVar

import numpy as np
import pytest

from epslab import data
from epslab.data import cifar, cifar_layouts
from epslab.data.cifar import Cifar10
from epslab.data.cifar_layouts import BINARY, PYTHON
from epslab.data.official import DIFFERS, OfficialFile
from epslab.data.unpickling import load_arrays
from epslab.errors import UserError

N = 7


class Python2Pickler(pickle._Pickler):
    """Writes bytes as Python 2 wrote its strings."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)

    def save_bytes(self, obj):
        self.write(pickle.BINSTRING + len(obj).to_bytes(4, "little") + obj)
        self.memoize(obj)

    dispatch[bytes] = save_bytes


def python_2_pickle(batch):
    buffer = io.BytesIO()
    Python2Pickler(buffer, protocol=2).dump(batch)
    # The name numpy had when CIFAR-10 was pickled.
    return buffer.getvalue().replace(b"numpy._core.multiarray", b"numpy.core.multiarray")


@pytest.fixture(scope="module")
def batches():
    """Six batches of N images: pixels [N 3072] and labels [N]."""
    rng = np.random.default_rng(0)
    return [(rng.integers(256, size=(N, 3072), dtype=np.uint8), rng.integers(10, size=N)) for _ in range(6)]


def contents(batches, layout):
    """The six files of a layout."""
    if layout.folder == BINARY.folder:
        return [np.concatenate([y[:, None].astype(np.uint8), x], 1).tobytes() for x, y in batches]
    return [python_2_pickle({b"batch_label": b"a batch", b"data": x, b"labels": y.tolist()}) for x, y in batches]


@pytest.fixture
def source(batches, monkeypatch):
    """A CIFAR-10 of N images a batch, whose official checksums are those of ``contents``."""
    layouts = []
    for layout in (BINARY, PYTHON):
        files = tuple(
            OfficialFile(file.name, f"sha256:{hashlib.sha256(content).hexdigest()}")
            for file, content in zip(layout.files, contents(batches, layout), strict=True)
        )
        layouts.append(dataclasses.replace(layout, files=files))
    monkeypatch.setattr(cifar_layouts, "BINARY", layouts[0])
    monkeypatch.setattr(cifar_layouts, "PYTHON", layouts[1])
    monkeypatch.setattr(cifar, "BINARY", layouts[0])
    small = Cifar10(per_batch=N, mirrors=())
    monkeypatch.setitem(data.sources.SOURCES, "cifar10", small)
    return small


def place(base, batches, layout):
    folder = base / layout.folder
    folder.mkdir(parents=True)
    for file, content in zip(layout.files, contents(batches, layout), strict=True):
        (folder / file.name).write_bytes(content)
    return folder


def archive(base, batches, layout, change=None):
    base.mkdir(parents=True, exist_ok=True)
    path = base / layout.archive
    with tarfile.open(path, "w:gz") as tar:
        for file, content in zip(layout.files, contents(batches, layout), strict=True):
            member = tarfile.TarInfo(f"{layout.folder}/{file.name}")
            member.size = len(content)
            for one, body in change(member, content) if change else [(member, content)]:
                tar.addfile(one, io.BytesIO(body))
    return path


def assert_whole(root, batches):
    train, test = data.load("cifar10", "train", root), data.load("cifar10", "test", root)
    assert train.pixels.shape == (5 * N, 3, 32, 32)
    assert test.pixels.shape == (N, 3, 32, 32)
    assert np.array_equal(train.pixels.flatten(1).numpy(), np.concatenate([x for x, _ in batches[:5]]))
    assert train.labels.tolist() == np.concatenate([y for _, y in batches[:5]]).tolist()
    assert np.array_equal(test.pixels.flatten(1).numpy(), batches[5][0])
    assert test.labels.tolist() == batches[5][1].tolist()
    assert [status.state for status in data.check("cifar10", root)] == ["ok"] * 6


@pytest.mark.parametrize("below", ["cifar-10", "."])
@pytest.mark.parametrize("layout", [BINARY, PYTHON], ids=["binary", "python"])
@pytest.mark.parametrize("put", [place, archive])
def test_reads_both_layouts_from_folders_and_archives(source, tmp_path, batches, layout, below, put):
    assert not source.present(tmp_path)
    put(tmp_path / below, batches, layout)
    assert source.present(tmp_path)
    assert_whole(tmp_path, batches)


def test_a_complete_place_is_preferred(source, tmp_path, batches):
    (place(tmp_path / "cifar-10", batches, BINARY) / "test_batch.bin").unlink()
    place(tmp_path, batches, PYTHON)
    assert_whole(tmp_path, batches)


def test_missing_batches_are_named(source, tmp_path, batches):
    with pytest.raises(UserError, match=r"put cifar-10-binary\.tar\.gz, or a folder cifar-10-batches-bin there"):
        data.load("cifar10", "train", tmp_path)
    assert [status.state for status in data.check("cifar10", tmp_path)] == ["missing"] * 6
    (place(tmp_path, batches, BINARY) / "data_batch_3.bin").unlink()
    with pytest.raises(UserError, match=r"data_batch_3\.bin"):
        data.load("cifar10", "train", tmp_path)
    assert [status.state for status in data.check("cifar10", tmp_path)] == ["ok"] * 2 + ["missing"] + ["ok"] * 3


def test_other_content_of_the_right_shape_is_used_and_said(source, tmp_path, batches):
    changed = [(x ^ 1, y) for x, y in batches]
    folder = place(tmp_path, changed, BINARY)
    with pytest.warns(UserWarning, match=DIFFERS) as warned:
        train = data.load("cifar10", "train", tmp_path)
    assert len(warned) == 1
    assert np.array_equal(train.pixels[:N].flatten(1).numpy(), changed[0][0])
    states = data.check("cifar10", tmp_path)
    assert [(status.state, status.note) for status in states] == [("differs", DIFFERS)] * 6
    assert states[0].path == folder / "data_batch_1.bin"


def corrupt(content, case):
    return {
        "short": content[:-1],
        "long": content + b"x",
        "empty": b"",
        "label": bytes([10]) + content[1:],
    }[case]


@pytest.mark.parametrize(
    ("case", "says"), [("short", "21,510 bytes"), ("long", "21,512"), ("empty", "0 bytes"), ("label", "label outside")]
)
def test_damaged_binary_batches_are_named(source, tmp_path, batches, case, says):
    folder = place(tmp_path, batches, BINARY)
    path = folder / "data_batch_2.bin"
    path.write_bytes(corrupt(path.read_bytes(), case))
    with pytest.raises(UserError, match=says) as error:
        data.load("cifar10", "train", tmp_path)
    assert f"'{path}'" in str(error.value)
    assert [status.state for status in data.check("cifar10", tmp_path)] == ["ok", "corrupt"] + ["ok"] * 4
    assert len(data.load("cifar10", "test", tmp_path)) == N


class Malicious:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("protocol", range(6))
def test_a_malicious_pickle_is_refused_and_not_run(source, tmp_path, batches, protocol):
    folder = place(tmp_path, batches, PYTHON)
    trace = tmp_path / "trace"
    x, y = batches[0]
    content = pickle.dumps({"data": x, "labels": y.tolist(), "extra": Malicious(trace)}, protocol)
    (folder / "data_batch_1").write_bytes(content)
    with pytest.raises(UserError, match=r"(wants to run|no readable pickle)") as error:
        data.load("cifar10", "train", tmp_path)
    assert str(folder / "data_batch_1") in str(error.value)
    assert not trace.exists()
    assert data.check("cifar10", tmp_path)[0].state == "corrupt"
    assert not trace.exists()
    # The same pickle does its harm elsewhere: the refusal is the unpickler's doing.
    pickle.loads(content)["extra"].close()
    assert trace.exists()


@pytest.mark.parametrize(
    "name",
    [b"os\nsystem", b"builtins\neval", b"numpy\nload", b"numpy\nndarray.tofile", b"numpy.core.multiarray\nfromfile"],
)
def test_only_the_three_names_of_an_array_are_known(name):
    with pytest.raises(ValueError, match="only arrays are allowed"):
        load_arrays(b"\x80\x04c" + name + b"\n.")


@pytest.mark.parametrize(
    ("batch", "says"),
    [
        ([1, 2], "not of a dictionary"),
        ({b"labels": [0] * N}, "no 'data'"),
        ({b"data": np.zeros((N, 3072)), b"labels": [0] * N}, "no 'data'"),
        ({b"data": np.zeros((N - 1, 3072), np.uint8), b"labels": [0] * N}, "no 'data'"),
        ({b"data": np.zeros((N, 3072), np.uint8), b"labels": [0] * (N - 1)}, "no 'labels'"),
        ({b"data": np.zeros((N, 3072), np.uint8), b"labels": [0.5] * N}, "no 'labels'"),
        ({b"data": np.zeros((N, 3072), np.uint8), b"labels": [10] * N}, "label outside"),
        ({b"data": np.zeros((N, 3072), np.uint8), b"labels": [-1] * N}, "label outside"),
    ],
)
def test_pickles_of_another_shape_are_named(source, tmp_path, batches, batch, says):
    folder = place(tmp_path, batches, PYTHON)
    (folder / "test_batch").write_bytes(python_2_pickle(batch))
    with pytest.raises(UserError, match=says):
        data.load("cifar10", "test", tmp_path)


@pytest.mark.parametrize("length", [0, 10, 500, -1])
def test_a_cut_pickle_is_named(source, tmp_path, batches, length):
    path = place(tmp_path, batches, PYTHON) / "test_batch"
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(UserError, match="no readable pickle"):
        data.load("cifar10", "test", tmp_path)


@pytest.mark.parametrize("keep", [0.0, 0.5, 0.999])
def test_a_cut_archive_is_named(source, tmp_path, batches, keep):
    path = archive(tmp_path, batches, BINARY)
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content)) - 8 * (keep > 0.9)])
    states = {status.state for status in data.check("cifar10", tmp_path)}
    with pytest.raises(UserError, match=r"truncated|corrupted|cannot be read|fetch"):
        data.load("cifar10", "train" if keep < 0.9 else "test", tmp_path)
    assert "corrupt" in states


def test_archive_members_that_are_not_files_are_not_followed(source, tmp_path, batches):
    secret = tmp_path / "secret"
    secret.write_bytes(contents(batches, BINARY)[0])

    def link(member, content):
        if member.name.endswith("data_batch_1.bin"):
            member.type, member.linkname, member.size = tarfile.SYMTYPE, str(secret), 0
            return [(member, b"")]
        return [(member, content)]

    archive(tmp_path, batches, BINARY, link)
    with pytest.raises(UserError, match="data_batch_1"):
        data.load("cifar10", "train", tmp_path)


def test_an_archive_writes_nothing(source, tmp_path, batches):
    def add(member, content):
        outside = tarfile.TarInfo("../outside.bin")
        outside.size = 1
        return [(outside, b"x"), (member, content)]

    archive(tmp_path / "data", batches, BINARY, add)
    assert_whole(tmp_path / "data", batches)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["cifar-10-binary.tar.gz", "data"]


def test_official_checksums_cannot_be_typed_wrong_in_length():
    lengths = {"sha256": 64, "md5": 32}
    for layout in (BINARY, PYTHON):
        kinds = [file.checksum.split(":") for file in layout.files]
        assert all(len(digits) == lengths[kind] for kind, digits in kinds)
        assert len({digits for _, digits in kinds}) == 6


@pytest.fixture
def served(source, mirror, tmp_path, batches, monkeypatch):
    """The small CIFAR-10 with a mirror of its archive."""
    path = archive(tmp_path / "served", batches, BINARY)
    mirror.files = {path.name: path.read_bytes()}
    served = dataclasses.replace(source, mirrors=(mirror.url + path.name,))
    monkeypatch.setitem(data.sources.SOURCES, "cifar10", served)
    return mirror


def test_fetch_unpacks_the_archive(served, tmp_path, batches):
    root = tmp_path / "root"
    served.cuts = [10_000]
    assert [status.state for status in data.fetch("cifar10", root)] == ["ok"] * 6
    assert_whole(root, batches)
    names = {path.name for path in root.rglob("*") if path.is_file()}
    assert names == {file.name for file in BINARY.files}
    data.fetch("cifar10", root)
    assert len(served.asked) == 2


def test_fetch_mends_what_is_corrupt(served, tmp_path, batches):
    path = place(tmp_path / "root" / "cifar-10", batches, BINARY) / "data_batch_4.bin"
    path.write_bytes(b"broken")
    data.fetch("cifar10", tmp_path / "root")
    assert_whole(tmp_path / "root", batches)


@pytest.mark.parametrize("other", ["content", "fewer", "no archive"])
def test_an_archive_of_something_else_is_not_unpacked(served, tmp_path, batches, other):
    (name,) = served.files
    if other == "no archive":
        served.files[name] = b"<html>hello</html>"
    else:
        keep = (
            None if other == "content" else lambda member, content: [] if "test" in member.name else [(member, content)]
        )
        changed = [(x ^ 1, y) for x, y in batches] if other == "content" else batches
        served.files[name] = archive(tmp_path / "other", changed, BINARY, keep).read_bytes()
    with pytest.raises(UserError, match=r"not the official file.*put cifar-10-binary\.tar\.gz into"):
        data.fetch("cifar10", tmp_path / "root")
    assert not data.overview(tmp_path / "root")[3].present
    assert not list((tmp_path / "root").rglob("*.part"))
