"""Means with standard errors, and how they are written."""

import math

import pytest
import torch

from epslab.evaluation import Estimate


def test_mean_and_standard_error() -> None:
    estimate = Estimate.of(torch.tensor([1.0, 2.0, 3.0, 6.0]))
    assert estimate.mean == 3.0
    assert estimate.standard_error == pytest.approx(math.sqrt((4 + 1 + 0 + 9) / 3 / 4))
    assert estimate.n == 4


def test_float32_values_are_summed_in_float64() -> None:
    values = torch.full((1_000_000,), 0.1)
    assert Estimate.of(values).mean == pytest.approx(values[0].item(), rel=1e-12)


def test_nan_and_infinity_stay_visible() -> None:
    assert math.isnan(Estimate.of(torch.tensor([1.0, math.nan])).mean)
    assert Estimate.of(torch.tensor([1.0, -math.inf])).mean == -math.inf


def test_a_single_value_has_no_known_error() -> None:
    estimate = Estimate.of(torch.tensor([2.5]))
    assert math.isnan(estimate.standard_error)
    assert str(estimate) == "2.5"


def test_another_unit_scales_both_and_an_error_is_never_negative() -> None:
    assert Estimate(2.0, 0.5, 10).scaled(-2.0) == Estimate(-4.0, 1.0, 10)


@pytest.mark.parametrize(
    ("mean", "error", "text"),
    [
        (98.34, 0.21, "98.34 ± 0.21"),
        (98.3456, 0.146, "98.35 ± 0.15"),
        (-103.27, 0.0312, "−103.270 ± 0.031"),
        (0.5361, 0.00098, "0.53610 ± 0.00098"),
        (1234.5, 23.0, "1,234 ± 23"),
        (98.34, 0.096, "98.340 ± 0.096"),
        (0.0, 0.0, "0 ± 0"),
    ],
)
def test_it_is_written_to_the_errors_second_digit(mean: float, error: float, text: str) -> None:
    assert str(Estimate(mean, error, 100)) == text
