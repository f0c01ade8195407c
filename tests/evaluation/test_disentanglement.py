"""Disentanglement against codes whose measures are known: one factor a dimension, each twice, mixed, noise alone."""

import math
from dataclasses import replace

import pytest
import torch
from scipy import integrate, stats
from torch import Tensor

from epslab import seeds
from epslab.data import FactorSet, load
from epslab.errors import UserError
from epslab.evaluation import evaluate_disentanglement
from epslab.evaluation.disentanglement import DCI, dci, factor_information, factor_vae_score, gaps
from epslab.evaluation.estimate import Estimate

GRID = torch.cartesian_prod(*[torch.arange(4)] * 4)  # four factors of four values, every combination
UNIT = (GRID.double() - 1.5) / GRID.double().std(0)
HADAMARD = torch.tensor([[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]], dtype=torch.float64) / 2
OWN = torch.arange(len(GRID))


def mig(means: Tensor, log_std: float, factors: Tensor = GRID) -> Estimate:
    information = factor_information(means, torch.full_like(means, log_std), factors, torch.arange(len(means)))
    return Estimate.of(gaps(information, factors).mean(1))


def sampled(means: Tensor, std: float) -> Tensor:
    return means + std * torch.randn(means.shape, generator=seeds.generator(0, "z"), dtype=torch.float64)


@pytest.mark.parametrize("std", [0.25, 0.5, 2.0])
def test_information_is_that_of_a_mixture_of_normals(std: float) -> None:
    """z = v + std·eps, v uniform on 0..3: I(z; v) = h(z) − h(std·eps), by numerical integration."""
    factors = torch.arange(4).repeat(500)[:, None]
    means = torch.cat([factors.double(), torch.zeros_like(factors, dtype=torch.float64)], 1)
    found = factor_information(means, torch.full_like(means, math.log(std)), factors, torch.arange(2000))

    def negative_log(z: float) -> float:
        p = stats.norm.pdf(z, [0, 1, 2, 3], std).mean()
        return float(-p * math.log(max(p, 1e-300)))

    entropy = integrate.quad(negative_log, -9 * std, 3 + 9 * std, limit=500, points=[0, 1, 2, 3])[0]
    exact = entropy - 0.5 * math.log(2 * math.pi * math.e * std**2)
    estimate = Estimate.of(found[:, 0, 0])
    assert abs(estimate.mean - exact) <= 4 * estimate.standard_error
    assert found[:, 1, 0].abs().max() < 1e-12  # the same posterior for every image tells nothing, exactly


def test_one_factor_a_dimension() -> None:
    """Of 5 standard deviations between neighbouring values, of whom one in 80 draws is nearer to another."""
    assert mig(UNIT, math.log(0.1)).mean >= 0.9
    found = dci(sampled(UNIT, 0.1), GRID)
    assert min(found.disentanglement, found.completeness, found.informativeness) >= 0.99
    assert float(factor_vae_score(sampled(UNIT, 0.1), GRID)) == 1.0


def test_every_factor_twice() -> None:
    """Each dimension serves one factor, but no factor is in one dimension: no gap, half-complete."""
    twice = torch.cat([UNIT, UNIT], 1)
    assert abs(mig(twice, math.log(0.1)).mean) <= 0.1
    found = dci(sampled(twice, 0.01), GRID)
    assert found.disentanglement >= 0.99
    assert found.completeness < 0.9
    assert float(factor_vae_score(sampled(twice, 0.1), GRID)) == 1.0


def test_a_rotation_that_mixes_all_factors_alike() -> None:
    """Every dimension knows as much of every factor: the gap is 0 within its error, the vote is a guess."""
    rotated = UNIT @ HADAMARD
    gap = mig(rotated, math.log(0.1))
    assert abs(gap.mean) <= 0.02 + 4 * gap.standard_error
    found = dci(sampled(rotated, 0.1), GRID)
    assert max(found.disentanglement, found.completeness) < 0.2


def test_means_below_the_noise_tell_nothing() -> None:
    """The trap: measured on means alone this code would be perfect."""
    tiny = 0.01 * UNIT
    assert mig(tiny, -12.0).mean >= 0.9
    assert abs(mig(tiny, 0.0).mean) < 0.01
    z = sampled(tiny, 1.0)
    assert dci(z, GRID).informativeness < 0.4
    assert float(factor_vae_score(z, GRID)) < 0.4


