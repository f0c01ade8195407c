"""Heun's method on the probability-flow ODE: Karras et al. (2022), algorithm 1."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from epslab.generative.samplers.denoiser import Denoise
from epslab.generative.samplers.ladder import Ladder
from epslab.generative.samplers.predictions import Clip
from epslab.generative.samplers.walk import tracking


def heun(
    denoise: Denoise,
    start: Float[Tensor, "n *shape"],
    sigmas: Float[Tensor, "..."] | Sequence[float | int],
    *,
    clip: Clip = False,
) -> Float[Tensor, "n *shape"]:
    """Samples by Heun's method, of order 2 (Karras et al., 2022, algorithm 1): Euler's step, then the mean slope.

        d = (x − D(x; sigma))/sigma,    x' = x + (sigma' − sigma)·d,    d' = (x' − D(x'; sigma'))/sigma',
        x ← x + (sigma' − sigma)·(d + d')/2

    Two evaluations a step; a step to sigma' = 0 is Euler's, with one. No gradients are kept, except through a ``start``
    that requires them.

    Args:
        denoise: (x [n …], sigma [n]) to the estimate D of the clean x.
        start: x at the first level, ≈ sigmas[0]·eps.
        sigmas: Falling noise levels, at least two; the last may be 0.
        clip: Clamp the estimate at each evaluation: True for [−1, 1], or (low, high).

    >>> from epslab.generative.samplers import karras
    >>> heun(lambda x, sigma: x / (1 + sigma[:, None] ** 2), 80 * torch.randn(4, 2), karras(10, 0.01, 80.0)).shape
    torch.Size([4, 2])

    Raises:
        UserError: Levels that do not fall, or an estimate of another shape.
    """
    with tracking(start):
        ladder = Ladder(denoise, start, sigmas, clip)
        x = ladder.x
        for sigma, following in ladder.pairs:
            slope = ladder.slope(x, sigma)
            ahead = x + (following - sigma) * slope
            if following > 0:
                ahead = x + (following - sigma) * (slope + ladder.slope(ahead, following)) / 2
            x = ahead
        return x.to(start.dtype)
