"""DPM-Solver++ (2M): Lu et al. (2022), algorithm 2."""

import math
from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from epslab.generative.samplers.denoiser import Denoise
from epslab.generative.samplers.ladder import Ladder
from epslab.generative.samplers.predictions import Clip
from epslab.generative.samplers.walk import tracking


def dpm_solver_2m(
    denoise: Denoise,
    start: Float[Tensor, "n *shape"],
    sigmas: Float[Tensor, "..."] | Sequence[float | int],
    *,
    clip: Clip = False,
) -> Float[Tensor, "n *shape"]:
    """Samples by DPM-Solver++ (2M), of order 2 with one evaluation a step (Lu et al., 2022, algorithm 2).

    With λ = −log sigma and h = λ' − λ, the linear part of the ODE is solved exactly and D is extrapolated from the last
    two estimates:

        D̂ = (1 + h/(2·h_before))·D(x; sigma) − h/(2·h_before)·D_before,    x ← (sigma'/sigma)·x + (1 − e^(−h))·D̂

    The first step, and one to sigma' = 0, take D̂ = D. No gradients are kept, except through a ``start`` that requires
    them.

    Args:
        denoise: (x [n …], sigma [n]) to the estimate D of the clean x.
        start: x at the first level, ≈ sigmas[0]·eps.
        sigmas: Falling noise levels, at least two; the last may be 0.
        clip: Clamp the estimate at each step: True for [−1, 1], or (low, high).

    >>> from epslab.generative.samplers import karras
    >>> denoise = lambda x, sigma: x / (1 + sigma[:, None] ** 2)
    >>> dpm_solver_2m(denoise, 80 * torch.randn(4, 2), karras(10, 0.01, 80.0)).shape
    torch.Size([4, 2])

    Raises:
        UserError: Levels that do not fall, or an estimate of another shape.
    """
    with tracking(start):
        ladder = Ladder(denoise, start, sigmas, clip)
        x, before, h_before = ladder.x, None, 0.0
        for sigma, following in ladder.pairs:
            clean = extrapolated = ladder.clean(x, sigma)
            h = math.log(sigma / following) if following > 0 else math.inf
            if before is not None and following > 0:
                extrapolated = clean + (h / (2 * h_before)) * (clean - before)
            ratio = following / sigma  # e^(−h)
            x = ratio * x + (1 - ratio) * extrapolated
            before, h_before = clean, h
        return x.to(start.dtype)
