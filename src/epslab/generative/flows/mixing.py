"""The invertible 1×1 convolution: one matrix mixes the channels of every pixel, or the coordinates of a point."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from epslab.generative.flows.bijection import Values
from epslab.probability.densities import wide
from epslab.types import PerExample


class Mixing(nn.Module):
    """z = W x + b at every pixel (Kingma & Dhariwal, 2018, eq. 9); for points, one matrix.

        log|det ∂z/∂x| = h·w·log|det W|

    W starts as a random rotation. Glow's actnorm, a scale and a shift for each channel, is contained in W and b.

    Args:
        channels: c, the number of channels or coordinates.

    >>> z, log_det = Mixing(4)(torch.randn(5, 4, 3, 3))
    >>> z.shape, log_det.abs().max() < 1e-4
    (torch.Size([5, 4, 3, 3]), tensor(True))
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        rotation, _ = torch.linalg.qr(torch.randn(channels, channels))
        self.weight = nn.Parameter(rotation)
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Values) -> tuple[Values, PerExample]:
        """Z and the log-determinant, the same for every example."""
        weight = wide(self.weight)
        log_det = x.shape[2:].numel() * torch.linalg.slogdet(weight).logabsdet
        return _applied(weight, x) + _broadcast(self.bias, x), log_det.expand(len(x))

    def inverse(self, z: Values) -> Values:
        """X = W⁻¹ (z − b)."""
        return _applied(torch.linalg.inv(wide(self.weight)), z - _broadcast(self.bias, z))


def _applied(weight: Float[Tensor, "c c"], x: Values) -> Values:
    # Not in half precision, whatever the nets compute in: the inverse would be another map.
    with torch.autocast(x.device.type, enabled=False):
        if x.ndim == 2:
            return x @ weight.to(x.dtype).T
        return torch.nn.functional.conv2d(x, weight.to(x.dtype)[:, :, None, None])


def _broadcast(bias: Float[Tensor, " c"], x: Values) -> Tensor:
    return wide(bias).view(-1, *[1] * (x.ndim - 2))
