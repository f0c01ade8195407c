"""What every attack takes: images of any size and type, models of any kind; and what it refuses, in one sentence."""

import math
import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from epslab.errors import UserError

from .attacks import Case
from .models import CLASSES, classifier, images, labels_for, predicted

X = images(4)


@pytest.mark.parametrize("shape", [(1, 3, 8, 8), (3, 1, 8, 8), (2, 3, 1, 1), (1, 1, 1, 1), (2, 3, 5, 11)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_any_number_size_and_type_of_images(case: Case, shape: tuple[int, ...], dtype: torch.dtype) -> None:
    n, channels, height, width = shape
    x = images(n, channels, max(height, width), dtype=dtype)[..., :height, :width]
    if case.name == "transfer" and channels == 1:
        pytest.skip("the surrogate of these tests takes colour")
    model = classifier(channels, dtype=dtype)
    y = predicted(model, x)
    result = case.attack(model, x, y, seeds=torch.arange(n))
    assert result.images.shape == shape
    assert result.images.dtype == dtype
    assert result.images.isfinite().all()
    if case.norm is not None:
        assert (case.ball().distance(result.images, x) <= case.ball().radii(n)).all()
    with torch.no_grad():
        assert torch.equal(result.success, case.success(model(x), model(result.images), y))


def test_images_that_are_all_at_the_bounds_of_the_box(case: Case) -> None:
    model, x = classifier(), images().round()
    result = case.attack(model, x, labels_for(model, x), seeds=torch.arange(8))
    assert result.images.min() >= 0
    assert result.images.max() <= 1
    if case.whitebox and case.norm is not None:  # they can still move inwards
        assert (result.distance[result.gradients > 0] > 0).any()


def test_a_function_is_a_model(case: Case) -> None:
    model, x = classifier(dtype=torch.float64), images(dtype=torch.float64)
    y = labels_for(model, x)
    module = case.attack(model, x, y, seeds=torch.arange(8))
    function = case.attack(lambda points: model(points), x, y, seeds=torch.arange(8))
    torch.testing.assert_close(function.images, module.images, atol=1e-9, rtol=0.0)
    assert torch.equal(function.success, module.success)


@pytest.mark.parametrize("hold", [lambda z: {"logits": z}, lambda z: SimpleNamespace(logits=z)])
def test_an_output_may_hold_the_logits(case: Case, hold: Callable[[Tensor], Any]) -> None:
    model, x = classifier(), images()
    y = labels_for(model, x)
    given = case.attack(lambda points: model(points), x, y, seeds=torch.arange(8))
    held = case.attack(lambda points: hold(model(points)), x, y, seeds=torch.arange(8))
    assert torch.equal(held.images, given.images)


def test_numpy_arrays_and_lists_are_taken(case: Case) -> None:
    model, x = classifier(), images()
    y = labels_for(model, x)
    tensors = case.attack(model, x, y, seeds=torch.arange(8))
    arrays = case.attack(model, x.double().numpy(), y.tolist(), seeds=torch.arange(8))
    assert torch.equal(arrays.images, tensors.images)


def test_a_model_in_numpy_is_no_trouble(case: Case) -> None:
    """It has no gradients: white boxes leave the images, and others find what they find."""
    model, x = nn.Sequential(nn.Flatten(), nn.Linear(192, CLASSES)).requires_grad_(False), images()
    weight, bias = model[1].weight.T.numpy(), model[1].bias.numpy()
    y = labels_for(model, x)
    attacked = case.attack(lambda points: points.reshape(len(points), -1) @ weight + bias, x, y, seeds=torch.arange(8))
    assert torch.equal(attacked.success, case.success(model(x), model(attacked.images), y))


def test_a_model_without_a_gradient_is_no_trouble(case: Case) -> None:
    model, x = classifier(), images()
    y = labels_for(model, x)

    def cut(points: Tensor) -> Tensor:
        logits: Tensor = model(points.detach()).detach()
        return logits

    result = case.attack(cut, x, y, seeds=torch.arange(8))
    assert torch.equal(result.success, case.success(model(x), model(result.images), y))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.int16])
def test_labels_are_integers_of_any_size(case: Case, dtype: torch.dtype) -> None:
    model, x = classifier(), images()
    y = labels_for(model, x)
    result = case.attack(model, x, y.to(dtype), seeds=torch.arange(8))
    assert torch.equal(result.images, case.attack(model, x, y, seeds=torch.arange(8)).images)