def test_noise_is_named_right_by_chance() -> None:
    score = factor_vae_score(torch.randn(len(GRID), 6, generator=seeds.generator(1, "z")), GRID, votes=2000, size=8)
    assert abs(float(score) - 0.25) <= 4 * math.sqrt(0.25 * 0.75 / 2000) + 0.02
    constant = factor_vae_score(torch.zeros(len(GRID), 2), GRID)
    assert float(constant) == 0.25


def test_dci_of_known_importances() -> None:
    def of(*rows: tuple[float, ...]) -> DCI:
        return DCI(torch.tensor(rows, dtype=torch.float64), torch.tensor([1.0, 0.5]))

    assert (of((1, 0), (0, 1)).disentanglement, of((1, 0), (0, 1)).completeness) == (1.0, 1.0)
    assert of((0.5, 0.5), (0.5, 0.5)).disentanglement == pytest.approx(0.0, abs=1e-12)
    one_for_both = of((1, 1), (0, 0))
    assert one_for_both.disentanglement == pytest.approx(0.0, abs=1e-12)
    assert one_for_both.completeness == pytest.approx(1.0)
    assert one_for_both.informativeness == 0.75
    # Rows weigh what they are used: 2/3 of the first at entropy h(1/4), 1/3 of the second at 0.
    h = -(0.25 * math.log2(0.25) + 0.75 * math.log2(0.75))
    assert of((1.5, 0.5), (0, 1)).disentanglement == pytest.approx(2 / 3 * (1 - h) + 1 / 3)
    assert of((0, 0), (0, 0)).disentanglement == 0.0


def test_one_dimension_has_no_rival_and_one_value_no_gap() -> None:
    assert mig(UNIT[:, :1], math.log(0.1), GRID[:, :1]).mean >= 0.9
    assert math.isnan(mig(UNIT, math.log(0.1), torch.cat([GRID, torch.zeros_like(GRID[:, :1])], 1)).mean)


class Factors(torch.nn.Module):
    """A code that is read off the image: where it is, how much of it there is, and how bright it is."""

    def __init__(self) -> None:
        super().__init__()
        self.dropout = torch.nn.Dropout(0.5)

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        at, mass = torch.arange(16.0), images.sum((1, 2, 3))
        x, y = (images.sum((1, 2)) @ at) / mass, (images.sum((1, 3)) @ at) / mass
        bright = images.amax((1, 2, 3))
        mean = self.dropout(torch.stack([x / 2, y / 2, 4 * bright, mass / bright / 8], 1))
        return mean, torch.full_like(mean, -3.0)


def test_a_report_reads_the_factors_of_shapes() -> None:
    shapes = load("shapes", "test")
    model = Factors().train()
    report = evaluate_disentanglement(model, shapes, seed=3)  # type: ignore[arg-type]
    assert model.training
    assert model.dropout.training
    assert report.information.argmax(0)[1:].tolist() == [3, 0, 1, 2]
    assert (report.information.max(0).values[1:] > 0.9).all()
    assert report.information[:, 0].max() < 0.5  # no dimension is for the kind of shape
    other = evaluate_disentanglement(model, shapes, seed=3, batch_size=100)  # type: ignore[arg-type]
    assert other.mig.mean == pytest.approx(report.mig.mean, abs=1e-6)
    by_key = {one.key: one for one in report.measurements()}
    assert by_key["mig"].value == pytest.approx(report.gap.mean().item())
    assert by_key["factor_vae"].interval is not None
    assert [row[1] for row in report.table.rows[1:]] == ["z4", "z1", "z2", "z3"]


def test_what_cannot_be_measured_is_refused() -> None:
    shapes = load("shapes", "test")
    assert isinstance(shapes, FactorSet)
    with pytest.raises(UserError, match=r"whose factors are known: give the data set 'shapes'\."):
        evaluate_disentanglement(Factors(), load("digits", "test"))  # type: ignore[arg-type]
    with pytest.raises(UserError, match="at least 4 images, not 3"):
        evaluate_disentanglement(Factors(), shapes[:3])
    with pytest.raises(UserError, match="batch_size is 0"):
        evaluate_disentanglement(Factors(), replace(shapes), batch_size=0)
