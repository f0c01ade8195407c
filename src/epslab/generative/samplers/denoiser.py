"""From a predictor of a schedule's times to a denoiser of any noise level: the samplers in sigma need no more."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from epslab.errors import UserError
from epslab.generative.samplers.predictions import Clip, Predict, asked, clamped, image_and_noise
from epslab.probability.densities import wide
from epslab.probability.schedules import Schedule

Denoise = Callable[[Tensor, Tensor], Tensor]
"""(x [n …], sigma [n]) to the estimate of the clean x, where x = x_0 + sigma·eps."""

_ROUNDING = 1e-4  # how far a level in single precision may lie above the schedule's largest


def denoiser(
    predict: Predict, schedule: Schedule, *, predicts: str = "noise", clip: Clip = False, continuous: bool = False
) -> Denoise:
    """Denoise(x, sigma) = the predictor's x_0 at x_t = x/√(1 + sigma²), which has √((1−ᾱ_t)/ᾱ_t) = sigma.

    Between the schedule's levels, t is interpolated in log sigma. A level below the smallest is asked at t = 0.

    Args:
        predict: (x_t [n …], t [n]) to the prediction [n …].
        schedule: The times the predictor knows.
        predicts: What it gives: "noise" (eps), "v" or "image" (x_0).
        clip: Clamp the estimate: True for [−1, 1], or (low, high).
        continuous: The predictor takes t between the whole numbers, as floats; otherwise it gets the nearest time, as
            int64.

    Returns:
        A function of x [n …] and sigma [n] that gives the estimate [n …] of the clean x.

    >>> from epslab.probability.schedules import linear
    >>> denoise = denoiser(lambda x_t, t: 0.9 * x_t, linear(1000))
    >>> denoise(torch.randn(4, 2), torch.full((4,), 1.5)).shape
    torch.Size([4, 2])

    Raises:
        UserError: When called, an unknown prediction, or a sigma above the schedule's largest.
    """
    log_sigma = schedule.sigma.double().log()

    def denoise(x: Float[Tensor, "n ..."], sigma: Float[Tensor, " n"]) -> Float[Tensor, "n ..."]:
        sigma = sigma.detach().to("cpu", torch.float64)
        t = times_of(sigma, log_sigma)
        alpha_bar = (1 / (1 + sigma.square())).to(x.device).view(-1, *[1] * (x.ndim - 1))
        x_t = alpha_bar.sqrt().to(wide(x).dtype) * wide(x)
        output = asked(predict, x_t, (t.to(x_t.dtype) if continuous else t.round().long()).to(x.device), x.dtype)
        return clamped(image_and_noise(output, x_t, alpha_bar, predicts)[0], clip).to(x.dtype)

    return denoise


def times_of(sigma: Float[Tensor, " n"], log_sigma: Float[Tensor, " T"]) -> Float[Tensor, " n"]:
    """The time in [0, T−1] at which a schedule has this noise level, by interpolation between neighbours' log sigma.

    Raises:
        UserError: A level is above the schedule's largest.
    """
    level = sigma.log()
    if (level > log_sigma[-1] + _ROUNDING).any():
        raise UserError(
            f"A noise level of {sigma.max().item():g} is above the schedule's largest, {log_sigma[-1].exp().item():g}:"
            " begin the grid there, e.g. karras(n, sigma_min, schedule.sigma[-1].item())."
        )
    if len(log_sigma) == 1:
        return torch.zeros_like(level)
    below = (torch.searchsorted(log_sigma, level, right=True) - 1).clamp(0, len(log_sigma) - 2)
    share = (level - log_sigma[below]) / (log_sigma[below + 1] - log_sigma[below])
    return below + share.clamp(0, 1)
