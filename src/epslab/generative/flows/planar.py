"""The planar flow: space is stretched along one direction, around one plane."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

_LOG_E_1 = math.log(math.e - 1)


def planar(
    z: Float[Tensor, "*batch d"], u: Float[Tensor, "*#batch d"], w: Float[Tensor, "*#batch d"], b: Float[Tensor, "..."]
) -> tuple[Float[Tensor, "*batch d"], Float[Tensor, "*batch"]]:
    """f(z) = z + û·tanh(wᵀz + b) and its log-determinant (Rezende & Mohamed, 2015, eq. 10 to 12).

        log|det ∂f/∂z| = log|1 + ûᵀψ(z)|,    ψ(z) = (1 − tanh²(wᵀz + b))·w

    It is invertible where wᵀû > −1. As in their appendix A.1, û is u moved along w:

        û = u + (m(wᵀu) − wᵀu)·w/‖w‖²,    m(x) = −1 + log(1 + (e − 1)·eˣ)

    with the factor e − 1 added, so that u = 0 gives the identity.

    >>> z, log_det = planar(torch.randn(5, 2), torch.zeros(2), torch.ones(2), torch.zeros(()))
    >>> log_det
    tensor([0., 0., 0., 0., 0.])
    """
    wu = (w * u).sum(-1, keepdim=True)
    u_hat = u + (F.softplus(wu + _LOG_E_1) - 1 - wu) * w / w.square().sum(-1, keepdim=True)
    h = torch.tanh((w * z).sum(-1) + b)
    log_det = torch.log1p((1 - h.square()) * (u_hat * w).sum(-1))
    return z + u_hat * h.unsqueeze(-1), log_det
