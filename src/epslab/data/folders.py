"""A folder of images as a data set: one subfolder per class, optionally below ``train/`` and ``test/``."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError

from epslab import seeds
from epslab.data.imageset import ImageSet, stratified
from epslab.errors import UserError

_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".pgm", ".ppm"})
_GREY = frozenset({"1", "L", "LA"})
_COLOUR = frozenset({"P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV", "LAB"})


@dataclass(frozen=True)
class _Found:
    """An image file and its class."""

    path: Path
    label: int


def load_folder(folder: Path, split: str) -> ImageSet:
    """Images by class, ``FOLDER/CLASS/*.png`` (or jpg, bmp, gif, webp, tif, pgm, ppm), as one image set.

    Classes are the subfolders' names in alphabetical order. With ``train/`` and ``test/`` folders of classes, those are
    the splits; otherwise a fifth of the images, stratified and always the same for the same files, is the test set.
    Images are grey if all of them (of both splits) are, else RGB; an alpha channel is dropped.

    Raises:
        UserError: No classes or images, images of several sizes, a file that is no image of 8 bits per channel, or a
            ``train/`` without its ``test/``.
    """
    train, test, classes = _splits(folder)
    found = train if split == "train" else test
    if not found:
        raise UserError(f"The {split} split of '{folder}' has no images; give each class more images, or a {split}/.")
    mode = _common_mode([*train, *test])
    with _opened(found[0].path) as first:
        w, h = first.size
    pixels = torch.empty((len(found), 3 if mode == "RGB" else 1, h, w), dtype=torch.uint8)
    for i, entry in enumerate(found):
        pixels[i] = _decode(entry.path, mode)
    return ImageSet(pixels, torch.tensor([entry.label for entry in found]), classes)


def _splits(folder: Path) -> tuple[list[_Found], list[_Found], tuple[str, ...]]:
    """The files of both splits, and the classes."""
    halves = [half for half in ("train", "test") if _holds_classes(folder / half)]
    if len(halves) == 2:
        classes = tuple(sorted({path.name for half in halves for path in _subfolders(folder / half)}))
        return _files(folder / "train", classes), _files(folder / "test", classes), classes
    if halves and not any(_image_files(path) for path in _subfolders(folder)):
        raise UserError(
            f"'{folder}' has a {halves[0]}/ but not both train/ and test/: give both, or put the class folders"
            f" directly into '{folder}'."
        )
    classes = tuple(path.name for path in _subfolders(folder) if _image_files(path))
    found = _files(folder, classes)
    if not found:
        raise UserError(
            f"'{folder}' holds no images by class: expected FOLDER/CLASS/*.png (or jpg, …), one subfolder a class."
        )
    labels = torch.tensor([entry.label for entry in found])
    kept, held_out = stratified(labels, round(len(found) / 5), seeds.generator(0, "data", "folder"))
    return [found[i] for i in kept.tolist()], [found[i] for i in held_out.tolist()], classes


def _subfolders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _image_files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES and path.name[0] != ".")


def _holds_classes(folder: Path) -> bool:
    """Whether it is a split (folders of images) rather than a class called "train"."""
    return folder.is_dir() and not _image_files(folder) and any(_image_files(path) for path in _subfolders(folder))


def _files(folder: Path, classes: tuple[str, ...]) -> list[_Found]:
    return [_Found(path, label) for label, name in enumerate(classes) for path in _image_files(folder / name)]


def _common_mode(found: list[_Found]) -> str:
    """Mode "L" if every image is grey, else "RGB"; all sizes must agree. Reads headers only."""
    mode, sizes = "L", dict[tuple[int, int], Path]()
    for entry in found:
        with _opened(entry.path) as image:
            if image.mode not in _GREY | _COLOUR:
                raise UserError(
                    f"'{entry.path}' has pixels of type '{image.mode}'; save it with 8 bits a channel, grey or RGB."
                )
            if image.mode in _COLOUR:
                mode = "RGB"
            sizes.setdefault(image.size, entry.path)
        if len(sizes) > 1:
            (size_1, path_1), (size_2, path_2) = sizes.items()
            raise UserError(
                f"Images differ in size: '{path_1}' is {size_1[0]}×{size_1[1]}, '{path_2}' is {size_2[0]}×{size_2[1]};"
                " resize all to one size first."
            )
    return mode


def _opened(path: Path) -> Image.Image:
    try:
        return Image.open(path)
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise _unreadable(path) from error


def _decode(path: Path, mode: str) -> torch.Tensor:
    """[c h w], uint8."""
    try:
        with _opened(path) as image:
            values = np.array(image.convert(mode))
    except (OSError, SyntaxError, ValueError) as error:
        if isinstance(error, UserError):
            raise
        raise _unreadable(path) from error
    return torch.from_numpy(values).reshape(*values.shape[:2], -1).permute(2, 0, 1)


def _unreadable(path: Path) -> UserError:
    return UserError(f"'{path}' is no readable image (truncated or corrupted): mend or remove it.")
