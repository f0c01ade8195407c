"""Data sets by name: load, fetch and check them."""

import os
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import platformdirs

from epslab.data.cifar import CIFAR10, Cifar10
from epslab.data.digits import DIGITS, Digits
from epslab.data.examples import Examples
from epslab.data.folders import load_folder
from epslab.data.idx import FASHION_MNIST, MNIST, IdxSource
from epslab.data.imageset import ImageSet
from epslab.data.official import DIFFERS, FileStatus
from epslab.data.plane import GRID, RING, SWISS_ROLL, TWO_MOONS, Plane
from epslab.data.pointset import PointSet
from epslab.data.shapes import SHAPES, Shapes
from epslab.errors import UserError, unknown
from epslab.names import Names

Source = Digits | IdxSource | Cifar10 | Plane | Shapes
SOURCES: dict[str, Source] = {
    source.name: source for source in (DIGITS, MNIST, FASHION_MNIST, CIFAR10, SHAPES, RING, GRID, TWO_MOONS, SWISS_ROLL)
}
NAMES: tuple[str, ...] = tuple(SOURCES)
"""The data sets that epslab knows by name; the path of a folder of images is accepted too."""
DRAWN: tuple[str, ...] = tuple(name for name, source in SOURCES.items() if isinstance(source, Plane | Shapes))
"""Those of them that are drawn when they are loaded, from a fixed seed, and have no files."""
OUTSIDE = Names("epslab.data", {}, "data set")
"""Data sets from outside, by the name an installed package gives them or as ``package.module:name``: functions of the
split ("train" or "test") that return an ``ImageSet`` or a ``PointSet``."""


def root(root: str | Path | None = None) -> Path:
    """The folder that holds all data sets: the argument, else ``EPSLAB_DATA``, else the platform's cache folder."""
    chosen = root or os.environ.get("EPSLAB_DATA")
    return Path(chosen).expanduser() if chosen else platformdirs.user_cache_path("epslab")


_root = root  # functions have an argument of this name


@dataclass(frozen=True)
class Overview:
    """One data set in a list.

    Args:
        name: What to type.
        train: Training examples.
        test: Test examples.
        shape: Of one example: (channels, height, width), or (coordinates,) for points.
        classes: Number of classes, or of known modes of the points' law.
        disk: Bytes on disk once fetched; 0: there is nothing to fetch.
        origin: Where the data come from if nothing needs fetching; else empty.
        present: Whether its files exist; ``check`` also compares their content.
    """

    name: str
    train: int
    test: int
    shape: tuple[int, ...]
    classes: int
    disk: int
    origin: str
    present: bool


def load(name: str | Path, split: str = "train", root: str | Path | None = None) -> ImageSet:
    """A split of a data set of images, as one uint8 tensor.

    Take validation images from the training split, never from the test split. Every file is compared with the official
    checksum of its uncompressed content.

    >>> from epslab.data import load
    >>> train, validation = load("digits").split([1200, 237], seed=0)
    >>> len(load("digits", "test")), train.image_shape
    (360, (1, 8, 8))

    Args:
        name: One of ``NAMES``, the path of a folder of images by class (see ``epslab.data.folders``), or a data set
            from outside (see ``OUTSIDE``).
        split: ``"train"`` or ``"test"``.
        root: The folder of all data sets (see ``root``).

    Raises:
        UserError: An unknown name or split, files that are missing, truncated or corrupted, or a set of points.

    Warns:
        UserWarning: Files of the right shape whose checksum differs from the official release; they are used.
    """
    examples = load_examples(name, split, root)
    if not isinstance(examples, ImageSet):
        raise UserError(f"The data set '{name}' holds no images; load it by epslab.data.load_examples.")
    return examples


def load_examples(name: str | Path, split: str = "train", root: str | Path | None = None) -> Examples:
    """A split of any data set that ``fit`` can train on; arguments as for ``load``.

    Raises:
        UserError: An unknown name or split, files that cannot be used, or a function from outside that returns no data
            set.
    """
    if split not in ("train", "test"):
        raise unknown("split", split, ("train", "test"))
    if str(name) in SOURCES:
        examples, different = SOURCES[str(name)].load(split, _root(root))
        if different:
            listed = ", ".join(f"'{path}'" for path in different)
            warnings.warn(f"{name}: {DIFFERS} ({listed}).", UserWarning, stacklevel=3)
        return replace(examples, name=str(name))
    if str(name) not in OUTSIDE:
        if Path(name).expanduser().is_dir():
            return replace(load_folder(Path(name).expanduser(), split), name=str(name))
        raise _unknown(name)
    examples = OUTSIDE[str(name)](split)
    if not isinstance(examples, Examples):
        raise UserError(
            f"The data set '{name}' gave {type(examples).__name__} for '{split}'; its function must return an ImageSet"
            " or a PointSet."
        )
    return replace(examples, name=str(name)) if isinstance(examples, ImageSet | PointSet) else examples


def fetch(name: str, root: str | Path | None = None) -> list[FileStatus]:
    """Download a data set's missing files, and return the state of all.

    Files that can be used are kept; corrupt ones are replaced. ``digits`` and the sets that are drawn by code need no
    download.

    Raises:
        UserError: An unknown name, too little disk, or no mirror reached: the sentence says which files to put where.
    """
    source, folder = _source(name), _root(root)
    source.fetch(folder)
    return source.check(folder)


def check(name: str, root: str | Path | None = None) -> list[FileStatus]:
    """The state of each file of a data set: the content is read and compared with the official checksum."""
    return _source(name).check(_root(root))


def overview(root: str | Path | None = None) -> list[Overview]:
    """All named data sets, and whether their files exist; contents are not read."""
    folder = _root(root)
    return [
        Overview(s.name, *s.lengths, s.shape, len(s.classes), s.disk, s.origin, s.present(folder))
        for s in SOURCES.values()
    ]


def _source(name: str | Path) -> Source:
    if str(name) in OUTSIDE:
        raise UserError(f"'{name}' is a data set from outside epslab, whose files it cannot check or fetch; load it.")
    if str(name) not in SOURCES:
        raise _unknown(name)
    return SOURCES[str(name)]


def _unknown(name: str | Path) -> UserError:
    sentence = unknown("data set", str(name), (*NAMES, *OUTSIDE))
    return UserError(
        f"{sentence} The path of an existing folder of images, FOLDER/CLASS/*.png, and package.module:name are"
        " accepted too."
    )
