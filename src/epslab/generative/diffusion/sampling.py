"""The samplers of a diffusion model by name, each on its usual grid of noise."""

from collections.abc import Iterator

from jaxtyping import Float
from torch import Tensor

from epslab.errors import UserError, unknown
from epslab.generative.diffusion.flow_matching import METHODS, flow_denoiser, follow
from epslab.generative.samplers import (
    Denoise,
    Predict,
    ancestral,
    ddim,
    denoiser,
    dpm_solver_2m,
    euler,
    euler_ancestral,
    heun,
    karras,
    linear_times,
)
from epslab.probability.schedules import Schedule

SAMPLERS = ("ancestral", "ddim", "euler", "euler-ancestral", "heun", "dpm-solver-2m")
"""``ancestral`` and ``ddim`` visit equally spaced times; the others take the grid of Karras et al. (2022).

Of a flow, ``euler`` and ``heun`` take equal steps of its own time.
"""
_STEPS, _NOISY_STEPS = 50, 100
_LARGEST_SIGMA = 80.0  # Karras et al. (2022), table 1: beyond it next to nothing of the image is left


def draw_from(
    predict: Predict,
    schedule: Schedule,
    start: Float[Tensor, "n ..."],
    noise: Iterator[Tensor],
    *,
    predicts: str,
    clip: bool,
    sampler: str,
    steps: int | None,
    eta: float,
) -> Float[Tensor, "n ..."]:
    """Samples x_0 from x_T.

    Args:
        predict: (x_t, t) to the prediction; t may lie between the whole numbers.
        schedule: The noise at each time.
        start: x_T, from N(0, I).
        noise: The sampler's further noise.
        predicts: What the predictor gives: "noise", "v", "image", or "flow" (with times in [0, 1]).
        clip: Clamp the estimate of x_0 to [−1, 1] at each step.
        sampler: One of ``SAMPLERS``.
        steps: 1..T; None: 100 of the samplers that add noise, 50 of the others, or T where that is less.
        eta: Noise of "ddim".

    Raises:
        UserError: An unknown sampler, steps outside 1..T, or eta with another sampler or outside [0, 1].
    """
    if sampler not in SAMPLERS:
        raise unknown("sampler", sampler, SAMPLERS)
    if eta != 0 and sampler != "ddim":
        raise UserError(f"eta = {eta:g} is the noise of the sampler 'ddim'; '{sampler}' has none to set.")
    if steps is None:
        steps = min(_NOISY_STEPS if "ancestral" in sampler or eta > 0 else _STEPS, len(schedule))
    times, shape = linear_times(schedule, steps), tuple(start.shape)
    if predicts == "flow" and sampler in METHODS:
        return follow(predict, start, steps, method=sampler, clip=clip)
    denoise = denoiser_of(predict, schedule, predicts)
    predict, predicts = in_time(predict, schedule, predicts)
    if sampler == "ancestral":
        return ancestral(predict, schedule, shape, predicts=predicts, start=start, clip=clip, times=times, noise=noise)
    if sampler == "ddim":
        return ddim(
            predict, schedule, shape, predicts=predicts, start=start, clip=clip, times=times, noise=noise, eta=eta
        )
    smallest, largest = schedule.sigma[0].item(), min(_LARGEST_SIGMA, schedule.sigma[-1].item())
    sigmas = karras(len(times), smallest, largest)
    noisiest = start * (1 + largest**2) ** 0.5  # x_T/√ᾱ_T
    if sampler == "euler-ancestral":
        return euler_ancestral(denoise, noisiest, sigmas, noise=noise, clip=clip)
    return {"euler": euler, "heun": heun, "dpm-solver-2m": dpm_solver_2m}[sampler](denoise, noisiest, sigmas, clip=clip)


def denoiser_of(predict: Predict, schedule: Schedule, predicts: str) -> Denoise:
    """The denoiser of any noise level that a predictor is, also one of a flow."""
    if predicts == "flow":
        return flow_denoiser(predict)
    return denoiser(predict, schedule, predicts=predicts, continuous=True)


def in_time(predict: Predict, schedule: Schedule, predicts: str) -> tuple[Predict, str]:
    """A predictor at the times of a schedule, and what it predicts; of a flow, the image it expects there."""
    if predicts != "flow":
        return predict, predicts
    denoise = flow_denoiser(predict)

    def image(x_t: Tensor, t: Tensor) -> Tensor:
        signal = schedule.alpha_bar[t.cpu()].sqrt().to(x_t).view(-1, *[1] * (x_t.ndim - 1))
        return denoise(x_t / signal, schedule.sigma[t.cpu()].to(x_t))

    return image, "image"
