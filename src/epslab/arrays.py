"""Images and labels as users have them, numpy arrays and lists too, as tensors; what is wrong with them is said."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from epslab.errors import UserError

ImagesLike = Tensor | npt.NDArray[Any]
"""Images [n c h w] in [0, 1]."""
LabelsLike = Tensor | npt.NDArray[Any] | Sequence[int]
"""Class indices [n]."""
_BYTE = 255


# Plain annotations: these functions check what they are given themselves, with a sentence.
def as_images(images: object) -> Tensor:
    """Images [n c h w] as a tensor: a tensor itself, a numpy array as a copy in torch's default floating type.

    >>> as_images(np.zeros((5, 1, 8, 8))).dtype
    torch.float32

    Raises:
        UserError: They are neither, or an array of the form [n h w c].
    """
    if isinstance(images, Tensor):
        return images
    if not isinstance(images, np.ndarray):
        way_out = ": give its .images" if hasattr(images, "images") else ""
        if isinstance(images, list | tuple) and all(isinstance(image, Tensor) for image in images):
            way_out = ": torch.stack(images)"
        raise UserError(
            f"Images are {_kind(images)}, but must be a tensor or a numpy array [n c h w] in [0, 1]{way_out}."
        )
    if images.ndim == 4 and min(images.shape[1:3]) > 4 and images.shape[3] in (1, 3, 4):
        raise UserError(
            f"Images have shape {list(images.shape)}, channels last, but must be [n c h w]:"
            " images.transpose(0, 3, 1, 2)."
        )
    if images.dtype.kind == "f":
        return torch.from_numpy(images.astype(np.float64)).to(torch.get_default_dtype())
    return _tensor(images, "Images")


def as_labels(labels: object) -> Tensor:
    """Labels [n] as a tensor: a tensor itself, or a copy of a numpy array or of a sequence of whole numbers.

    >>> as_labels([3, 7])
    tensor([3, 7])

    Raises:
        UserError: They are something else.
    """
    if isinstance(labels, Tensor):
        return labels
    if isinstance(labels, str) or not isinstance(labels, Sequence | np.ndarray):
        raise UserError(f"Labels are {_kind(labels)}, but must be class indices, one per image: a tensor int64 [n].")
    return _tensor(np.asarray(labels) if len(labels) else np.zeros(0, dtype=np.int64), "Labels")


def require_images(images: Tensor) -> None:
    """Refuse what are no images [n c h w] in [0, 1]; on a GPU this waits for them.

    Raises:
        UserError: They have another type, shape or range, there are none, or one has no pixels.
    """
    if not images.is_floating_point():
        raise UserError(
            f"Images are {images.dtype}, but must be floating-point numbers in [0, 1]: images / 255 for bytes."
        )
    if images.ndim != 4:
        raise UserError(
            f"Images have shape {list(images.shape)}, but must be [n c h w]: images[None] for a single image,"
            " images[:, None] for grey images without channels."
        )
    if not len(images):
        raise UserError("There are no images: give at least one.")
    if not images.numel():
        raise UserError(f"Images have shape {list(images.shape)}, but each must have at least one pixel.")
    low, high = (float(end) for end in images.detach().aminmax())
    if not (low >= 0 and high <= 1):
        raise UserError(
            f"Images run from {low:.4g} to {high:.4g}, but must lie in [0, 1]{_way_into_the_box(low, high)}."
        )


def require_labels(labels: Tensor, n: int) -> None:
    """Refuse what are no class indices of n images.

    Raises:
        UserError: They have another type or shape.
    """
    whole = not (labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool)
    if not whole or labels.ndim != 1:
        form = "; for one-hot labels: labels.argmax(1)" if labels.ndim == 2 else ""
        raise UserError(
            f"Labels are {labels.dtype} {list(labels.shape)}, but must be class indices, one per image:"
            f" int64 [n]{form}."
        )
    if len(labels) != n:
        raise UserError(f"There are {n} images and {len(labels)} labels; give one label for each image.")


def require_classes(labels: Tensor, classes: int) -> None:
    """Refuse labels that are no classes of the model.

    Raises:
        UserError: One lies outside 0..classes−1.
    """
    low, high = labels.aminmax()
    if not (low >= 0 and high < classes):
        raise UserError(
            f"Labels run from {int(low)} to {int(high)}, but the model has {classes} classes: labels must lie"
            f" in 0..{classes - 1}."
        )


def _tensor(array: npt.NDArray[Any], what: str) -> Tensor:
    try:
        return torch.as_tensor(array.copy())
    except TypeError as error:
        kind = "text" if array.dtype.kind in "US" else f"type {array.dtype}"
        raise UserError(f"{what} are of {kind}, but must be numbers.") from error


def _way_into_the_box(low: float, high: float) -> str:
    if math.isnan(low + high):
        return ", without NaN"
    if low >= 0 and 2 < high <= _BYTE:
        return ": divide by 255"
    return ": put the normalisation inside the model (epslab.classifiers.Normalised)"


def _kind(thing: object) -> str:
    """What something is, with an article."""
    if thing is None:
        return "None"
    name = type(thing).__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"
