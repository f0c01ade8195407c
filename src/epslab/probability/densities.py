"""Log-densities of normal distributions with independent coordinates, summed over the last axis.

Densities are computed in float32 or wider: half precision is widened first.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

_HALF_LOG_2_PI = 0.5 * math.log(2 * math.pi)


def wide(values: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """The values in float32 or wider: sums of logarithms in half precision lose whole nats."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def log_normal(
    z: Float[Tensor, "*#batch d"], mean: Float[Tensor, "*#batch #d"], log_std: Float[Tensor, "*#batch #d"]
) -> Float[Tensor, "..."]:
    """Log N(z; mean, diag(std²)) in nats, summed over the last axis of z; mean and log_std broadcast."""
    z, mean, log_std = wide(z), wide(mean), wide(log_std)
    eps = (z - mean) * (-log_std).exp()
    return (-0.5 * eps.square() - log_std - _HALF_LOG_2_PI).sum(-1)


def log_standard_normal(z: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch"]:
    """Log N(z; 0, I) in nats, summed over the last axis."""
    return -0.5 * wide(z).square().sum(-1) - z.shape[-1] * _HALF_LOG_2_PI
