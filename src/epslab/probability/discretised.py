"""The normal distribution on grey levels: the mass that falls on each level's share of the line."""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def log_discretised_normal(
    k: Int[Tensor, "*shape"], mean: Float[Tensor, "*shape"], std: float, levels: int
) -> Float[Tensor, "*shape"]:
    """Log P(k) of a normal variable on [−1, 1] that is rounded to the nearest of K levels 2k/(K−1) − 1.

        P(k) = Φ((k⁺ − μ)/σ) − Φ((k⁻ − μ)/σ),    k± = (2k ± 1)/(K − 1) − 1,

    with k⁻ = −∞ at the first level and k⁺ = +∞ at the last (Ho et al., 2020, eq. 13), so the levels' masses add up to
    1. Computed in float64, accurate in both tails.

    >>> k = torch.arange(4)
    >>> log_discretised_normal(k, torch.full((4,), 0.3), 0.5, levels=4).exp().sum().round(decimals=6)
    tensor(1., dtype=torch.float64)

    Args:
        k: Levels 0..K−1.
        mean: μ, on the scale of [−1, 1].
        std: σ > 0, on that scale.
        levels: K ≥ 2.
    """
    mean, twice = mean.double(), 2 * k.double()
    below = torch.where(k == 0, -torch.inf, ((twice - 1) / (levels - 1) - 1 - mean) / std)
    above = torch.where(k == levels - 1, torch.inf, ((twice + 1) / (levels - 1) - 1 - mean) / std)
    # In the upper tail Φ is 1 to machine precision; the mirrored interval has the same mass.
    mirrored = below + above > 0
    low = torch.special.log_ndtr(torch.where(mirrored, -above, below))
    high = torch.special.log_ndtr(torch.where(mirrored, -below, above))
    log_p: Tensor = high + torch.log(-torch.expm1(low - high))
    return log_p
