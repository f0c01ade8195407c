"""Differences between shares of the same examples, with their intervals, and how they are written."""

import math
from typing import NamedTuple

from jaxtyping import Bool, Float
from torch import Tensor

from epslab.evaluation.estimate import Estimate

_Z = 1.959964  # standard normal quantile of 0.975


class Difference(NamedTuple):
    """A difference of two shares, with its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        """``73.3 points [68.2, 77.4]``: in percentage points."""
        # Adding 0 makes the −0 that rounding may leave a 0.
        value, low, high = (f"{round(100 * part, 1) + 0.0:.1f}".replace("-", "−") for part in self)
        return f"{value} points [{low}, {high}]"


def difference(more: Bool[Tensor, " n"], less: Bool[Tensor, " n"]) -> Difference:
    """The share of ``more`` minus that of ``less``, outcomes on the same n examples.

    The interval is Bonett & Price's (2012): Wald's, with one example added to either kind of disagreement, so that it
    keeps a width where the two never disagree.
    """
    n = len(more)
    gained, lost = int((more & ~less).sum()), int((less & ~more).sum())
    p, q = (gained + 1) / (n + 2), (lost + 1) / (n + 2)
    half = _Z * math.sqrt((p + q - (p - q) ** 2) / (n + 2))
    return Difference((gained - lost) / n, max(-1.0, p - q - half), min(1.0, p - q + half))


def mean_difference(differences: Float[Tensor, " n"]) -> Difference:
    """The mean of a difference known for each of n examples, with Wald's interval."""
    estimate = Estimate.of(differences)
    half = _Z * estimate.standard_error
    return Difference(estimate.mean, estimate.mean - half, estimate.mean + half)
