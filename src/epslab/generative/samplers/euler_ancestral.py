"""Euler's method to a lower noise level, and fresh noise back up to the next one."""

import math
from collections.abc import Iterable, Sequence

from jaxtyping import Float
from torch import Generator, Tensor

from epslab.generative.samplers.denoiser import Denoise
from epslab.generative.samplers.ladder import Ladder
from epslab.generative.samplers.noise import source
from epslab.generative.samplers.predictions import Clip
from epslab.generative.samplers.walk import tracking


def euler_ancestral(
    denoise: Denoise,
    start: Float[Tensor, "n *shape"],
    sigmas: Float[Tensor, "..."] | Sequence[float | int],
    *,
    generator: Generator | None = None,
    noise: Iterable[Tensor] | None = None,
    clip: Clip = False,
) -> Float[Tensor, "n *shape"]:
    """Samples by Euler steps with as much fresh noise as DDPM adds between the same levels.

        sigma_up² = sigma'²·(sigma² − sigma'²)/sigma²,    sigma_down² = sigma'² − sigma_up²,
        x ← x + (sigma_down − sigma)·(x − D(x; sigma))/sigma + sigma_up·z,    z ~ N(0, I)

    A step to sigma' = 0 adds no noise. No gradients are kept, except through a ``start`` that requires them.

    Args:
        denoise: (x [n …], sigma [n]) to the estimate D of the clean x.
        start: x at the first level, ≈ sigmas[0]·eps.
        sigmas: Falling noise levels, at least two; the last may be 0.
        generator: Draws one seed per sample, from which all its noise follows (None: torch's default generator).
        noise: Tensors in place of the generator, one for each step but one to sigma' = 0.
        clip: Clamp the estimate at each step: True for [−1, 1], or (low, high).

    >>> from epslab.generative.samplers import karras
    >>> denoise = lambda x, sigma: x / (1 + sigma[:, None] ** 2)
    >>> euler_ancestral(denoise, 80 * torch.randn(4, 2), karras(10, 0.01, 80.0)).shape
    torch.Size([4, 2])

    Raises:
        UserError: Levels that do not fall, or noise or an estimate of another shape.
    """
    with tracking(start):
        ladder = Ladder(denoise, start, sigmas, clip)
        draws, x = source(start.shape, generator, noise, ladder.x), ladder.x
        for sigma, following in ladder.pairs:
            up = following * math.sqrt(1 - (following / sigma) ** 2)
            down = following**2 / sigma  # √(sigma'² − sigma_up²)
            x = x + (down - sigma) * ladder.slope(x, sigma)
            if up > 0:
                x = x + up * next(draws)
        return x.to(start.dtype)
