"""What a net may predict from x_t = √ᾱ_t·x_0 + √(1−ᾱ_t)·eps, and how each gives the image and the noise.

"noise"   eps                                   x_0 = (x_t − √(1−ᾱ_t)·eps)/√ᾱ_t     Ho et al. (2020)
"v"       v = √ᾱ_t·eps − √(1−ᾱ_t)·x_0          x_0 = √ᾱ_t·x_t − √(1−ᾱ_t)·v          Salimans & Ho (2022)
"image"   x_0
"""

from collections.abc import Callable
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from epslab.errors import UserError, unknown

Predicts = Literal["noise", "v", "image"]
Predict = Callable[[Tensor, Tensor], Tensor]
"""(x_t [n …], t int64 [n] in 0..T−1) to the prediction [n …]."""
Clip = bool | tuple[float | int, float | int]
"""Whether the estimate of x_0 is clamped: to [−1, 1] (True), or to a range of one's own (low, high)."""


def image_and_noise(
    output: Float[Tensor, "*shape"], x_t: Float[Tensor, "*shape"], alpha_bar: Float[Tensor, "..."], predicts: str
) -> tuple[Float[Tensor, "*shape"], Float[Tensor, "*shape"]]:
    """(x_0, eps) as a prediction gives them, with x_t = √ᾱ·x_0 + √(1−ᾱ)·eps.

    Args:
        output: The prediction.
        x_t: The noisy image it was made for.
        alpha_bar: ᾱ in float64, one number or anything that broadcasts to x_t (e.g. [n 1 1 1]).
        predicts: "noise", "v" or "image".

    Raises:
        UserError: An unknown kind of prediction.
    """
    signal, noise = roots(alpha_bar, x_t)
    match checked(predicts):
        case "noise":
            return (x_t - noise * output) / signal, output
        case "v":
            return signal * x_t - noise * output, noise * x_t + signal * output
        case "image":
            return output, (x_t - signal * output) / noise


def target(
    x_0: Float[Tensor, "*shape"], eps: Float[Tensor, "*shape"], alpha_bar: Float[Tensor, "..."], predicts: str
) -> Float[Tensor, "*shape"]:
    """What the net should predict, given the image and the noise; the inverse of ``image_and_noise``.

    Raises:
        UserError: An unknown kind of prediction.
    """
    match checked(predicts):
        case "noise":
            return eps
        case "v":
            signal, noise = roots(alpha_bar, x_0)
            return signal * eps - noise * x_0
        case "image":
            return x_0


def roots(alpha_bar: Float[Tensor, "..."], like: Tensor) -> tuple[Float[Tensor, "..."], Float[Tensor, "..."]]:
    """√ᾱ and √(1−ᾱ), taken in ᾱ's own precision (1−ᾱ is small at the first times), in the type of the images."""
    return alpha_bar.sqrt().to(like.dtype), (1 - alpha_bar).sqrt().to(like.dtype)


def checked(predicts: str) -> Predicts:
    """The kind of prediction, if it is one.

    Raises:
        UserError: It is not.
    """
    for kind in get_args(Predicts):
        if predicts == kind:
            known: Predicts = kind
            return known
    raise unknown("kind of prediction", predicts, get_args(Predicts))


def clamped(x_0: Float[Tensor, "*shape"], clip: Clip) -> Float[Tensor, "*shape"]:
    """The estimate of x_0 inside the range of ``clip``.

    Raises:
        UserError: The range is empty.
    """
    if clip is False:
        return x_0
    low, high = (-1.0, 1.0) if clip is True else clip
    if not low < high:
        raise UserError(
            f"`clip=({low:g}, {high:g})` is no range: give (low, high) with low < high, or True for [−1, 1]."
        )
    return x_0.clamp(low, high)


def asked(predict: Callable[[Tensor, Tensor], Tensor], x: Tensor, level: Tensor, dtype: torch.dtype) -> Tensor:
    """The prediction at x in the predictor's own precision, brought back to that of x.

    Raises:
        UserError: It does not have the shape of x.
    """
    output = predict(x.to(dtype), level)
    if output.shape != x.shape:
        raise UserError(
            f"The predictor was given shape {list(x.shape)} and gave {list(output.shape)}; it must give the same shape."
        )
    return output.to(x.dtype)
