"""Differences between two measurements of the same examples, with their intervals, and how they are written."""

import math
from typing import NamedTuple

from jaxtyping import Bool, Float
from torch import Tensor

from epslab.evaluation.estimate import Estimate

_Z = 1.959964  # standard normal quantile of 0.975


class Difference(NamedTuple):
    """A difference of two shares, or of two means, with its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        """``73.3 points [68.2, 77.4]``: in percentage points."""
        # Adding 0 makes the −0 that rounding may leave a 0.
        value, low, high = (f"{round(100 * part, 1) + 0.0:.1f}".replace("-", "−") for part in self)
        return f"{value} points [{low}, {high}]"

    @property
    def sign(self) -> int:
        """1 or −1 where the interval lies on one side of 0; 0 where chance may explain the difference."""
        return (self.low > 0) - (self.high < 0)


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
    """The mean of a difference known for each of n ≥ 2 examples, with the interval of the paired t-test.

    The mean ± t·s/√n, where s is the standard deviation of the differences and t the quantile 0.975 of Student's
    distribution with n − 1 degrees of freedom.
    """
    from scipy.special import stdtrit  # the quantile, without scipy.stats' second of import

    estimate = Estimate.of(differences)
    half = float(stdtrit(estimate.n - 1, 0.975)) * estimate.standard_error
    return Difference(estimate.mean, estimate.mean - half, estimate.mean + half)
