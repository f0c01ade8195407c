import numpy as np
import pytest
import torch
from scipy.stats import ttest_rel

from epslab.evaluation.paired import Difference, difference, mean_difference


def _outcomes(both: int, gained: int, lost: int, neither: int) -> tuple[torch.Tensor, torch.Tensor]:
    pairs = [(True, True)] * both + [(True, False)] * gained + [(False, True)] * lost + [(False, False)] * neither
    return tuple(torch.tensor(column) for column in zip(*pairs, strict=True))


def test_the_difference_is_that_of_the_shares() -> None:
    more, less = _outcomes(5, 20, 3, 12)
    found = difference(more, less)
    assert found.value == pytest.approx((more.double().mean() - less.double().mean()).item())
    assert found.low < found.value < found.high
    # By hand: p = 21/42, q = 4/42.
    half = 1.959964 * ((21 / 42 + 4 / 42 - (17 / 42) ** 2) / 42) ** 0.5
    assert (found.low, found.high) == pytest.approx((17 / 42 - half, 17 / 42 + half))
    turned = difference(less, more)
    assert (turned.low, turned.high) == pytest.approx((-found.high, -found.low))


def test_an_interval_keeps_its_width_where_nothing_disagrees() -> None:
    found = difference(*_outcomes(10, 0, 0, 10))
    assert found.value == 0
    assert found.low < -0.05
    assert found.high > 0.05


@pytest.mark.parametrize(("p", "q"), [(0.3, 0.1), (0.7, 0.0), (0.02, 0.02)])
def test_the_interval_holds_the_truth_nineteen_times_of_twenty(p: float, q: float) -> None:
    n, repeats = 60, 2000
    drawn = np.random.default_rng(0).multinomial(n, [p, q, 1 - p - q], repeats)
    held = 0
    for gained, lost, rest in drawn.tolist():
        low, high = difference(*_outcomes(0, gained, lost, rest))[1:]
        held += low <= p - q <= high
    assert held / repeats > 0.95 - 4 * (0.95 * 0.05 / repeats) ** 0.5


@pytest.mark.parametrize("n", [2, 5, 400])
def test_a_mean_of_differences_has_the_interval_of_scipys_paired_t_test(n: int) -> None:
    b, noise = np.random.default_rng(n).normal(size=(2, n))
    a = 0.7 * b + noise + 0.3
    interval = ttest_rel(a, b).confidence_interval(0.95)
    found = mean_difference(torch.tensor(a - b))
    assert found == pytest.approx(((a - b).mean(), interval.low, interval.high))
    assert found.sign == int(interval.low > 0) - int(interval.high < 0)


def test_a_mean_of_differences_is_written_in_points() -> None:
    found = mean_difference(torch.tensor([0.5, -0.5, 1.0, 0.0], dtype=torch.float64))
    assert str(found).startswith("25.0 points [−")


def test_nothing_is_written_as_minus_zero() -> None:
    assert str(Difference(0.01, -0.0004, 0.02)) == "1.0 points [0.0, 2.0]"
    assert str(Difference(-0.01, -0.02, -0.0006)) == "−1.0 points [−2.0, −0.1]"
