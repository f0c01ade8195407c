"""Data sets by name: what there is, whether it is there and whole, and how to get it."""

import warnings
from dataclasses import dataclass
from pathlib import Path

from epslab.data.cifar import CIFAR10
from epslab.data.digits import DIGITS
from epslab.data.folders import load_folder
from epslab.data.idx import FASHION_MNIST, MNIST
from epslab.data.imageset import ImageSet
from epslab.data.location import root as data_root
from epslab.data.official import DIFFERS, FileStatus, Source
from epslab.errors import UserError, unknown
from epslab.types import ImageShape

SOURCES: dict[str, Source] = {source.name: source for source in (DIGITS, MNIST, FASHION_MNIST, CIFAR10)}
NAMES: tuple[str, ...] = tuple(SOURCES)
"""The data sets that have a name; a path to a folder of images is one too."""


@dataclass(frozen=True)
class Overview:
    """One data set in a list.

    Args:
        name: What to type.
        train: Training images.
        test: Test images.
        image_shape: Channels, height, width.
        classes: How many classes.
        disk: Bytes on disk once fetched (0: comes with scikit-learn).
        present: Whether its files are there; ``check`` tells whether they are whole.
    """

    name: str
    train: int
    test: int
    image_shape: ImageShape
    classes: int
    disk: int
    present: bool


def load(name: str | Path, split: str = "train", root: str | Path | None = None) -> ImageSet:
    """A split of a data set, as one uint8 tensor.

    Validation images come out of the training split, ``load(name, "train").split(…)``; the test split is never touched.
    Every file read is compared with the official checksum of its uncompressed content.

    Args:
        name: One of ``NAMES``, or the path of a folder of images by class (see ``epslab.data.folders``).
        split: ``"train"`` or ``"test"``.
        root: The folder of all data sets (see ``root``).

    Raises:
        UserError: An unknown name or split, files that are missing, truncated or corrupted.

    Warns:
        UserWarning: Files of the right shape whose checksum differs from the official release; they are used.
    """
    if split not in ("train", "test"):
        raise unknown("split", split, ("train", "test"))
    if str(name) not in SOURCES and Path(name).expanduser().is_dir():
        return load_folder(Path(name).expanduser(), split)
    image_set, different = _source(name).load(split, data_root(root))
    if different:
        listed = ", ".join(f"'{path}'" for path in different)
        warnings.warn(f"{name}: {DIFFERS} ({listed}).", UserWarning, stacklevel=2)
    return image_set


def fetch(name: str, root: str | Path | None = None) -> list[FileStatus]:
    """Download a data set's files unless they are there, and return their states.

    Files placed by hand are kept as long as they can be used; corrupt ones are replaced. ``digits`` needs no download.

    Raises:
        UserError: An unknown name, too little disk, or no mirror reached: the sentence says which files to put where.
    """
    source, folder = _source(name), data_root(root)
    source.fetch(folder)
    return source.check(folder)


def check(name: str, root: str | Path | None = None) -> list[FileStatus]:
    """The state of each of a data set's files, all content read and compared with the official checksums."""
    return _source(name).check(data_root(root))


def overview(root: str | Path | None = None) -> list[Overview]:
    """All named data sets, and which of them are there; contents are not read."""
    folder = data_root(root)
    return [
        Overview(s.name, *s.lengths, s.image_shape, len(s.classes), s.disk, s.present(folder)) for s in SOURCES.values()
    ]


def _source(name: str | Path) -> Source:
    if str(name) not in SOURCES:
        sentence = unknown("data set", str(name), NAMES)
        raise UserError(f"{sentence} The path of an existing folder of images, FOLDER/CLASS/*.png, is accepted too.")
    return SOURCES[str(name)]
