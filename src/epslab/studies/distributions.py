"""Divergences of two distributions that move apart: in closed form, and by numeric integration."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from epslab.probability import divergences

CELLS = 1 << 14  #: of the grid that a density is integrated on
_LEFT, _RIGHT = -16.0, 24.0


def normals(shift: float, std: float = 2.0) -> dict[str, float]:
    """Divergences of p = N(0, 1) and q = N(shift, std²) in nats, and W1: closed forms, Jensen–Shannon integrated.

    std is at least 1, so that no tail underflows in the integral.
    W1 is E|q's quantile − p's| = E|shift + (std − 1)·Z| with Z ~ N(0, 1): a folded normal's mean.
    """
    zero, log_std = torch.zeros(1, dtype=torch.float64), torch.full((1,), math.log(std), dtype=torch.float64)
    forward = divergences.kl_normal(zero, zero, zero + shift, log_std).item()
    reverse = divergences.kl_normal(zero + shift, log_std, zero, zero).item()
    spread = abs(std - 1)
    if spread == 0:
        w1 = abs(shift)
    else:
        a = shift / spread
        w1 = shift * math.erf(a / math.sqrt(2)) + spread * math.sqrt(2 / math.pi) * math.exp(-0.5 * a * a)
    return {
        "KL(p‖q)": forward,
        "KL(q‖p)": reverse,
        "Jeffreys": forward + reverse,
        "Jensen–Shannon": divergences.jensen_shannon(_normal_cells(0.0, 1.0), _normal_cells(shift, std)).item(),
        "Wasserstein-1": w1,
    }


def normals_numerically(shift: float, std: float = 2.0) -> dict[str, float]:
    """The same from the cells of both distributions on a fine grid, and from their quantiles: no closed form."""
    p, q = _normal_cells(0.0, 1.0), _normal_cells(shift, std)
    levels = (torch.arange(CELLS, dtype=torch.float64) + 0.5) / CELLS
    quantiles = torch.special.ndtri(levels)
    return _of_cells(p, q, quantiles, shift + std * quantiles)


def uniforms(shift: float) -> dict[str, float]:
    """Divergences of p = U(0, 1) and q = U(shift, shift + 1), shift ≥ 0, in closed form: common support 1 − shift."""
    alone = min(shift, 1.0)
    kl = math.inf if shift > 0 else 0.0
    return {
        "KL(p‖q)": kl,
        "KL(q‖p)": kl,
        "Jeffreys": kl,
        "Jensen–Shannon": alone * math.log(2),
        "Wasserstein-1": shift,
    }


def uniforms_numerically(shift: float) -> dict[str, float]:
    """The same from cells and quantiles; exact where the shift is a whole number of cells, 1/1024."""
    cells = 1024
    moved = round(shift * cells)
    p, q = torch.zeros(2, cells + moved, dtype=torch.float64)
    p[:cells], q[moved:] = 1 / cells, 1 / cells
    levels = (torch.arange(cells, dtype=torch.float64) + 0.5) / cells
    return _of_cells(p, q, levels, levels + shift)


def _of_cells(
    p: Float[Tensor, " cells"], q: Float[Tensor, " cells"], x: Float[Tensor, " n"], y: Float[Tensor, " n"]
) -> dict[str, float]:
    """Divergences of the cells' probabilities p and q, and W1 of the quantiles x and y."""
    return {
        "KL(p‖q)": divergences.kl_categorical(p, q).item(),
        "KL(q‖p)": divergences.kl_categorical(q, p).item(),
        "Jeffreys": divergences.jeffreys(p, q).item(),
        "Jensen–Shannon": divergences.jensen_shannon(p, q).item(),
        "Wasserstein-1": divergences.wasserstein_1d(x, y).item(),
    }


def _normal_cells(mean: float, std: float) -> Float[Tensor, " cells"]:
    """The density at the middle of each cell of the grid, as probabilities that sum to 1."""
    x = _LEFT + (torch.arange(CELLS, dtype=torch.float64) + 0.5) * ((_RIGHT - _LEFT) / CELLS)
    return (-0.5 * ((x - mean) / std) ** 2).softmax(0)
