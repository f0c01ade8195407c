"""The radial flow: space is stretched around one point."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def radial(
    z: Float[Tensor, "*batch d"],
    centre: Float[Tensor, "*#batch d"],
    log_alpha: Float[Tensor, "..."],
    beta: Float[Tensor, "..."],
) -> tuple[Float[Tensor, "*batch d"], Float[Tensor, "*batch"]]:
    """f(z) = z + β̂·h·(z − z_0), h = 1/(α + r), r = ‖z − z_0‖ (Rezende & Mohamed, 2015, eq. 14).

        log|det ∂f/∂z| = (d − 1)·log(1 + β̂·h) + log(1 + β̂·α·h²)

    It is invertible where β̂ > −α (their appendix A.2): β̂ = −α + log(1 + (e^α − 1)·e^β), so that β = 0 gives the
    identity.

    >>> z, log_det = radial(torch.randn(5, 2), torch.zeros(2), torch.zeros(()), torch.zeros(()))
    >>> log_det.abs().max() < 1e-6
    tensor(True)
    """
    alpha = log_alpha.exp()
    beta_hat = F.softplus(beta + alpha.expm1().log()) - alpha
    away = z - centre
    h = 1 / (alpha + torch.linalg.vector_norm(away, dim=-1))
    stretch = torch.log1p(beta_hat * h)
    log_det = (z.shape[-1] - 1) * stretch + torch.log1p(beta_hat * alpha * h.square())
    return z + (beta_hat * h).unsqueeze(-1) * away, log_det
