"""Dequantisation: noise u that turns levels k into continuous values x = (k + u)/K.

For a density p(x) on [0, 1]^M and noise u ~ q(u given k) on [0, 1]^M, the probability of the levels is bounded by
Jensen's inequality (Theis et al., 2016; Ho et al., 2019, eq. 11):

    log P(k) = log ∫ p((k + u)/K) du/K^M  ≥  E_q[ log p(x) − log q(u given k) ] − M·log K
"""

from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from epslab.generative.flows.coupling import AffineCoupling
from epslab.generative.flows.multiscale import halvable, layers_of, squeezed
from epslab.nets.conditioner import ConvConditioner
from epslab.probability.densities import log_standard_normal, wide
from epslab.seeds import noise, uniform
from epslab.types import ImageShape, PerExample, Seeds

Levels = Int[Tensor, "n c h w"]
Noise = Float[Tensor, "n c h w"]


@runtime_checkable
class Dequantisation(Protocol):
    """The law q of the noise within a level."""

    def __call__(self, k: Levels, seeds: Seeds, counter: int, dtype: torch.dtype) -> tuple[Noise, PerExample]:
        """U in (0, 1), and log q(u given k) in nats, [n]; draw ``counter`` of each example's seed."""
        ...


class UniformDequantisation(nn.Module):
    """u ~ U(0, 1), so log q = 0.

    >>> k = torch.zeros(3, 1, 4, 4, dtype=torch.int64)
    >>> u, log_q = UniformDequantisation()(k, torch.arange(3), 0, torch.float32)
    >>> u.shape, log_q
    (torch.Size([3, 1, 4, 4]), tensor([0., 0., 0.]))
    """

    def forward(self, k: Levels, seeds: Seeds, counter: int, dtype: torch.dtype) -> tuple[Noise, PerExample]:
        """U and log q."""
        u = uniform(seeds, counter, tuple(k.shape[1:]), dtype)
        return u, u.new_zeros(len(u))


class VariationalDequantisation(nn.Module):
    """u = Φ(v), with v a flow of normal noise that sees the whole image of levels (Ho et al., 2019, section 3.1).

        v = f(eps; k),    log q(u given k) = log N(eps; 0, I) − log|det ∂v/∂eps| − log N(v; 0, I)

    Trained with the flow, on one bound. It starts as uniform noise.

    Args:
        shape: (c, h, w).
        levels: K.
        steps: Steps of the flow of the noise, each a mixing and an affine coupling.
        width: Channels of the hidden layers.

    >>> k = torch.zeros(3, 1, 4, 4, dtype=torch.int64)
    >>> u, log_q = VariationalDequantisation((1, 4, 4), 256, width=8)(k, torch.arange(3), 0, torch.float32)
    >>> u.shape, log_q.abs().max() < 1e-4
    (torch.Size([3, 1, 4, 4]), tensor(True))
    """

    def __init__(self, shape: ImageShape, levels: int, steps: int = 2, width: int = 32) -> None:
        super().__init__()
        self.levels = levels
        self.squeezes = halvable(shape)
        c, h, w = (4 * shape[0], shape[1] // 2, shape[2] // 2) if self.squeezes else shape
        self.features = ConvConditioner(c, width, (h, w), width)
        self.affine = nn.Conv2d(width, 2 * c, 3, padding=1)
        self.layers = nn.ModuleList(layers_of((c, h, w), steps, width, context=width))
        nn.init.normal_(self.features.last.weight, std=0.05)
        for parameter in self.affine.parameters():
            nn.init.zeros_(parameter)

    def forward(self, k: Levels, seeds: Seeds, counter: int, dtype: torch.dtype) -> tuple[Noise, PerExample]:
        """U and log q."""
        eps = noise(seeds, counter, tuple(k.shape[1:]), dtype)
        x = k.to(dtype) * (2 / (self.levels - 1)) - 1
        if self.squeezes:
            x, eps = squeezed(x), squeezed(eps)
        h = F.relu(self.features(x.to(self.affine.weight.dtype)))
        t, s = wide(self.affine(h)).chunk(2, dim=1)
        s = 2 * torch.tanh(s / 2)
        v, log_det = eps * s.exp() + t, s.flatten(1).sum(1)
        for layer in self.layers:
            v, own = layer(v, h) if isinstance(layer, AffineCoupling) else layer(v)
            log_det = log_det + own
        log_q = log_standard_normal(eps.flatten(1)) - log_det - log_standard_normal(v.flatten(1))
        u = torch.special.ndtr(v)
        return F.pixel_shuffle(u, 2) if self.squeezes else u, log_q
