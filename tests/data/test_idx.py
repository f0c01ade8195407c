import gzip
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from epslab import data
from epslab.data import sources
from epslab.data.idx import FASHION_MNIST, MNIST
from epslab.data.official import DIFFERS
from epslab.errors import UserError


@pytest.mark.parametrize("compressed", [True, False])
def test_reads_what_was_written(release, tmp_path, compressed):
    release.place(tmp_path, compressed)
    for split, name, n in (("train", "train", 50), ("test", "t10k", 20)):
        image_set, different = release.source.load(split, tmp_path)
        images = release.content[f"{name}-images-idx3-ubyte"][16:]
        assert image_set.pixels.shape == (n, 1, 28, 28)
        assert image_set.pixels.numpy().tobytes() == images
        assert bytes(image_set.labels.tolist()) == release.content[f"{name}-labels-idx1-ubyte"][8:]
        assert different == []
    assert release.source.present(tmp_path)
    assert {status.state for status in release.source.check(tmp_path)} == {"ok"}


def test_a_decompressed_file_that_kept_its_suffix_is_read(release, tmp_path):
    folder = release.place(tmp_path)
    name = "train-images-idx3-ubyte"
    (folder / f"{name}.gz").write_bytes(release.content[name])
    assert release.source.load("train", tmp_path)[1] == []


def test_missing_files_are_named(release, tmp_path):
    with pytest.raises(UserError, match=r"epslab data fetch little.*train-images-idx3-ubyte\.gz"):
        release.source.load("train", tmp_path)
    assert {status.state for status in release.source.check(tmp_path)} == {"missing"}
    assert not release.source.present(tmp_path)


def flip(content, i=-1):
    changed = bytearray(content)
    changed[i] ^= 1
    return bytes(changed)


def test_the_right_shape_with_other_content_is_used_and_said(release, tmp_path, monkeypatch):
    folder = release.place(tmp_path, compressed=False)
    path = folder / "train-images-idx3-ubyte"
    path.write_bytes(flip(path.read_bytes()))
    monkeypatch.setitem(sources.SOURCES, "little", release.source)
    with pytest.warns(UserWarning, match=DIFFERS) as warned:
        assert len(data.load("little", "train", tmp_path)) == 50
    assert len(warned) == 1
    assert str(path) in str(warned[0].message)
    states = {status.path.name: (status.state, status.note) for status in data.check("little", tmp_path)}
    assert states.pop("train-images-idx3-ubyte") == ("differs", DIFFERS)
    assert {state for state, _ in states.values()} == {"ok"}
    data.load("little", "test", tmp_path)


def damaged(release):
    name = "train-images-idx3-ubyte"
    plain, packed = release.content[name], release.gzipped(name)
    return {
        "plain, cut": (name, plain[:-1], "truncated"),
        "plain, only a header": (name, plain[:10], "truncated"),
        "plain, too long": (name, plain + b"x", "longer"),
        "plain, empty": (name, b"", "truncated"),
        "labels' magic": (name, flip(plain, 3), "magic number is 0x00000802"),
        "wrong type": (name, flip(plain, 2), "magic number"),
        "other sizes": (name, release.idx(torch.zeros(49, 28, 28)), r"\[49, 28, 28\]"),
        "gzip, cut": (f"{name}.gz", packed[:-9], "truncated"),
        "gzip, CRC": (f"{name}.gz", flip(packed, -8), "corrupted"),
        "gzip, length": (f"{name}.gz", flip(packed, -1), "corrupted"),
        "gzip, inside": (f"{name}.gz", flip(packed, 40), "corrupted|magic|truncated|bytes"),
        "gzip, header": (f"{name}.gz", flip(packed, 2), "corrupted"),
        "a page of HTML": (f"{name}.gz", b"<html>no such file, but here is some text</html>", "magic number"),
        "a label too many": ("train-labels-idx1-ubyte", release.idx(torch.full((50,), 10)), "label 10"),
    }


DAMAGES = [
    "plain, cut",
    "plain, only a header",
    "plain, too long",
    "plain, empty",
    "labels' magic",
    "wrong type",
    "other sizes",
    "gzip, cut",
    "gzip, CRC",
    "gzip, length",
    "gzip, inside",
    "gzip, header",
    "a page of HTML",
    "a label too many",
]


@pytest.mark.parametrize("case", DAMAGES)
def test_damaged_files_are_named(release, tmp_path, case):
    name, content, says = damaged(release)[case]
    folder = release.place(tmp_path, compressed=name.endswith(".gz"))
    (folder / name).write_bytes(content)
    with pytest.raises(UserError, match=says) as error:
        release.source.load("train", tmp_path)
    assert f"'{folder / name}'" in str(error.value)
    assert "epslab data fetch little" in str(error.value)
    states = {status.path.name: status for status in release.source.check(tmp_path)}
    assert states.pop(name).state == "corrupt"
    assert {status.state for status in states.values()} == {"ok"}


def test_a_folder_in_the_files_place_is_missing(release, tmp_path):
    folder = release.place(tmp_path)
    (folder / "train-images-idx3-ubyte").mkdir()
    assert len(release.source.load("train", tmp_path)[0]) == 50


def test_official_checksums_cannot_be_typed_wrong_in_length():
    for source in (MNIST, FASHION_MNIST):
        assert all(len(checksum) == 4 + 32 for checksum in source.checksums)
        assert len(set(source.checksums)) == 4
        assert len(source.classes) == 10


def test_a_made_up_mnist_differs(release, tmp_path):
    folder = tmp_path / "mnist"
    folder.mkdir()
    for name, n in (("train", 60_000), ("t10k", 10_000)):
        (folder / f"{name}-images-idx3-ubyte").write_bytes(release.idx(torch.zeros(n, 28, 28, dtype=torch.uint8)))
        (folder / f"{name}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(release.idx(torch.arange(n) % 10), 1))
    with pytest.warns(UserWarning, match=DIFFERS):
        assert data.load("mnist", "train", tmp_path).pixels.shape == (60_000, 1, 28, 28)
    assert {status.state for status in data.check("mnist", tmp_path)} == {"differs"}


needs_mnist = pytest.mark.skipif(
    not MNIST.present(data.root()), reason=f"MNIST is not in {data.root()} (EPSLAB_DATA names another place)"
)


@needs_mnist
def test_real_mnist_is_the_official_one():
    assert [status.state for status in data.check("mnist")] == ["ok"] * 4
    train = data.load("mnist", "train")
    assert len(train) == 60_000
    assert len(data.load("mnist", "test")) == 10_000
    # Counts and mean as published with the set.
    assert torch.bincount(train.labels).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert abs(float(train.pixels.double().mean()) / 255 - 0.1307) < 5e-5


# The high-water mark of Linux belongs to the program; getrusage's would include that of the process that started it.
MEASURE = """
import re, sys
from pathlib import Path
from epslab import data
def peak(): return 1024 * int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
data.load("digits")
before = peak()
pixels = data.load("mnist", "train", sys.argv[1]).pixels
print(peak() - before - pixels.numel())
"""


@needs_mnist
@pytest.mark.processes
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the high-water mark is read from Linux's /proc")
def test_reading_mnist_takes_little_more_memory_than_the_images():
    done = subprocess.run([sys.executable, "-c", MEASURE, data.root()], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 16e6


def test_plain_files_win_over_gzipped_ones(release, tmp_path):
    folder = release.place(tmp_path)
    plain = folder / "t10k-labels-idx1-ubyte"
    plain.write_bytes(release.content[plain.name])
    assert Path(release.source.check(tmp_path)[3].path) == plain
