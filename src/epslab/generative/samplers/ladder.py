"""What the samplers in sigma share: the state's precision, and the denoiser asked at one level."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor

from epslab.generative.samplers.denoiser import Denoise
from epslab.generative.samplers.grids import checked_sigmas
from epslab.generative.samplers.predictions import Clip, asked, clamped
from epslab.generative.samplers.walk import level
from epslab.probability.densities import wide


class Ladder:
    """One run of a sampler down noise levels: x = x_0 + sigma·eps, and what the denoiser makes of it.

    Args:
        denoise: (x, sigma [n]) to the estimate of the clean x.
        start: x at the first level [n …].
        sigmas: Falling noise levels, at least two; the last may be 0.
        clip: Whether the estimate is clamped.

    Raises:
        UserError: The levels do not fall.
    """

    def __init__(self, denoise: Denoise, start: Tensor, sigmas: Tensor | Sequence[float | int], clip: Clip) -> None:
        self.denoise, self.clip, self.dtype = denoise, clip, start.dtype
        self.x = wide(start)
        self.pairs = list(pairwise(checked_sigmas(sigmas)))

    def clean(self, x: Tensor, sigma: float) -> Tensor:
        """D(x; sigma), clamped if asked for."""
        return clamped(asked(self.denoise, x, level(sigma, x, self.dtype), self.dtype), self.clip)

    def slope(self, x: Tensor, sigma: float) -> Tensor:
        """dx/dsigma = (x − D(x; sigma))/sigma, the probability-flow ODE; Karras et al. (2022), eq. 3 with s(t) = 1."""
        return (x - self.clean(x, sigma)) / sigma
