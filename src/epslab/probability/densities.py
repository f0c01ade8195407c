"""Log-densities of normal laws with independent coordinates, summed over the last axis."""

import math

from jaxtyping import Float
from torch import Tensor

_HALF_LOG_2_PI = 0.5 * math.log(2 * math.pi)


def log_normal(
    z: Float[Tensor, "*#batch d"], mean: Float[Tensor, "*#batch #d"], log_std: Float[Tensor, "*#batch #d"]
) -> Float[Tensor, "..."]:
    """Log N(z; mean, diag(std²)) in nats, summed over the last axis of z; mean and log_std broadcast."""
    eps = (z - mean) * (-log_std).exp()
    return (-0.5 * eps.square() - log_std - _HALF_LOG_2_PI).sum(-1)


def log_standard_normal(z: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch"]:
    """Log N(z; 0, I) in nats, summed over the last axis."""
    return -0.5 * z.square().sum(-1) - z.shape[-1] * _HALF_LOG_2_PI
