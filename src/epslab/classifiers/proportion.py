"""A fraction of successes with its confidence interval."""

import functools
from typing import NamedTuple

from jaxtyping import Bool
from torch import Tensor

from epslab.errors import UserError
from epslab.runs.text import percent


class Interval(NamedTuple):
    """The ends of an interval of a fraction, in 0..1.

    >>> print(Interval(0.89275316, 0.94999525))
    [89.3, 95.0] %
    """

    low: float
    high: float

    def __str__(self) -> str:
        return f"[{100 * self.low:.1f}, {100 * self.high:.1f}] %"


class Proportion(float):
    """successes/n: a float that carries its exact confidence interval.

    >>> print(Proportion(97, 100))
    97.0 % [91.5, 99.4]

    Args:
        successes: 0..n.
        n: Number of trials, ≥ 1.

    Raises:
        UserError: No trials, or successes outside 0..n.
    """

    successes: int
    n: int

    def __new__(cls, successes: int, n: int) -> "Proportion":
        """The number, with its counts."""
        if n < 1 or not 0 <= successes <= n:
            raise UserError(f"{successes} successes in {n} trials are no proportion: give 0 ≤ successes ≤ n and n ≥ 1.")
        self = super().__new__(cls, successes / n)
        self.successes = successes
        self.n = n
        return self

    def __getnewargs__(self) -> tuple[int, int]:  # type: ignore[override]  # float's own are a float
        """What copies and pickles are made from."""
        return self.successes, self.n

    @classmethod
    def of(cls, outcomes: Bool[Tensor, " n"]) -> "Proportion":
        """The fraction of true outcomes among n ≥ 1."""
        return cls(int(outcomes.sum()), len(outcomes))

    def interval(self, confidence: float = 0.95) -> Interval:
        """Lower and upper end of the two-sided interval of Clopper & Pearson (1934).

        It covers the true probability with at least this confidence, whatever that probability is. At the lower end,
        this number of successes or more happens with probability (1 − confidence)/2; at the upper end, this number or
        fewer.

        Raises:
            UserError: A confidence outside (0, 1).
        """
        if not 0 < confidence < 1:
            raise UserError(f"confidence={confidence}: it must lie between 0 and 1, e.g. 0.95.")
        return Interval(*_interval(self.successes, self.n, confidence))

    def __str__(self) -> str:
        """``97.2 % [96.1, 98.0]``: percent, with the 95 % interval."""
        return percent(self, self.interval())

    def __repr__(self) -> str:
        """As it is made."""
        return f"Proportion({self.successes}, {self.n})"

    def to_dict(self) -> dict[str, float | int]:
        """``value``, ``successes``, ``n`` and the 95 % interval's ``low`` and ``high``, for JSON."""
        low, high = self.interval()
        return {"value": float(self), "successes": self.successes, "n": self.n, "low": low, "high": high}


@functools.cache
def _interval(successes: int, n: int, confidence: float) -> tuple[float, float]:
    from scipy.special import betaincinv  # a quantile of the beta distribution, without scipy.stats' second of import

    tail = (1 - confidence) / 2
    low = float(betaincinv(successes, n - successes + 1, tail)) if successes > 0 else 0.0
    high = float(betaincinv(successes + 1, n - successes, 1 - tail)) if successes < n else 1.0
    return low, high
