"""Mode collapse is told from chance: full, partial, absent; with classes and without."""

import math

import pytest
import torch

from epslab import seeds
from epslab.errors import UserError
from epslab.evaluation.collapse import evaluate_collapse

NAMES = tuple("abcde")


def points(n: int, classes: tuple[int, ...] = (0, 1, 2, 3, 4), name: str = "data") -> tuple[torch.Tensor, torch.Tensor]:
    """Normals around a centre for each class, the classes equally likely."""
    g = seeds.generator(0, name)
    labels = torch.tensor(classes)[torch.randint(len(classes), (n,), generator=g)]
    centres = 5 * torch.eye(5)
    return centres[labels] + torch.randn(n, 5, generator=g), labels


def test_the_datas_own_law_has_not_collapsed() -> None:
    (samples, own), (examples, labels) = points(2000, name="samples"), points(4000)
    report = evaluate_collapse(samples, examples, (own, labels), NAMES)
    assert abs(report.spread.mean - 1) < 4 * report.spread.standard_error
    assert report.spread.standard_error < 0.02
    assert not report.collapsed
    assert report.statement.startswith("No sign of mode collapse: samples show all 5 classes;")


def test_the_error_of_the_spread_is_that_of_its_repetitions() -> None:
    found = [evaluate_collapse(points(200, name=f"s{i}")[0], points(400, name=f"d{i}")[0]).spread for i in range(200)]
    spread = torch.tensor([one.mean for one in found]).std().item()
    claimed = sum(one.standard_error for one in found) / len(found)
    assert abs(spread / claimed - 1) < 4 / (2 * len(found)) ** 0.5


def test_the_imbalance_of_chance_is_its_expectation() -> None:
    """To first order in 1/n, E KL(counts/n ‖ shares) = (k − 1)/(2n), and its standard deviation √((k − 1)/2)/n."""
    n, k, repeats = 500, 5, 300
    examples, labels = points(n)[0], torch.arange(k)
    g = seeds.generator(0, "counts")
    drawn = (torch.randint(k, (n,), generator=g) for _ in range(repeats))
    values = [evaluate_collapse(examples, examples, (own, labels), NAMES).imbalance for own in drawn]
    error = math.sqrt((k - 1) / 2) / n / math.sqrt(repeats)
    assert abs(sum(values) / repeats - (k - 1) / (2 * n)) < 4 * error


def test_a_class_left_out_is_missed_though_the_spread_is_that_of_the_data() -> None:
    (samples, own), (examples, labels) = points(1000, (0, 1, 2, 3), name="samples"), points(2000)
    report = evaluate_collapse(samples, examples, (own, labels), NAMES)
    assert report.spread.mean > 0.9
    assert report.collapsed
    assert report.missing == ("e",)
    assert "none of 1,000 samples is a 'e'" in report.statement
    assert report.imbalance == pytest.approx(math.log(5 / 4), abs=4 * math.sqrt(3 / 2) / 1000 + 3 / 2000)
    numbers = {one.key: one.value for one in report.measurements()}
    assert numbers["classes_drawn"] == 4


def test_a_few_samples_that_miss_a_rare_class_say_nothing() -> None:
    examples, labels = points(1000)
    rare = torch.where(labels == 4, torch.tensor(0), labels)
    rare[:20] = 4  # 2 % of the data
    report = evaluate_collapse(examples[:40], examples, (torch.arange(40) % 4, rare), NAMES)
    assert report.missing == ()
    assert not report.collapsed


@pytest.mark.parametrize("width", [0.0, 0.2])
def test_samples_that_are_nearly_one_have_collapsed(width: float) -> None:
    examples, _ = points(1000)
    samples = examples[:1] + width * torch.randn(300, 5, generator=seeds.generator(0, "one"))
    report = evaluate_collapse(samples, examples)
    assert report.collapsed
    assert report.statement.startswith("The model has collapsed:")
    assert math.isnan(report.imbalance)
    assert [one.key for one in report.measurements()] == ["spread"]


def test_too_few_are_refused() -> None:
    with pytest.raises(UserError, match="3 samples and 5 examples are too few"):
        evaluate_collapse(torch.zeros(3, 2), torch.zeros(5, 2))
