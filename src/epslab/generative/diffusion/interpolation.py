"""From one image to another through the noise that gives them: DDIM run backwards. Song, Meng & Ermon (2021), 5.3."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from epslab.errors import UserError
from epslab.generative.samplers import Predict, ddim, linear_times
from epslab.generative.samplers.predictions import Clip
from epslab.generative.samplers.walk import Walk, tracking
from epslab.probability.schedules import Schedule


def encode(
    predict: Predict,
    schedule: Schedule,
    x_0: Float[Tensor, "n ..."],
    *,
    steps: int,
    predicts: str = "noise",
    clip: Clip = False,
) -> Float[Tensor, "n ..."]:
    """The noise x_T from which DDIM with eta = 0 and as many steps gives x_0 back, up to an error of order 1/steps.

        x_t = √ᾱ_t·x_0(x_s) + √(1−ᾱ_t)·eps(x_s),    from each time s up to the next, t; both are asked at x_s

    Args:
        predict: (x_t [n …], t int64 [n] in 0..T−1) to the prediction [n …].
        schedule: ᾱ at each time.
        x_0: Examples as the model sees them.
        steps: Number of steps, at equally spaced times.
        predicts: What the predictor gives: "noise", "v" or "image".
        clip: Clamp the estimate of x_0 at each step: True for [−1, 1], or (low, high).

    >>> from epslab.probability.schedules import cosine
    >>> encode(lambda x_t, t: 0.9 * x_t, cosine(100), torch.randn(4, 2), steps=10).shape
    torch.Size([4, 2])

    Raises:
        UserError: Steps outside 1..T, an unknown prediction, or one of another shape.
    """
    times = linear_times(schedule, steps).flip(0).tolist()
    with tracking(x_0):
        walk = Walk(predict, schedule, x_0.shape, None, noise=None, start=x_0, predicts=predicts, clip=clip)
        for s, t in zip([0, *times[:-1]], times, strict=True):
            clean, eps, _ = walk.estimate(s)
            alpha_bar = schedule.alpha_bar[t]
            walk.x = alpha_bar.sqrt() * clean + (1 - alpha_bar).sqrt() * eps
        return walk.x.to(x_0.dtype)


def slerp(a: Float[Tensor, "n ..."], b: Float[Tensor, "n ..."], share: float) -> Float[Tensor, "n ..."]:
    """A point on the great circle from a to b; Shoemake (1985).

        (sin((1 − w)·θ)·a + sin(w·θ)·b)/sin θ,    θ the angle between them, w the share

    In many dimensions draws of N(0, I) lie near a sphere, which a straight line between two of them leaves. Where the
    two have one direction the line is straight.

    >>> slerp(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]]), 0.5)
    tensor([[0.7071, 0.7071]])
    """
    u, v = a.flatten(1), b.flatten(1)
    cosine = (u * v).sum(1) / (u.norm(dim=1) * v.norm(dim=1)).clamp(min=torch.finfo(u.dtype).tiny)
    theta = cosine.clamp(-1, 1).acos()[:, None]
    straight = theta.sin() < 1e-4
    safe = torch.where(straight, torch.ones_like(theta), theta)
    curved = (((1 - share) * safe).sin() * u + (share * safe).sin() * v) / safe.sin()
    return torch.where(straight, (1 - share) * u + share * v, curved).view_as(a)


def interpolate(
    predict: Predict,
    schedule: Schedule,
    a: Float[Tensor, "n ..."],
    b: Float[Tensor, "..."],
    shares: Sequence[float],
    *,
    steps: int,
    predicts: str = "noise",
    clip: Clip = False,
) -> Float[Tensor, "k n ..."]:
    """Examples between a and b: both are encoded, and points between their codes are decoded.

    Args:
        predict: (x_t [n …], t int64 [n] in 0..T−1) to the prediction [n …].
        schedule: ᾱ at each time.
        a: Examples as the model sees them.
        b: As many others.
        shares: How far from a to b, 0 to 1, one for each result.
        steps: Steps up and steps down.
        predicts: What the predictor gives: "noise", "v" or "image".
        clip: Clamp the estimate of x_0 at each step: True for [−1, 1], or (low, high). A trained net needs it where
            little is left of the image: there x_0 is the net's error, magnified by 1/√ᾱ.

    Returns:
        [k n …] for k shares; at 0 and 1 the examples themselves, up to the error of encoding.

    >>> from epslab.probability.schedules import cosine
    >>> a, b = torch.randn(2, 4, 3)
    >>> interpolate(lambda x_t, t: 0.9 * x_t, cosine(100), a, b, [0.0, 0.5, 1.0], steps=10).shape
    torch.Size([3, 4, 3])

    Raises:
        UserError: a and b have different shapes, or what ``encode`` refuses.
    """
    if a.shape != b.shape:
        raise UserError(
            f"Examples are interpolated with as many of the same shape, not {list(a.shape)} with {list(b.shape)}."
        )
    start, end = encode(predict, schedule, torch.cat([a, b]), steps=steps, predicts=predicts, clip=clip).chunk(2)
    codes = torch.cat([slerp(start, end, share) for share in shares])
    between = ddim(predict, schedule, tuple(codes.shape), start=codes, steps=steps, predicts=predicts, clip=clip)
    return between.view(len(shares), *a.shape)
