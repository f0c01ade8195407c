"""What every attack asks of its inputs, each refusal one sentence."""

from collections.abc import Callable
from numbers import Integral, Real

import torch
from torch import Generator, Tensor

from epslab.arrays import require_classes, require_images, require_labels
from epslab.errors import UserError
from epslab.geometry import Ball
from epslab.types import Images, Labels, Logits


# Plain annotations: these functions check shapes and types themselves, always, and with a sentence.
def checked(images: Tensor, labels: Tensor, seeds: object) -> tuple[Images, Labels]:
    """The images detached and the labels as int64 on their device.

    Raises:
        UserError: They are not what an attack can work on.
    """
    require_images(images)
    require_labels(labels, len(images))
    if seeds is not None and not isinstance(seeds, Tensor):
        raise UserError(f"Seeds are of type {type(seeds).__name__}, but must be a tensor int64 [n], one per image.")
    if seeds is not None and len(seeds) != len(images):
        raise UserError(f"There are {len(images)} images and {len(seeds)} seeds; give one seed for each image.")
    return images.detach(), labels.to(images.device, torch.int64)


def checked_logits(logits: Tensor, labels: Labels) -> Logits:
    """The logits of a batch with these labels, in the form every attack relies on; on a GPU this waits for them.

    Raises:
        UserError: They are not [n classes], not finite, or a label has no class.
    """
    require_logits(logits, len(labels))
    require_finite(torch.isfinite(logits).all())
    require_classes(labels, logits.shape[1])
    return logits


def require_logits(logits: Tensor, n: int) -> None:
    """Refuse what are no logits of n images; their values are not looked at.

    Raises:
        UserError: They are not [n classes] with two classes or more.
    """
    if logits.ndim != 2 or logits.shape[0] != n or logits.shape[1] < 2:
        raise UserError(
            f"The model gives {list(logits.shape)} for {n} images; an attack takes logits [n classes] with"
            " two classes or more."
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


def require_counts(least: int = 1, /, **counts: object) -> None:
    """Check settings that count something.

    Raises:
        UserError: One is no whole number, or below the least.
    """
    require_whole(f" of at least {least}", **counts)
    for name, count in counts.items():
        if isinstance(count, Integral) and count < least:
            raise UserError(f"{name} is {count}, but must be at least {least}.")


def require_generator(generator: object) -> None:
    """Check what seeds are drawn from.

    Raises:
        UserError: It is no generator, e.g. a seed.
    """
    if generator is not None and not isinstance(generator, Generator):
        raise UserError(
            f"generator is {generator!r}, but must be a generator, e.g. torch.Generator().manual_seed(0), or None."
        )


def require_whole(more: str = "", /, **numbers: object) -> None:
    """Check settings that are whole numbers.

    Args:
        more: What else they must be, for the sentence.
        numbers: By the setting's name.

    Raises:
        UserError: One is something else.
    """
    for name, number in numbers.items():
        if isinstance(number, bool) or not isinstance(number, Integral):
            raise UserError(f"{name} is {number!r}, but must be a whole number{more}.")


def require_number(wanted: str, holds: Callable[[float], bool], **numbers: object) -> None:
    """Check settings that are one number each.

    Args:
        wanted: What they must be, in words.
        holds: Whether a number is that.
        numbers: By the setting's name.

    Raises:
        UserError: One is no number, or not that.
    """
    for name, number in numbers.items():
        if isinstance(number, bool) or not isinstance(number, Real) or not holds(float(number)):
            raise UserError(f"{name} is {number!r}, but must be {wanted}.")


def require_ball(attack: object, ball: object) -> None:
    """Check the ball of an attack.

    Raises:
        UserError: It is no ball, e.g. only a radius.
    """
    if not isinstance(ball, Ball):
        name = type(attack).__name__
        radius = f"{ball:g}" if isinstance(ball, Real) else "8 / 255"
        raise UserError(f"{name} takes a ball, not {ball!r}: {name}(Linf({radius})).")


def require_function(example: str, **functions: object) -> None:
    """Check settings that are functions.

    Args:
        example: One that works, as it is written.
        functions: By the setting's name.

    Raises:
        UserError: One cannot be called.
    """
    for name, function in functions.items():
        if isinstance(function, type):
            raise UserError(f"{name} is the class {function.__name__}; give an object of it, {function.__name__}(…).")
        if not callable(function):
            raise UserError(f"{name} is {function!r}, but must be a function, e.g. {example} of epslab.attacks.")
