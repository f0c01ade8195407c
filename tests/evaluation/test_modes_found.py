"""Modes found and good samples: a perfect sampler's shares are known exactly, and so are those of planted failures."""

import math

import pytest
import torch

from epslab import data, seeds
from epslab.data import Modes
from epslab.data.toys import gaussian_grid, gaussian_ring
from epslab.errors import UserError
from epslab.evaluation import evaluate_modes

N = 20_000
PERFECT = 1 - math.exp(-4.5)  # P(χ²_2 ≤ 9)


def modes_of(name: str) -> Modes:
    modes = data.load_examples(name).modes  # type: ignore[attr-defined]
    assert isinstance(modes, Modes)
    return modes


@pytest.mark.parametrize(("name", "sampler", "k"), [("ring", gaussian_ring, 8), ("grid", gaussian_grid, 25)])
def test_a_perfect_sampler_reaches_what_theory_says(name: str, sampler: object, k: int) -> None:
    modes = modes_of(name)
    assert modes.within(3.0) == pytest.approx(PERFECT, abs=1e-14)
    report = evaluate_modes(sampler(N, generator=seeds.generator(1, "modes")), modes)  # type: ignore[operator]
    assert report.found == len(modes) == k
    assert abs(report.good - PERFECT) <= 4 * math.sqrt(PERFECT * (1 - PERFECT) / N)
    # 2n·KL is χ² of k − 1 degrees of freedom: mean k − 1, variance 2(k − 1).
    assert abs(2 * N * report.imbalance - (k - 1)) <= 4 * math.sqrt(2 * (k - 1))
    # r²/2σ² is exponential, cut at 4.5: mean m and variance v. The spread is the root of its mean over m.
    cut = math.exp(-4.5)
    m = 1 - 4.5 * cut / (1 - cut)
    v = (2 - cut * (4.5**2 + 9 + 2)) / (1 - cut) - m**2
    assert abs(report.spread - 1) <= 4 * math.sqrt(v / N) / (2 * m)


def test_planted_failures_are_counted() -> None:
    modes = Modes(torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]]), std=0.5)
    samples = torch.tensor([[0.0, 1.5], [0.0, -1.4], [10.0, 0.0], [5.0, 5.0], [1.5, 0.1]])
    report = evaluate_modes(samples, modes)
    assert report.counts.tolist() == [2, 1, 0]  # exactly 3 deviations is within; ‖(1.5, 0.1)‖ is not
    assert (report.found, report.good.successes, report.good.n) == (2, 3, 5)
    assert report.imbalance == pytest.approx(math.log(3) - (math.log(3) - 2 / 3 * math.log(2)), abs=1e-12)
    assert evaluate_modes(samples, modes, deviations=2.9).counts.tolist() == [1, 1, 0]
    assert [one.value for one in report.measurements()][:2] == [2, 0.6]
    assert report.statement.startswith("2 of 3 modes have a sample within 3 standard deviations; 60.0 %")


def test_modes_collapsed_to_points_are_all_found_but_have_no_width() -> None:
    modes = modes_of("grid")
    report = evaluate_modes(modes.centres.repeat(100, 1), modes)
    assert (report.found, float(report.good), report.imbalance, report.spread) == (25, 1.0, 0.0, 0.0)


def test_samples_that_diverged_are_counted_not_dropped() -> None:
    modes = modes_of("ring")
    good = modes.centres
    bad = torch.tensor([[math.nan, 0.0], [math.inf, 0.0], [-math.inf, math.nan]])
    report = evaluate_modes(torch.cat([good, bad]), modes)
    assert (report.good.successes, report.good.n) == (8, 11)
    nothing = evaluate_modes(bad, modes)
    assert (nothing.found, float(nothing.good)) == (0, 0.0)
    assert math.isnan(nothing.imbalance)
    assert math.isnan(nothing.spread)
    assert "nan" not in nothing.statement


def test_half_precision_and_other_dimensions() -> None:
    line = Modes(torch.tensor([[-1.0], [1.0]], dtype=torch.float64), std=0.1)
    assert line.within(1.0) == pytest.approx(math.erf(1 / math.sqrt(2)), abs=1e-14)
    assert evaluate_modes(torch.tensor([[1.125]], dtype=torch.bfloat16), line).counts.tolist() == [0, 1]
    assert line.nearest(torch.tensor([[0.5]]))[1].tolist() == [1]


@pytest.mark.parametrize("samples", [torch.zeros(0, 2), torch.zeros(3, 3), torch.zeros(2)])
def test_what_are_no_points_like_the_centres_is_refused(samples: torch.Tensor) -> None:
    with pytest.raises(UserError, match=r"must be \[n 2\], n ≥ 1"):
        evaluate_modes.__wrapped__(samples, modes_of("ring"))  # type: ignore[attr-defined]


def test_impossible_modes_are_refused() -> None:
    with pytest.raises(UserError, match=r"deviations=0\.0"):
        evaluate_modes(torch.zeros(1, 2), modes_of("ring"), 0.0)
    with pytest.raises(UserError, match=r"standard deviation is 0\.0"):
        Modes(torch.zeros(1, 2), 0.0)
    for centres in (torch.zeros(2), torch.zeros(0, 2), torch.zeros(2, 2, dtype=torch.int64)):
        with pytest.raises(UserError, match=r"floating-point centres \[k d\]"):
            Modes(centres, 1.0)
