"""When a difference is more than noise: two attacks on the same examples, and a share against a limit."""

import math
from typing import NamedTuple

from jaxtyping import Bool
from torch import Tensor

from epslab.classifiers import Proportion

MARGIN = 0.01
"""Differences up to this share of the examples count for nothing."""
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

    @property
    def nothing(self) -> bool:
        """Whether neither breaks anything, so that there is nothing to compare."""
        return not self.stronger and not self.weaker


def paired(stronger: Bool[Tensor, " n"], weaker: Bool[Tensor, " n"]) -> Paired:
    """Compare which examples two attacks break: McNemar's (1947) test, exact and one-sided, on those they differ in."""
    only_stronger, only_weaker = int((stronger & ~weaker).sum()), int((weaker & ~stronger).sum())
    differing = only_stronger + only_weaker
    p = sum(math.comb(differing, k) for k in range(only_weaker, differing + 1)) / 2**differing
    return Paired(len(stronger), int(stronger.sum()), int(weaker.sum()), only_weaker, p)


def exceeds(share: Proportion, limit: float) -> bool:
    """Whether a share is above a limit beyond doubt: its one-sided lower bound (Clopper–Pearson, 1 − LEVEL) is."""
    return share.interval(1 - 2 * LEVEL)[0] > limit


def falls_short(share: Proportion, limit: float) -> bool:
    """Whether a share is below a limit beyond doubt."""
    return share.interval(1 - 2 * LEVEL)[1] < limit
