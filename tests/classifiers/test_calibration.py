"""Calibration: zero where it is zero by construction, known by hand elsewhere, and torchmetrics' number."""

import json
import math

import pytest
import torch
from torch import Tensor
from torchmetrics.functional.classification import multiclass_calibration_error

from epslab import seeds
from epslab.classifiers.calibration import calibration, calibration_error
from epslab.errors import UserError


def two_classes(confidences: Tensor) -> Tensor:
    """Logits that give class 1 these probabilities."""
    return torch.stack([torch.zeros_like(confidences), torch.logit(confidences)], dim=1)


def random(n: int = 400, classes: int = 5) -> tuple[Tensor, Tensor]:
    g = seeds.generator(0, "calibration")
    return 2 * torch.randn(n, classes, generator=g), torch.randint(classes, (n,), generator=g)


def test_a_model_whose_confidences_are_frequencies_has_error_zero() -> None:
    # For each confidence k/20, 20 predictions of class 1, k of them right.
    shares = torch.arange(11, 20)
    labels = (torch.arange(20) < shares[:, None]).long().flatten()
    found = calibration(two_classes((shares.double() / 20).repeat_interleave(20)), labels, bins=40)
    assert found.error == pytest.approx(0, abs=1e-12)
    filled = found.count > 0
    assert filled.sum() == len(shares)
    torch.testing.assert_close(found.confidence[filled], shares.double() / 20)
    torch.testing.assert_close(found.accuracy[filled], shares.double() / 20)


def test_an_overconfident_model_is_off_by_exactly_so_much() -> None:
    # 0.88 sure and right in 6 of 10: |0.6 − 0.88|; and 0.57 sure and right in 9 of 10, weighed half as much.
    confidences = torch.tensor([0.88] * 20 + [0.57] * 10, dtype=torch.float64)
    labels = torch.tensor([1] * 12 + [0] * 8 + [1] * 9 + [0])
    found = calibration(two_classes(confidences), labels, bins=10)
    assert found.error == pytest.approx((20 * 0.28 + 10 * 0.33) / 30, abs=1e-12)
    assert found.count.tolist() == [0, 0, 0, 0, 0, 10, 0, 0, 20, 0]
    assert found.accuracy[[5, 8]].tolist() == pytest.approx([0.9, 0.6])
    # In one bin the errors partly cancel: the number of bins is a part of the definition.
    assert calibration_error(two_classes(confidences), labels, bins=1) == pytest.approx((23.3 - 21) / 30, abs=1e-12)


@pytest.mark.parametrize("bins", [1, 7, 15])
def test_it_is_torchmetrics_number_and_the_curves_own(bins: int) -> None:
    logits, labels = random()
    found = calibration(logits, labels, bins)
    probabilities = logits.double().softmax(1)
    expected = multiclass_calibration_error(probabilities, labels, logits.shape[1], n_bins=bins, norm="l1")
    assert found.error == pytest.approx(float(expected), abs=1e-6)  # which works in float32
    gaps = (found.accuracy - found.confidence).abs().nan_to_num() * found.count / found.count.sum()
    assert found.error == pytest.approx(float(gaps.sum()), abs=1e-12)
    assert found.bins == bins
    assert found.count.sum() == len(labels)


def test_the_curve_is_that_of_a_loop_over_bins() -> None:
    logits, labels = random()
    confidence, predicted = logits.double().softmax(1).max(1)
    found = calibration(logits, labels, 15)
    for b in range(15):
        inside = (confidence > b / 15) & (confidence <= (b + 1) / 15)
        assert found.count[b] == inside.sum()
        expected = torch.stack([confidence[inside].mean(), (predicted == labels)[inside].double().mean()])
        torch.testing.assert_close(torch.stack([found.confidence[b], found.accuracy[b]]), expected, equal_nan=True)


def test_a_confidence_on_an_edge_belongs_to_the_bin_below_it() -> None:
    found = calibration(torch.zeros(3, 2), torch.tensor([0, 0, 1]), bins=4)
    assert found.count.tolist() == [0, 3, 0, 0]


def test_a_confidence_of_exactly_one_belongs_to_the_last_bin() -> None:
    # One hundred sure predictions and one of 0.95, in a bin together: their mean error, not the sum of their errors.
    logits = torch.cat([two_classes(torch.full((1,), 0.95)), torch.tensor([[0.0, 1e4]]).expand(100, 2)])
    labels = torch.tensor([1] + [0] + [1] * 99)
    found = calibration(logits, labels, bins=10)
    assert found.count.tolist() == [0] * 9 + [101]
    assert found.error == pytest.approx(abs(100 - 100.95) / 101, abs=1e-7)


def test_the_error_is_at_most_one_and_a_shift_of_all_logits_changes_nothing() -> None:
    logits, labels = random()
    assert calibration_error(logits + 50, labels) == pytest.approx(calibration_error(logits, labels), abs=1e-5)
    sure = torch.tensor([[0.0, 1e4]]).expand(5, 2)
    assert calibration_error(sure, torch.zeros(5, dtype=torch.int64)) == 1


def test_its_json_has_none_for_empty_bins() -> None:
    logits = two_classes(torch.tensor([0.9, 0.9], dtype=torch.float64))
    found = json.loads(json.dumps(calibration(logits, torch.tensor([1, 0]), bins=4).to_dict(), allow_nan=False))
    assert math.isclose(found.pop("error"), 0.4)
    assert math.isclose(found["confidence"].pop(), 0.9)
    assert found == {
        "bins": 4,
        "confidence": [None] * 3,
        "accuracy": [None] * 3 + [0.5],
        "count": [0, 0, 0, 2],
    }


def test_wrong_inputs_are_one_sentence() -> None:
    logits, labels = random(6)
    with pytest.raises(UserError, match="bins=0"):
        calibration(logits, labels, 0)
    with pytest.raises(UserError, match="6 examples and 5 labels"):
        calibration(logits, labels[:5])
    with pytest.raises(UserError, match="0 examples and 0 labels"):
        calibration_error(logits[:0], labels[:0])
    with pytest.raises(UserError, match="5 classes"):
        calibration(logits, labels + 5)
