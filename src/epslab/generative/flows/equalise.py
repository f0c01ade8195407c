"""The first layer for images: grey levels become normal, by the distribution function of all pixels.

Most pixels of a drawing are exactly black. Spread over one level's width and mapped linearly, they would lie in a
narrow box that no affine map turns into a normal. The distribution function of the pixels gives each level the room
that its frequency asks for (histogram equalisation; Chen & Gopinath, 2001, "Gaussianization").
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from epslab.types import PerExample

_HALF_LOG_2_PI = 0.5 * math.log(2 * math.pi)
_TAIL = 2.0**-25  # noise stays this far from the borders of a level


class Equalise(nn.Module):
    """z = Φ⁻¹(F(x)), one F for all pixels: x = (k + u)/K lies in level k of K, which has the probability p_k.

        F(x) = Σ_{j<k} p_j + p_k·u,    log|dz/dx| = log(K·p_k) + ½·z² + ½·log 2π

    F is piecewise linear and Φ the standard normal distribution function: with p_k the frequencies of the levels, every
    z is standard normal on its own. The p_k are learnt, as a softmax. In the upper half z is computed from 1 − F, whose
    small values keep their digits.

    Args:
        levels: K ≥ 2.

    >>> z, log_det = Equalise(2)(torch.tensor([[[[0, 1]]]]), torch.tensor([[[[0.5, 0.5]]]]))
    >>> (z * 1e4).round().flatten().tolist()  # the quartiles of N(0, 1)
    [-6745.0, 6745.0]
    """

    def __init__(self, levels: int) -> None:
        super().__init__()
        self.levels = levels
        self.logits = nn.Parameter(torch.zeros(levels))

    @torch.no_grad()
    def initialise(self, k: Int[Tensor, "n c h w"]) -> None:
        """Take the frequencies of these levels, each counted once more than it is seen."""
        counts = torch.bincount(k.flatten(), minlength=self.levels).to(torch.float64) + 1
        self.logits.copy_((counts / counts.sum()).log())

    def forward(
        self, k: Int[Tensor, "n c h w"], u: Float[Tensor, "n c h w"]
    ) -> tuple[Float[Tensor, "n c h w"], PerExample]:
        """Z and log|det ∂z/∂x|, from the levels and the noise within them."""
        below, above, p = self._tables()
        table = torch.stack([below, above, p, p.log()], dim=1).to(u.dtype)
        below, above, p, log_p = F.embedding(k, table).unbind(-1)
        u = u.clamp(_TAIL, 1 - 2 * _TAIL)
        lower, upper = below + p * u, above + p * (1 - u)
        z = torch.special.ndtri(torch.minimum(lower, upper))
        z = torch.where(lower < upper, z, -z)
        log_det = log_p + (math.log(self.levels) + _HALF_LOG_2_PI) + 0.5 * z.square()
        return z, log_det.flatten(1).sum(1)

    def inverse(self, z: Float[Tensor, "n c h w"]) -> tuple[Int[Tensor, "n c h w"], Float[Tensor, "n c h w"]]:
        """Levels k and noise u in [0, 1]."""
        below, above, p = self._tables()
        tail = torch.special.ndtr(-z.abs()).to(p.dtype)  # the smaller of F and 1 − F
        from_below = torch.searchsorted(below, tail, right=True) - 1
        from_above = torch.searchsorted(-above, -tail, right=True)
        k = torch.where(z < 0, from_below, from_above).clamp_(0, self.levels - 1)
        u = torch.where(z < 0, (tail - below[k]) / p[k], 1 - (tail - above[k]) / p[k])
        return k, u.clamp(0, 1).to(z.dtype)

    def _tables(self) -> tuple[Tensor, Tensor, Tensor]:
        """Σ_{j<k} p_j, Σ_{j>k} p_j and p_k, each [K], in float64: few numbers, of which all digits are used."""
        p = self.logits.to(torch.float64).softmax(0)
        below = F.pad(p.cumsum(0)[:-1], (1, 0))
        above = F.pad(p.flip(0).cumsum(0)[:-1], (1, 0)).flip(0)
        return below, above, p


def levels_of(x: Float[Tensor, "n c h w"], levels: int) -> tuple[Int[Tensor, "n c h w"], Float[Tensor, "n c h w"]]:
    """The level k of each value of [0, 1] and where in it the value lies: x = (k + u)/K."""
    k = (x.detach() * levels).long().clamp_(0, levels - 1)
    return k, x * levels - k
