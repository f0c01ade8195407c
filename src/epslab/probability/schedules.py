"""Noise schedules of diffusion: how much of the image is left at each time t = 0..T−1.

    q(x_t given x_0) = N(√ᾱ_t·x_0, (1 − ᾱ_t) I),    ᾱ_t = Π_{s ≤ t} α_s,    α_t = 1 − β_t,

Ho et al. (2020), eq. 2 and 4, with t counted from 0: at t = 0 one step of noise is already in the image. The cosine
schedule is Nichol & Dhariwal's (2021), eq. 17.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from epslab.errors import UserError

_LARGEST = 0.999  # of β, so that the last times keep a trace of the image
_OFFSET = 0.008  # s of the cosine schedule: √β_0 is then a little less than one grey level of 256 in [−1, 1]


@dataclass(frozen=True, eq=False)
class Schedule:
    """The noise at each time, [T] each.

    ``of``, ``linear`` and ``cosine`` give float64. A schedule of one's own keeps its type, and samplers compute their
    coefficients in it: so a run that was computed in float32, where 1 − ᾱ_t/ᾱ_s loses digits, is replayed to the digit.

    >>> schedule = Schedule.of(torch.tensor([0.1, 0.5]))
    >>> schedule.alpha_bar
    tensor([0.9000, 0.4500], dtype=torch.float64)

    Args:
        beta: β_t, the variance that step t adds, in (0, 1).
        alpha: α_t = 1 − β_t.
        alpha_bar: ᾱ_t, the product of α up to t: what is left of the image's variance.

    Raises:
        UserError: The three do not have the same length T ≥ 1, a β is outside (0, 1), or they do not fit together.
    """

    beta: Float[Tensor, "..."]
    alpha: Float[Tensor, "..."]
    alpha_bar: Float[Tensor, "..."]

    def __post_init__(self) -> None:
        """Check that the three are one schedule."""
        for name in ("beta", "alpha", "alpha_bar"):
            object.__setattr__(self, name, getattr(self, name).detach().cpu())
        if self.beta.ndim != 1 or not len(self.beta) == len(self.alpha) == len(self.alpha_bar) > 0:
            raise UserError(
                "A schedule needs one beta, alpha and alpha_bar for each of at least 1 time, not shapes"
                f" {list(self.beta.shape)}, {list(self.alpha.shape)} and {list(self.alpha_bar.shape)}."
            )
        if not ((self.beta > 0) & (self.beta < 1)).all():
            raise UserError(
                "Every beta of a schedule must lie between 0 and 1, but they range from"
                f" {self.beta.min().item():g} to {self.beta.max().item():g}."
            )
        whole = torch.allclose(self.alpha, 1 - self.beta, rtol=1e-5, atol=0.0)
        if not (whole and torch.allclose(self.alpha_bar, self.alpha.cumprod(0), rtol=1e-3, atol=0.0)):
            raise UserError(
                "In a schedule alpha is 1 − beta and alpha_bar is its product up to t; use Schedule.of(beta)."
            )

    @classmethod
    def of(cls, beta: Float[Tensor, "..."]) -> "Schedule":
        """The schedule with these β_t, in float64."""
        beta = beta.detach().to("cpu", torch.float64)
        alpha = 1 - beta
        return cls(beta, alpha, alpha.cumprod(0))

    def __len__(self) -> int:
        """T, the number of times."""
        return len(self.beta)

    @property
    def sigma(self) -> Float[Tensor, " T"]:
        """σ_t = √((1 − ᾱ_t)/ᾱ_t), the noise's standard deviation where the image keeps its scale; rises with t."""
        return ((1 - self.alpha_bar) / self.alpha_bar).sqrt()


def linear(steps: int) -> Schedule:
    """β_t in equal steps from 0.1/T to 20/T: Ho et al.'s (2020) 10⁻⁴ to 0.02 at T = 1000, and the same end at other T.

    Args:
        steps: T ≥ 1; below 21 the largest β are cut at 0.999.

    >>> linear(1000).beta[[0, -1]]
    tensor([0.0001, 0.0200], dtype=torch.float64)

    Raises:
        UserError: steps < 1.
    """
    _check(steps)
    downwards = torch.linspace(20 / steps, 0.1 / steps, steps, dtype=torch.float64)  # a single step takes the largest
    return Schedule.of(downwards.flip(0).clamp(max=_LARGEST))


def cosine(steps: int) -> Schedule:
    """The schedule whose ᾱ falls as a squared cosine; Nichol & Dhariwal (2021), eq. 17.

        f(u) = cos²((u + s)/(1 + s)·π/2),    β_t = min(1 − f((t + 1)/T)/f(t/T), 0.999),    s = 0.008

    It destroys the image more evenly than the linear one.

    Args:
        steps: T ≥ 1.

    >>> cosine(1000).alpha_bar[[0, 499, -1]]
    tensor([9.9996e-01, 4.9384e-01, 2.4288e-09], dtype=torch.float64)

    Raises:
        UserError: steps < 1.
    """
    _check(steps)
    u = torch.arange(steps + 1, dtype=torch.float64) / steps
    f = torch.cos((u + _OFFSET) / (1 + _OFFSET) * (math.pi / 2)).square()
    return Schedule.of((1 - f[1:] / f[:-1]).clamp(max=_LARGEST))


def _check(steps: int) -> None:
    if steps < 1:
        raise UserError(f"A schedule has {steps} steps, but needs at least 1.")
