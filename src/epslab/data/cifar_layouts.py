"""The two layouts CIFAR-10 (Krizhevsky, 2009) comes in, binary and pickled, as folders or straight from the archives.

The MD5s of the Python layout's batches are those torchvision checks, the SHA-256s of the binary layout's those its Ruby
port checks; the authors themselves publish MD5s of the archives only.
"""

import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from epslab.data.official import OfficialFile, reading
from epslab.data.unpickling import load_arrays

Bytes = NDArray[np.uint8]
PIXELS = 3 * 32 * 32


def from_binary(content: bytes, n: int) -> tuple[Bytes, Bytes]:
    """Pixels [n 3072] and labels [n] of a binary batch: n records of one label and 3,072 pixels.

    Raises:
        ValueError: The length is another.
    """
    if len(content) != n * (1 + PIXELS):
        raise ValueError(f"has {len(content):,} bytes where {n * (1 + PIXELS):,} are expected")
    records = np.frombuffer(content, np.uint8).reshape(n, 1 + PIXELS)
    return records[:, 1:], records[:, 0]


def from_pickle(content: bytes, n: int) -> tuple[Bytes, NDArray[np.int64]]:
    """Pixels [n 3072] and labels [n] of a pickled batch, a dictionary with "data" and "labels".

    Raises:
        ValueError: It is no pickle of arrays, or they have another shape.
    """
    batch = load_arrays(content)
    if not isinstance(batch, dict):
        raise ValueError("is a pickle, but not of a dictionary with 'data' and 'labels'")
    entries: dict[Any, Any] = {key.decode("latin1") if isinstance(key, bytes) else key: batch[key] for key in batch}
    data, labels = entries.get("data"), entries.get("labels")
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.shape != (n, PIXELS):
        raise ValueError(f"has no 'data' of {n} × {PIXELS} bytes")
    if not isinstance(labels, list) or len(labels) != n or not all(type(label) is int for label in labels):
        raise ValueError(f"has no 'labels', a list of {n} integers")
    return data, np.array(labels, dtype=np.int64)


@dataclass(frozen=True)
class Layout:
    """One of the two forms the data set comes in.

    Args:
        folder: The folder's name.
        archive: The archive's name.
        files: Five training batches and the test batch.
        decode: A batch's content and its number of images, to pixels and labels.
    """

    folder: str
    archive: str
    files: tuple[OfficialFile, ...]
    decode: Callable[[bytes, int], tuple[Bytes, NDArray[Any]]]


BINARY = Layout(
    "cifar-10-batches-bin",
    "cifar-10-binary.tar.gz",
    (
        OfficialFile("data_batch_1.bin", "sha256:cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5"),
        OfficialFile("data_batch_2.bin", "sha256:a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed"),
        OfficialFile("data_batch_3.bin", "sha256:bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67"),
        OfficialFile("data_batch_4.bin", "sha256:014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48"),
        OfficialFile("data_batch_5.bin", "sha256:755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add"),
        OfficialFile("test_batch.bin", "sha256:8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b"),
    ),
    from_binary,
)
PYTHON = Layout(
    "cifar-10-batches-py",
    "cifar-10-python.tar.gz",
    (
        OfficialFile("data_batch_1", "md5:c99cafc152244af753f735de768cd75f"),
        OfficialFile("data_batch_2", "md5:d4bba439e000b95fd0a9bffe97cbabec"),
        OfficialFile("data_batch_3", "md5:54ebc095f3ab1f0389bbae665268c751"),
        OfficialFile("data_batch_4", "md5:634d18415352ddfa80567beed471001a"),
        OfficialFile("data_batch_5", "md5:482c414d41f54cd18b22e5b47cb7c3cb"),
        OfficialFile("test_batch", "md5:40351d587109b95175f43aff81a1287e"),
    ),
    from_pickle,
)


@dataclass(frozen=True)
class Place:
    """Where the set was found: a folder of batches, or an archive of one."""

    layout: Layout
    path: Path

    def path_of(self, file: OfficialFile) -> Path:
        """The file's path; inside an archive, below the archive's path."""
        return self.path / file.name if self.path.is_dir() else self.path / self.layout.folder / file.name

    @property
    def complete(self) -> bool:
        """Whether every batch exists; an archive is assumed to be complete until it is read."""
        return self.path.is_file() or all((self.path / file.name).is_file() for file in self.layout.files)

    def contents(self, wanted: tuple[OfficialFile, ...], limit: int, name: str) -> Iterator[tuple[OfficialFile, bytes]]:
        """The wanted files that are there, each with at most ``limit`` bytes of its content.

        Nothing is extracted from an archive: its regular members of exactly the wanted names are read as streams.

        Raises:
            UserError: A file or the archive cannot be read, is truncated or corrupted.
        """
        if not self.path.exists():
            return
        if self.path.is_dir():
            for file in wanted:
                path = self.path / file.name
                if path.is_file():
                    with reading(path, name), path.open("rb") as source:
                        content = source.read(limit)
                    yield file, content
            return
        members = {f"{self.layout.folder}/{file.name}": file for file in wanted}
        with reading(self.path, name), tarfile.open(self.path, "r:gz") as archive:
            for member in archive:
                stream = archive.extractfile(member) if member.isreg() and member.name in members else None
                if stream is not None:
                    yield members.pop(member.name), stream.read(limit)
                if not members:
                    break


def places(root: Path) -> list[Place]:
    """Where the set is, below ``root/cifar-10`` or ``root`` itself, the best place first: folders before archives."""
    bases = (root / "cifar-10", root)
    folders = [Place(layout, base / layout.folder) for base in bases for layout in (BINARY, PYTHON)]
    archives = [Place(layout, base / layout.archive) for base in bases for layout in (BINARY, PYTHON)]
    there = [place for place in folders if place.path.is_dir()] + [place for place in archives if place.path.is_file()]
    return sorted(there, key=lambda place: not place.complete)
