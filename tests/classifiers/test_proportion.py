"""Proportions: plain numbers with the exact interval."""

import copy
import json
import math
import pickle

import pytest
import torch
from scipy.stats import binom, binomtest

from epslab.classifiers import Proportion
from epslab.errors import UserError


@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.99])
@pytest.mark.parametrize(("successes", "n"), [(0, 1), (1, 1), (0, 20), (20, 20), (1, 20), (7, 20), (972, 1000)])
def test_the_interval_is_that_of_clopper_and_pearson(successes: int, n: int, confidence: float) -> None:
    expected = binomtest(successes, n).proportion_ci(confidence, method="exact")
    low, high = Proportion(successes, n).interval(confidence)
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-9)
    assert low <= successes / n <= high


@pytest.mark.parametrize("n", [1, 2, 5, 12])
def test_the_interval_covers_the_truth_as_often_as_it_says_whatever_the_truth(n: int) -> None:
    intervals = [Proportion(k, n).interval(0.9) for k in range(n + 1)]
    coverage = []
    for p in torch.linspace(0, 1, 401, dtype=torch.float64).tolist():
        covered = [k for k, (low, high) in enumerate(intervals) if low <= p <= high]
        coverage.append(sum(float(binom.pmf(k, n, p)) for k in covered))
    assert min(coverage) >= 0.9 - 1e-12
    # Each end is exact: at the upper end of k, so few successes or fewer have half of what is left.
    for k, (_, high) in enumerate(intervals[:-1]):
        assert float(binom.cdf(k, n, high)) == pytest.approx(0.05, abs=1e-9)


def test_it_is_the_number_it_stands_for() -> None:
    share = Proportion(3, 4)
    assert share == 0.75
    assert 1 - share == 0.25
    assert math.isclose(100 * share, 75)
    assert json.dumps({"accuracy": share}) == '{"accuracy": 0.75}'
    assert (share.successes, share.n) == (3, 4)


def test_it_is_made_from_outcomes_and_reads_as_percent() -> None:
    share = Proportion.of(torch.arange(1000) < 972)
    assert (share.successes, share.n) == (972, 1000)
    low, high = binomtest(972, 1000).proportion_ci(0.95, method="exact")
    assert str(share) == f"97.2 % [{100 * low:.1f}, {100 * high:.1f}]" == "97.2 % [96.0, 98.1]"
    assert repr(share) == "Proportion(972, 1000)"
    assert f"{share:.3f}" == "0.972"


def test_its_json_holds_counts_and_interval() -> None:
    share = Proportion(1, 2)
    low, high = share.interval(0.95)
    assert share.to_dict() == {"value": 0.5, "successes": 1, "n": 2, "low": low, "high": high}
    assert type(share.to_dict()["value"]) is float


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda p: pickle.loads(pickle.dumps(p))])
def test_copies_keep_the_counts(again: object) -> None:
    share = again(Proportion(3, 4))  # type: ignore[operator]
    assert (share, share.successes, share.n) == (0.75, 3, 4)


@pytest.mark.parametrize(("successes", "n"), [(0, 0), (3, 2), (-1, 5)])
def test_counts_that_are_no_proportion_are_refused(successes: int, n: int) -> None:
    with pytest.raises(UserError, match=f"{successes} successes in {n} trials"):
        Proportion(successes, n)


def test_no_outcomes_are_refused() -> None:
    with pytest.raises(UserError, match="0 successes in 0 trials"):
        Proportion.of(torch.zeros(0, dtype=torch.bool))


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95.0, float("nan")])
def test_a_confidence_outside_the_unit_interval_is_refused(confidence: float) -> None:
    with pytest.raises(UserError, match="confidence="):
        Proportion(1, 2).interval(confidence)
