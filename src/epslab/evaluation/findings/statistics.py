"""When a difference is more than noise: two attacks on the same examples, and a proportion against a limit."""

import math
from typing import NamedTuple

from jaxtyping import Bool
from torch import Tensor

from epslab.classifiers import Proportion
from epslab.runs import number

MARGIN = 0.01
"""Differences of up to this part of the examples do not matter."""
LEVEL = 0.01
"""A difference counts if chance alone gives it less often than this."""


class Paired(NamedTuple):
    """Two attacks, the supposedly stronger and the weaker, on the same n examples."""

    n: int
    stronger: int  #: examples the one supposed to be stronger breaks
    weaker: int  #: examples the other breaks
    only_weaker: int  #: examples that only the weaker breaks
    p: float  #: how often chance gives as many, if neither is stronger

    @property
    def reversed(self) -> bool:
        """Whether the weaker is the stronger: by more than ``MARGIN`` of the examples, and not by chance."""
        return self.weaker - self.stronger > MARGIN * self.n and self.p < LEVEL


def paired(stronger: Bool[Tensor, " n"], weaker: Bool[Tensor, " n"]) -> Paired:
    """Compare which examples two attacks break: McNemar's (1947) test, exact and one-sided, on those they differ in."""
    only_stronger, only_weaker = int((stronger & ~weaker).sum()), int((weaker & ~stronger).sum())
    differing = only_stronger + only_weaker
    p = sum(math.comb(differing, k) for k in range(only_weaker, differing + 1)) / 2**differing
    return Paired(len(stronger), int(stronger.sum()), int(weaker.sum()), only_weaker, p)


class Decision(NamedTuple):
    """Whether a measured proportion is beyond a limit by more than chance explains."""

    failed: bool
    why: str  #: a sentence with the proportion, the limit, and the bound where it decides


def at_most(measured: Proportion, limit: float) -> Decision:
    """Fails where the one-sided lower bound (Clopper–Pearson, confidence 1 − ``LEVEL``) is above the limit."""
    if measured <= limit:
        return Decision(False, f"That is {_percent(measured)}, within the {_percent(limit)} allowed.")
    return _decided(measured, "lower", measured.interval(1 - 2 * LEVEL)[0], f"the {_percent(limit)} allowed", limit)


def at_least(measured: Proportion, limit: float) -> Decision:
    """Fails where the one-sided upper bound (Clopper–Pearson, confidence 1 − ``LEVEL``) is below the limit."""
    if measured >= limit:
        return Decision(False, f"That is {_percent(measured)}; at least {_percent(limit)} is required.")
    return _decided(measured, "upper", measured.interval(1 - 2 * LEVEL)[1], f"the {_percent(limit)} required", limit)


def _decided(measured: Proportion, end: str, bound: float, what: str, limit: float) -> Decision:
    failed, side = (bound > limit, "above") if end == "lower" else (bound < limit, "below")
    verdict = f"is still {side} {what}" if failed else f"is not {side} {what}, so chance may explain the difference"
    confidence = _percent(1 - LEVEL)
    return Decision(
        failed,
        f"That is {_percent(measured)}; its {end} bound at {confidence} confidence, {_percent(bound)}, {verdict}.",
    )


def _percent(part: float) -> str:
    """Three digits, which tell a share from its limit: "2.67 %", "1 %"."""
    return f"{number(100 * float(part))} %"
