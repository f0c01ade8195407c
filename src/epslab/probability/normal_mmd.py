"""The maximum mean discrepancy of a sample from N(0, I), with the side of the normal law in closed form.

With the kernel k(z, z') = exp(−‖z − z'‖²/2h²) in D dimensions and y, y' ~ N(0, I),

    μ(z) = E k(z, y) = (h²/(h² + 1))^{D/2} · exp(−‖z‖²/(2(h² + 1))),    E k(y, y') = (h²/(h² + 2))^{D/2}.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from epslab.errors import UserError


def normal_mmd(z: Float[Tensor, "n d"], bandwidth: float | None = None) -> Float[Tensor, ""]:
    """The unbiased estimate of the **squared** discrepancy between the law of z and N(0, I), in float64.

        MMD² = 1/(n(n − 1)) Σ_{i≠j} k(z_i, z_j) − 2/n Σ_i μ(z_i) + E k(y, y')

    Gretton et al. (2012), eq. 3, with the expectations over the normal law exact. For draws of N(0, I) its expectation
    is 0 and its standard deviation ``normal_mmd_error``, so it can be negative.

    >>> z = torch.randn(500, 2, generator=torch.Generator().manual_seed(0))
    >>> bool(normal_mmd(z).abs() < 4 * normal_mmd_error(500, 2)), bool(normal_mmd(z + 1) > 0.1)
    (True, True)

    Args:
        z: Codes, n ≥ 2 of them.
        bandwidth: h > 0; None: √d, which two draws of N(0, I) are √2 times apart.

    Raises:
        UserError: Fewer than two codes, or a bandwidth that is not positive.
    """
    n, d = z.shape
    h2 = _squared(bandwidth, d)
    if n < 2:
        raise UserError(f"The discrepancy of codes from their prior needs at least 2 codes, not {n}.")
    z = z.double()
    # Distances by differences: by matrix products, those of near codes would be rounding errors.
    k = torch.exp(-torch.cdist(z, z, compute_mode="donot_use_mm_for_euclid_dist").square() / (2 * h2))
    within = (k.sum() - k.trace()) / (n * (n - 1))
    mu = (h2 / (h2 + 1)) ** (d / 2) * torch.exp(-z.square().sum(1) / (2 * (h2 + 1)))
    squared: Tensor = within - 2 * mu.mean() + (h2 / (h2 + 2)) ** (d / 2)
    return squared


def normal_mmd_error(n: int, d: int, bandwidth: float | None = None) -> float:
    """The standard deviation of ``normal_mmd`` for n draws of N(0, I) itself, exact.

        √(2/(n(n − 1)) · (E k² − 2 E μ² + (E k)²)),    all at independent draws of N(0, I)

    Gretton et al. (2012), appendix B: the kernel with both its means taken off has no first-order part.

    Raises:
        UserError: n < 2, or a bandwidth that is not positive.
    """
    h2 = _squared(bandwidth, d)
    if n < 2:
        raise UserError(f"The discrepancy of codes from their prior needs at least 2 codes, not {n}.")
    k = (h2 / (h2 + 2)) ** (d / 2)
    k_squared = (h2 / (h2 + 4)) ** (d / 2)
    mu_squared = (h2 / (h2 + 1)) ** d * ((h2 + 1) / (h2 + 3)) ** (d / 2)
    return math.sqrt(2 / (n * (n - 1)) * (k_squared - 2 * mu_squared + k**2))


def _squared(bandwidth: float | None, d: int) -> float:
    """h²."""
    if bandwidth is not None and not bandwidth > 0:
        raise UserError(f"The kernel's bandwidth is {bandwidth}, but must be positive.")
    return float(d) if bandwidth is None else bandwidth**2
