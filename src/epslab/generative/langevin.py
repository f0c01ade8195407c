"""Langevin dynamics: samples of a density from its score ∇ log p alone, plain and annealed.

Song & Ermon (2019), "Generative modeling by estimating gradients of the data distribution", eq. 4 and algorithm 1.
"""

from collections.abc import Callable, Iterable, Sequence

from jaxtyping import Float
from torch import Generator, Tensor

from epslab.errors import UserError
from epslab.generative.samplers.noise import source

Score = Callable[[Tensor], Tensor]
"""Points [n ...] to ∇ log p at each of them, in the same shape."""
NoisyScore = Callable[[Tensor, Tensor], Tensor]
"""(points [n ...], sigma [n]) to the score of the density smoothed by normal noise of standard deviation sigma."""


def langevin(
    score: Score,
    points: Float[Tensor, "n *shape"],
    *,
    step: float,
    steps: int,
    generator: Generator | None = None,
    noise: Iterable[Tensor] | None = None,
) -> Float[Tensor, "n *shape"]:
    """Unadjusted Langevin dynamics: steps along the score, with noise.

        x ← x + h·∇ log p(x) + √(2h)·xi,    xi ~ N(0, I)

    As h falls and h·steps grows, the points become samples of p. A finite h leaves a bias: on N(0, s²) the variance
    settles at s²/(1 − h/(2s²)), and from h = 2s² on the points diverge. (Song & Ermon's alpha is 2h.)

    >>> from epslab import seeds
    >>> x = langevin(lambda x: -x, torch.zeros(10_000, 2), step=0.1, steps=100, generator=seeds.generator(0, "x"))
    >>> round(float(x.var()), 1)  # exactly 1/0.95, but for the noise
    1.1

    Args:
        score: Points to ∇ log p, in the same shape.
        points: Where the chains start, one a row. They are not changed.
        step: h > 0, in squared units of the points.
        steps: Number of steps, 0 or more.
        generator: Draws xi, each chain's from a seed of its own (None: torch's default generator draws the seeds).
        noise: Gives xi of each step in turn, in place of the generator.

    Returns:
        The points after the last step.

    Raises:
        UserError: h is not positive, steps is negative, both a generator and noise are given, the score has another
            shape than the points, or the noise ends too early or has another shape.
    """
    _require(step, steps)
    x, xis = points, source(points.shape, generator, noise, points)
    for _ in range(steps):
        x = x + step * _checked(score(x), x) + (2 * step) ** 0.5 * next(xis)
    return x


def annealed_langevin(
    score: NoisyScore,
    points: Float[Tensor, "n *shape"],
    sigmas: Sequence[float] | Float[Tensor, " levels"],
    *,
    step: float = 0.1,
    steps: int = 10,
    generator: Generator | None = None,
    noise: Iterable[Tensor] | None = None,
) -> Float[Tensor, "n *shape"]:
    """Langevin dynamics down a ladder of noise levels (Song & Ermon, 2019, algorithm 1).

    At each sigma, from the first to the last, ``steps`` steps of size h = step·sigma² on the score of the density
    smoothed by that noise:

        x ← x + h·∇ log p_sigma(x) + √(2h)·xi

    Broad levels join modes that a plain chain never crosses between, narrow levels add detail. (In the paper's
    symbols step = ε/(2·sigma_L²).) Where p_sigma is a normal of variance sigma², the variance settles at
    sigma²/(1 − step/2).

    >>> smooth = lambda x, sigma: -x / (1 + sigma[:, None] ** 2)  # the score of N(0, 1), smoothed
    >>> annealed_langevin(smooth, 5 * torch.randn(100, 2), [5.0, 1.0, 0.2]).shape
    torch.Size([100, 2])

    Args:
        score: (points, sigma [n]) to the score of p_sigma, in the points' shape.
        points: Where the chains start: draws of N(0, sigma_1²), or any broad noise.
        sigmas: The ladder, from broad to narrow; the samples are those of its last level.
        step: Step size as a share of sigma², above 0 and below 2.
        steps: Steps at each level.
        generator: Draws xi, each chain's from a seed of its own (None: torch's default generator draws the seeds).
        noise: Gives xi of each step in turn, in place of the generator.

    Raises:
        UserError: No level, one that is not positive, a step that makes the chains diverge, or what ``langevin``
            refuses.
    """
    ladder = [float(sigma) for sigma in sigmas]
    if not ladder or not min(ladder) > 0:
        raise UserError(f"sigmas are {ladder}, but a ladder has at least one noise level and all are more than 0.")
    if not 0 < step < 2:
        raise UserError(f"The step is {step} of sigma², but must be above 0 and below 2: from 2 on the chains diverge.")
    x, xis = points, source(points.shape, generator, noise, points)
    for sigma in ladder:
        x = langevin(_at(score, sigma), x, step=step * sigma**2, steps=steps, noise=xis)
    return x


def _at(score: NoisyScore, sigma: float) -> Score:
    """The score at one noise level."""
    return lambda x: score(x, x.new_full((len(x),), sigma))


def _checked(score: Tensor, x: Tensor) -> Tensor:
    if score.shape != x.shape:
        raise UserError(
            f"The score has shape {list(score.shape)} at points of shape {list(x.shape)}; it must have the same shape,"
            " ∇ log p in each coordinate."
        )
    return score


def _require(step: float, steps: int) -> None:
    if not step > 0:
        raise UserError(f"The step size is {step}, but must be more than 0.")
    if steps < 0:
        raise UserError(f"steps is {steps}, but must be 0 or more.")
