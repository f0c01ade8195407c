"""Distances of distributions from samples or moments: Wasserstein, Fréchet, maximum mean discrepancy."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from epslab.errors import UserError


def wasserstein_1d(x: Float[Tensor, "*batch n"], y: Float[Tensor, "*batch m"]) -> Float[Tensor, "*batch"]:
    """W1 of two samples on the line: ∫ |F⁻¹(u) − G⁻¹(u)| du, the quantile coupling, of any two sizes n, m ≥ 1.

    Args:
        x: Samples [n], or [batch n] for several pairs at once.
        y: Samples [m], or [batch m].

    Returns:
        The distance of each pair, in the samples' unit.

    >>> wasserstein_1d(torch.tensor([0.0, 1.0]), torch.tensor([2.0, 3.0]))
    tensor(2.)

    Raises:
        UserError: A sample is empty.
    """
    n, m = x.shape[-1], y.shape[-1]
    _require_samples(n, m, 1)
    x, y = x.sort(-1).values, y.sort(-1).values
    if n == m:
        return (x - y).abs().mean(-1)
    # Both quantile functions are constant between the levels i/n and j/m; times n·m these are whole numbers.
    i = torch.arange(1, n + 1, device=x.device) * m
    j = torch.arange(1, m + 1, device=x.device) * n
    level = torch.cat([i, j]).sort().values
    width = level.diff(prepend=level.new_zeros(1)).to(x.dtype) / (n * m)
    return ((x[..., (level - 1) // m] - y[..., (level - 1) // n]).abs() * width).sum(-1)


def sliced_wasserstein(
    x: Float[Tensor, "n d"], y: Float[Tensor, "m d"], projections: int = 256, generator: Generator | None = None
) -> Float[Tensor, ""]:
    """Mean of W1 over lines in random directions through d dimensions; Bonneel et al. (2015).

    Args:
        x: Samples [n d].
        y: Samples [m d].
        projections: Number of directions, uniform on the sphere; the error falls with its square root.
        generator: Draws the directions (None: torch's default).

    Raises:
        UserError: ``projections`` < 1, or a sample is empty.
    """
    if projections < 1:
        raise UserError(f"The number of projections is {projections}, but must be at least 1.")
    source = x.device if generator is None else generator.device
    directions = torch.randn(projections, x.shape[1], generator=generator, dtype=x.dtype, device=source).to(x.device)
    directions = directions / directions.norm(dim=1, keepdim=True)
    return wasserstein_1d(directions @ x.T, directions @ y.T).mean()


@torch.no_grad()
def frechet(
    mean_1: Float[Tensor, " d"],
    cov_1: Float[Tensor, "d d"],
    mean_2: Float[Tensor, " d"],
    cov_2: Float[Tensor, "d d"],
) -> Float[Tensor, ""]:
    """‖m1 − m2‖² + tr(C1 + C2 − 2 (C1 C2)^½): the squared W2 of two normal laws; Dowson & Landau (1982).

    Covariances may be singular. It is a metric to report: no gradient is kept.
    """
    # tr (C1 C2)^½ is the sum of the singular values of C1^½ C2^½, which stays real and exact for singular covariances.
    overlap = torch.linalg.svdvals(_symmetric_sqrt(cov_1) @ _symmetric_sqrt(cov_2)).sum()
    squared: Tensor = (mean_1 - mean_2).square().sum() + cov_1.trace() + cov_2.trace() - 2 * overlap
    return squared.clamp(min=0.0)


def mmd(x: Float[Tensor, "n d"], y: Float[Tensor, "m d"], bandwidth: float) -> Float[Tensor, ""]:
    """The unbiased estimate of the **squared** maximum mean discrepancy; Gretton et al. (2012), eq. 3.

    The kernel is exp(−‖x − y‖²/(2·bandwidth²)). For samples of one distribution its expectation is 0, so it can
    be negative.

    Args:
        x: Samples [n d], n ≥ 2.
        y: Samples [m d], m ≥ 2.
        bandwidth: Width of the kernel > 0, in the unit of the samples.

    Raises:
        UserError: ``bandwidth`` is not positive, or a sample has fewer than two points.
    """
    if not bandwidth > 0:
        raise UserError(f"The kernel's bandwidth is {bandwidth}, but must be positive; try the median distance.")
    return _unbiased(x, y, lambda squared: torch.exp(-squared / (2 * bandwidth**2)))


def mmd_inverse_multiquadratic(
    x: Float[Tensor, "n d"], y: Float[Tensor, "m d"], scales: Sequence[float]
) -> Float[Tensor, ""]:
    """The same estimate with a kernel whose tails are heavy: Σ_c c/(c + ‖x − y‖²) over the scales c.

    Far points keep a gradient, where that of a normal kernel vanishes (Tolstikhin et al., 2018, section 4, who take
    c = 2·d·s for draws of N(0, I), s = 0.1, 0.2, 0.5, 1, 2, 5, 10).

    Args:
        x: Samples [n d], n ≥ 2.
        y: Samples [m d], m ≥ 2.
        scales: At least one c > 0, in the squared unit of the samples.

    Raises:
        UserError: A scale is not positive, or a sample has fewer than two points.
    """
    if not scales or not min(scales) > 0:
        raise UserError(f"The kernel's scales are {tuple(scales)}, but must be one or more positive numbers.")
    return _unbiased(x, y, lambda squared: torch.stack([c / (c + squared) for c in scales]).sum(0))


def _unbiased(
    x: Float[Tensor, "n d"], y: Float[Tensor, "m d"], kernel: Callable[[Tensor], Tensor]
) -> Float[Tensor, ""]:
    """The squared discrepancy by a kernel of the squared distance."""
    _require_samples(len(x), len(y), 2)

    def at(a: Tensor, b: Tensor) -> Tensor:
        # Distances by differences: by matrix products, those of near points would be rounding errors.
        return kernel(torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist").square())

    return _off_diagonal_mean(at(x, x)) + _off_diagonal_mean(at(y, y)) - 2 * at(x, y).mean()


def _off_diagonal_mean(k: Float[Tensor, "p p"]) -> Float[Tensor, ""]:
    # A point paired with itself, where k is greatest, is what would bias the estimate.
    return (k.sum() - k.trace()) / (len(k) * (len(k) - 1))


def _symmetric_sqrt(matrix: Float[Tensor, "d d"]) -> Float[Tensor, "d d"]:
    """The positive semi-definite square root."""
    values, vectors = torch.linalg.eigh(matrix)
    root: Tensor = (vectors * values.clamp(min=0.0).sqrt()) @ vectors.T
    return root


def _require_samples(n: int, m: int, least: int) -> None:
    if min(n, m) < least:
        raise UserError(f"The samples have {n} and {m} points, but at least {least} in each are needed.")
