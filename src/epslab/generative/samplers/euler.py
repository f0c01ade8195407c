"""Euler's method on the probability-flow ODE; equal to DDIM with eta = 0."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from epslab.generative.samplers.denoiser import Denoise
from epslab.generative.samplers.ladder import Ladder
from epslab.generative.samplers.predictions import Clip
from epslab.generative.samplers.walk import tracking


def euler(
    denoise: Denoise,
    start: Float[Tensor, "n *shape"],
    sigmas: Float[Tensor, "..."] | Sequence[float | int],
    *,
    clip: Clip = False,
) -> Float[Tensor, "n *shape"]:
    """Samples by Euler's method, of order 1, with one evaluation a step.

        d = (x − D(x; sigma))/sigma,    x ← x + (sigma' − sigma)·d

    On a schedule's levels this is DDIM with eta = 0. No gradients are kept, except through a ``start`` that requires
    them.

    Args:
        denoise: (x [n …], sigma [n]) to the estimate D of the clean x.
        start: x at the first level, ≈ sigmas[0]·eps.
        sigmas: Falling noise levels, at least two; the last may be 0.
        clip: Clamp the estimate at each step: True for [−1, 1], or (low, high).

    >>> from epslab.generative.samplers import karras
    >>> euler(lambda x, sigma: x / (1 + sigma[:, None] ** 2), 80 * torch.randn(4, 2), karras(10, 0.01, 80.0)).shape
    torch.Size([4, 2])

    Raises:
        UserError: Levels that do not fall, or an estimate of another shape.
    """
    with tracking(start):
        ladder = Ladder(denoise, start, sigmas, clip)
        x = ladder.x
        for sigma, following in ladder.pairs:
            x = x + (following - sigma) * ladder.slope(x, sigma)
        return x.to(start.dtype)