def refused(case: Case, model: Callable[[Tensor], Tensor], x: Tensor, y: Tensor, says: str) -> None:
    """It is refused in one sentence that says what was given, what was expected and how to mend it."""
    with pytest.raises(UserError, match=says) as refusal:
        case.attack(model, x, y)
    sentence = str(refusal.value)
    assert sentence[0].isupper()
    assert sentence.endswith(".")
    assert "\n" not in sentence
    assert len(re.findall(r"\.(\s|$)", sentence)) == 1


Y = torch.tensor([0, 1, 2, 3])
WRONG_INPUTS: dict[str, tuple[Tensor, Tensor, str]] = {
    "integer images": ((X * 255).to(torch.uint8), Y, "torch.uint8"),
    "above 1": (X * 255, Y, r"0 to 255.*\[0, 1\]"),
    "below 0": (X - 0.5, Y, r"-0.5 to 0.5.*\[0, 1\]"),
    "a little above 1": (X.clamp_min(1.0) + 1e-6, Y, r"\[0, 1\]"),
    "NaN": (X.masked_fill(X == X.max(), math.nan), Y, "nan"),
    "infinite": (X.masked_fill(X == X.max(), math.inf), Y, "inf"),
    "one image without a batch": (X[0], Y[:1], r"\[3, 8, 8\]"),
    "flat": (X.flatten(1), Y, r"\[4, 192\]"),
    "empty": (X[:0], Y[:0], "no images"),
    "no pixels": (X[..., :0], Y, r"\[4, 3, 8, 0\]"),
    "too few labels": (X, Y[:3], "4 images and 3 labels"),
    "too many labels": (X, torch.arange(5) % 3, "4 images and 5 labels"),
    "float labels": (X, Y.float(), "torch.float32"),
    "boolean labels": (X, Y > 1, "torch.bool"),
    "one-hot labels": (X, nn.functional.one_hot(Y, CLASSES), r"\[4, 5\]"),
    "a label too large": (X, torch.tensor([0, 1, 2, CLASSES]), "5 classes"),
    "a negative label": (X, torch.tensor([0, 1, 2, -1]), "-1"),
}


def test_wrong_inputs_are_refused(case: Case) -> None:
    for x, y, says in WRONG_INPUTS.values():
        refused(case, MODEL, x, y, says)


MODEL = classifier()
WRONG_MODELS: dict[str, tuple[Callable[[Tensor], object], str]] = {
    "NaN": (lambda x: MODEL(x) * math.nan, "NaN or infinite logits"),
    "infinite": (lambda x: MODEL(x) / 0.0, "NaN or infinite logits"),
    "one NaN": (lambda x: MODEL(x).masked_fill(torch.eye(len(x), CLASSES, dtype=torch.bool), math.nan), "NaN or inf"),
    "one number an image": (lambda x: MODEL(x)[:, 0], r"\[4\]"),
    "one class": (lambda x: MODEL(x)[:, :1], r"\[4, 1\]"),
    "another number of rows": (lambda x: MODEL(x)[:1], r"\[1, 5\]"),
    "a dictionary without logits": (lambda x: {"scores": MODEL(x)}, "dict with 'scores'"),
    "a tuple": (lambda x: (MODEL(x), x), r"a tuple \(Tensor \[4, 5\], Tensor \[4, 3, 8, 8\]\)"),
    "text": (lambda x: "cat", "The model returns str"),
}


def test_wrong_models_are_refused(case: Case) -> None:
    for model, says in WRONG_MODELS.values():
        refused(case, model, X, Y, says)  # type: ignore[arg-type]


def test_nan_logits_away_from_the_images_are_refused(case: Case) -> None:
    clean = predicted(MODEL, X)

    def breaks(points: Tensor) -> Tensor:
        logits: Tensor = MODEL(points)
        moved = torch.stack([(X != point).flatten(1).any(1).all() for point in points])
        return logits.masked_fill(moved[:, None], math.nan)

    refused(case, breaks, X, clean, "NaN or infinite logits")


def test_another_number_of_seeds_is_refused(case: Case) -> None:
    with pytest.raises(UserError, match="4 images and 3 seeds"):
        case.attack(MODEL, X, Y, seeds=torch.arange(3))


@pytest.mark.parametrize("share", [-1.0, math.nan, math.inf])
def test_a_radius_that_is_none_is_refused(case: Case, share: float) -> None:
    if case.norm is None:
        pytest.skip("has no radius")
    with pytest.raises(UserError, match=r"radius is .*, but must be a finite number"):
        case.make(case.ball(share))


def test_radii_for_another_number_of_images_are_refused(case: Case) -> None:
    if case.norm is None:
        pytest.skip("has no radius")
    with pytest.raises(UserError, match="radii for 3 examples, but is used for 4"):
        case.make(case.ball(torch.ones(3)))(MODEL, X, predicted(MODEL, X))
