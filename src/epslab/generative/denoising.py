"""The denoising autoencoder: noise is taken off, which gives the score of the data.

Vincent et al. (2008); Vincent (2011), "A connection between score matching and denoising autoencoders"; Song & Ermon
(2019) for the ladder of noise levels; Karras et al. (2022) for the scaling of the net.
"""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from epslab.errors import UserError
from epslab.generative.autoencoder import require_shape
from epslab.generative.langevin import annealed_langevin
from epslab.generative.samplers.noise import noise_of
from epslab.nets.modes import evaluating
from epslab.probability.densities import wide
from epslab.seeds import draw
from epslab.types import Seeds

_TIMES = 1000.0  # the net is told the level as a time from 0 to this


def ladder(sigma_max: float, sigma_min: float, levels: int) -> tuple[float, ...]:
    """Noise levels from sigma_max down to sigma_min, each the same share of the one before.

    >>> [round(sigma, 3) for sigma in ladder(1.0, 0.01, 3)]
    [1.0, 0.1, 0.01]

    Raises:
        UserError: Fewer than 2 levels, or not 0 < sigma_min < sigma_max.
    """
    if levels < 2:
        raise UserError(f"`levels=` is {levels}, but a ladder of noise levels has 2 or more.")
    if not 0 < sigma_min < sigma_max < math.inf:
        raise UserError(f"`sigma_min={sigma_min:g}` must be above 0 and below `sigma_max={sigma_max:g}`.")
    return tuple(sigma_max * (sigma_min / sigma_max) ** (i / (levels - 1)) for i in range(levels))


