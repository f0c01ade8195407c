"""What every attack asks of its inputs, each refusal one sentence."""

import torch
from torch import Tensor

from epslab.errors import UserError
from epslab.types import Images, Labels, Logits


# Plain annotations: these functions check shapes and types themselves, always, and with a sentence.
def checked(images: Tensor, labels: Tensor, seeds: Tensor | None) -> tuple[Images, Labels]:
    """The images detached and the labels as int64 on their device.

    Raises:
        UserError: They are not what an attack can work on.
    """
    if not images.is_floating_point():
        raise UserError(
            f"Images are {images.dtype}; an attack takes floating-point images in [0, 1]: pixels / 255 for bytes."
        )
    if images.ndim != 4:
        raise UserError(f"Images have shape {list(images.shape)}; an attack takes [n c h w]: images[None] for one.")
    if not len(images):
        raise UserError("There are no images to attack: give a batch of at least one.")
    if not images.numel():
        raise UserError(f"Images have shape {list(images.shape)}; an attack takes images of at least one pixel.")
    low, high = images.detach().aminmax()
    if not (low >= 0 and high <= 1):
        raise UserError(
            f"Images run from {low.item():.4g} to {high.item():.4g}; they must lie in [0, 1] without NaN: put the"
            " normalisation inside the model (epslab.classifiers.Normalised)."
        )
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool or labels.ndim != 1:
        raise UserError(
            f"Labels are {labels.dtype} {list(labels.shape)}; an attack takes one class index per image, int64 [n]."
        )
    if len(labels) != len(images):
        raise UserError(f"There are {len(images)} images and {len(labels)} labels; give one label for each image.")
    if seeds is not None and len(seeds) != len(images):
        raise UserError(f"There are {len(images)} images and {len(seeds)} seeds; give one seed for each image.")
    return images.detach(), labels.to(images.device, torch.int64)


def checked_logits(logits: object, labels: Labels) -> Logits:
    """The logits of a batch with these labels, in the form every attack relies on; on a GPU this waits for them.

    Raises:
        UserError: They are not [n classes], not finite, or a label has no class.
    """
    own = require_logits(logits, len(labels))
    require_finite(torch.isfinite(own).all())
    require_labels(labels, own.shape[1])
    return own


def require_logits(logits: object, n: int) -> Logits:
    """Refuse what is no tensor of logits for n images; its values are not looked at.

    Raises:
        UserError: It is not [n classes] with two classes or more.
    """
    if not isinstance(logits, Tensor):
        raise UserError(
            f"The model returns {type(logits).__name__}; an attack takes a model that gives a tensor of logits"
            " [n classes]: wrap it in a function that does."
        )
    if logits.ndim != 2 or logits.shape[0] != n or logits.shape[1] < 2:
        raise UserError(
            f"The model gives {list(logits.shape)} for {n} images; an attack takes logits [n classes] with"
            " two classes or more."
        )
    return logits


def require_labels(labels: Labels, classes: int) -> None:
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


def require_finite(finite: Tensor) -> None:
    """Refuse logits with which no prediction can be trusted.

    Args:
        finite: Whether all of them are, one bool.

    Raises:
        UserError: One of them is NaN or infinite.
    """
    if not finite:
        raise UserError(
            "The model gives NaN or infinite logits, so that its predictions mean nothing: mend the model, or attack it"
            " in a wider precision."
        )


def require_counts(**counts: int) -> None:
    """Check settings that count something.

    Raises:
        UserError: One is below 1.
    """
    for name, count in counts.items():
        if count < 1:
            raise UserError(f"{name} is {count}, but must be at least 1.")
