"""The first layer for points: each coordinate gets mean 0 and standard deviation 1."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from epslab.probability.densities import wide
from epslab.types import PerExample

_SMALLEST = 1e-6  # standard deviation of a coordinate that does not vary


class Standardise(nn.Module):
    """z = (x − mean)·exp(−log_std) for each coordinate, learnt from there on.

    >>> layer = Standardise(2)
    >>> layer.initialise(torch.tensor([[0.0, 10.0], [2.0, 30.0]]))
    >>> layer(torch.tensor([[1.0, 20.0]]))[0]
    tensor([[0., 0.]], grad_fn=<MulBackward0>)

    Args:
        dim: d, the number of coordinates.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(dim))
        self.log_std = nn.Parameter(torch.zeros(dim))

    @torch.no_grad()
    def initialise(self, points: Float[Tensor, "n d"]) -> None:
        """Take mean and standard deviation from these points."""
        self.mean.copy_(points.mean(0))
        self.log_std.copy_(points.std(0, correction=0).clamp(min=_SMALLEST).log())

    def forward(self, x: Float[Tensor, "n d"]) -> tuple[Float[Tensor, "n d"], PerExample]:
        """The standardised points and the log-determinant −Σ log_std."""
        log_std = wide(self.log_std)
        return (x - wide(self.mean)) * (-log_std).exp(), -log_std.sum().expand(len(x))

    def inverse(self, z: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        """X = z·exp(log_std) + mean."""
        return z * wide(self.log_std).exp() + wide(self.mean)