class DenoisingAutoencoder(nn.Module):
    """r(x + sigma·eps, sigma) → x: one net, told the noise level, for a whole ladder of them.

    The best r is the mean E[x given x + sigma·eps], which gives the score of the data smoothed by the noise (Robbins,
    1956; Vincent, 2011, eq. 9):

        ∇ log p_sigma(x) = (r(x, sigma) − x)/sigma²

    So the net F learns numbers of size 1 at every level, r is put together from it and from a linear guess, the best
    one for data of mean mu and variance s² (Karras et al., 2022, table 1 and appendix B.6):

        r(x, sigma) = mu + (s²·(x − mu) + sigma·s·√(s² + sigma²)·F((x − mu)/√(s² + sigma²), t))/(s² + sigma²)

    with t the place of log sigma between the ladder's ends, from 0 at sigma_min to 1000 at sigma_max.

    >>> from epslab.nets import TimePerceptron
    >>> model = DenoisingAutoencoder(TimePerceptron(2), (2,), ladder(4.0, 0.02, 10))
    >>> x, sigma = torch.randn(5, 2), torch.full((5,), 0.5)
    >>> model.denoise(x, sigma).shape, model.score(x, sigma).shape, model.sample(3).shape
    (torch.Size([5, 2]), torch.Size([5, 2]), torch.Size([3, 2]))

    Args:
        net: F, (x [n *shape], t [n]) to [n *shape].
        shape: Of one example: (channels, height, width) of images in [0, 1], or (d,) of points.
        sigmas: The ladder, falling, in the unit of the data.
        mean: mu, one number for all dimensions.
        std: s, the standard deviation of one dimension of the data.
        step: Of annealed Langevin dynamics, as a share of sigma².
        steps: Of annealed Langevin dynamics at each level.

    Raises:
        UserError: The ladder does not fall or has fewer than 2 levels, std is not positive, or step or steps cannot
            work; when called: examples of another shape.
    """

    sigmas: Float[Tensor, " levels"]
    mean: Float[Tensor, ""]
    std: Float[Tensor, ""]

    def __init__(
        self,
        net: Callable[[Tensor, Tensor], Tensor],
        shape: tuple[int, ...],
        sigmas: Sequence[float],
        *,
        mean: float = 0.5,
        std: float = 0.5,
        step: float = 0.5,
        steps: int = 5,
    ) -> None:
        super().__init__()
        if len(sigmas) < 2 or not all(a > b > 0 for a, b in pairwise(sigmas)):
            raise UserError(f"sigmas are {list(sigmas)}, but a ladder has 2 levels or more, each below the last.")
        if not std > 0:
            raise UserError(f"std={std}, but the standard deviation of the data must be more than 0.")
        if not 0 < step < 2 or steps < 1:
            raise UserError(f"step={step} and steps={steps}: a step is above 0 and below 2, their number 1 or more.")
        self.net = net
        self.shape = tuple(shape)
        self.step = step
        self.steps = steps
        self.register_buffer("sigmas", torch.tensor(sigmas, dtype=torch.float32))
        self.register_buffer("mean", torch.tensor(float(mean)))
        self.register_buffer("std", torch.tensor(float(std)))

    def denoise(self, x: Float[Tensor, "n *shape"], sigma: Float[Tensor, " n"]) -> Float[Tensor, "n *shape"]:
        """r(x, sigma): the estimate of E[clean example given x]; any sigma > 0 will do, those of the ladder are learnt.

        In float32 or wider, whatever the weights are.
        """
        return wide(x) + self._taken_off(x, sigma)

    def score(self, x: Float[Tensor, "n *shape"], sigma: Float[Tensor, " n"]) -> Float[Tensor, "n *shape"]:
        """(r(x, sigma) − x)/sigma²: the score of the data smoothed by noise of this standard deviation."""
        return self._taken_off(x, sigma) / self._level(sigma) ** 2

    def _taken_off(self, x: Float[Tensor, "n *shape"], sigma: Float[Tensor, " n"]) -> Float[Tensor, "n *shape"]:
        """r(x, sigma) − x, without the difference of two close numbers that a narrow level would make of it."""
        require_shape(x, self.shape)
        level, s = self._level(sigma), wide(self.std)
        total, centred = s**2 + level**2, wide(x) - wide(self.mean)
        F = wide(self.net((centred / total.sqrt()).to(self._like.dtype), self.time(sigma)))
        return level * (s * total.sqrt() * F - level * centred) / total

    def _level(self, sigma: Float[Tensor, " n"]) -> Tensor:
        """Sigma [n 1 …], to be multiplied with examples."""
        return wide(sigma).view(-1, *[1] * len(self.shape))

    def time(self, sigma: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """Where log sigma lies on the ladder: 0 at its last level, 1000 at its first."""
        first, last = wide(self.sigmas)[0].log(), wide(self.sigmas)[-1].log()
        return _TIMES * (wide(sigma).log() - last) / (first - last)

    def sample(self, n: int, generator: Generator | None = None) -> Float[Tensor, "n *shape"]:
        """Annealed Langevin dynamics down the ladder, then the last noise taken off; images are clipped to [0, 1]."""
        return self.walk(draw(n, generator, self._like.device))[-1]

    def walk(self, seeds: Seeds, shown: int = 1) -> list[Float[Tensor, "n *shape"]]:
        """The denoised chains r(x, sigma) after some of the levels, evenly spaced, the last of them the samples.

        Chains start at N(mu, s² + sigma_1²). At the end x is replaced by r(x, sigma_L), which takes off the noise that
        Langevin dynamics leaves (Jolicoeur-Martineau et al., 2021, section 3.1).

        Args:
            seeds: One for each chain, [n].
            shown: Number of stops, at most one a level.
        """
        xi = noise_of(seeds, self.shape, wide(self._like).dtype)
        levels = len(self.sigmas)
        stops = {round((i + 1) * levels / shown) - 1 for i in range(shown)}
        with torch.no_grad(), evaluating(self):
            start = (wide(self.std) ** 2 + wide(self.sigmas)[0] ** 2).sqrt()
            x, seen = wide(self.mean) + start * next(xi), []
            for i, sigma in enumerate(self.sigmas.tolist()):
                x = annealed_langevin(self.score, x, [sigma], step=self.step, steps=self.steps, noise=xi)
                if i in stops:
                    clean = self.denoise(x, x.new_full((len(x),), sigma)).to(self._like.dtype)
                    seen.append(clean.clamp(0, 1) if len(self.shape) == 3 else clean)
        return seen

    @property
    def _like(self) -> Tensor:
        """A tensor of the weights' type and device."""
        return next(self.parameters(), self.std)
