"""What no generative model can do is refused in one sentence: wrong settings, shapes, numbers of samples."""

import math
import re
from dataclasses import fields, replace
from typing import Any

import pytest
import torch

from epslab.errors import UserError

from .generators import CASES, Case, Shape, examples

EVERY = pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
DRAWING = pytest.mark.parametrize("case", [case for case in CASES if case.draws], ids=lambda case: case.name)
DENSE = pytest.mark.parametrize("case", [case for case in CASES if case.densities], ids=lambda case: case.name)


def sentence_of(error: pytest.ExceptionInfo[UserError]) -> str:
    """What was said, in one sentence."""
    sentence = str(error.value)
    assert re.match(r"[A-Z`]", sentence), sentence
    assert sentence.endswith("."), sentence
    assert "\n" not in sentence
    return sentence


def wrong_values(hint: str) -> list[Any]:
    """Values that no setting of this type has."""
    if re.search(r"\bint\b", hint):
        return [(-1,)] if "tuple" in hint else [-1]
    return [-1.0, math.nan] if "float" in hint else []


@EVERY
def test_settings_out_of_range_are_refused_by_name(case: Case) -> None:
    for field in fields(case.settings):
        for value in wrong_values(str(field.type)):
            with pytest.raises(UserError) as error:
                replace(case.settings, **{field.name: value})
            assert f"`{field.name}" in sentence_of(error)


@EVERY
@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 2, 3), (3, 3, 30)], ids=str)
def test_small_images_work_or_are_refused(case: Case, shape: Shape) -> None:
    if len(case.shapes[0]) != 3:
        pytest.skip("takes no images")
    try:
        model = case.plan(shape).model
    except UserError as error:
        assert re.search(r"\b[1-4]\b.*\.$", str(error)), error  # noqa: PT017 (either is right)
    else:
        assert not case.draws or model.sample(2).shape == (2, *shape)


@EVERY
def test_points_are_refused_by_what_is_for_images_alone(case: Case) -> None:
    if any(len(shape) == 1 for shape in case.shapes):
        pytest.skip("works on points")
    with pytest.raises(UserError) as error:
        case.plan((2,))
    assert "points" in sentence_of(error)


@DRAWING
def test_a_number_of_samples_below_0_is_refused(case: Case) -> None:
    model = case.model(case.shapes[0])
    assert model.sample(0).shape == (0, *case.shapes[0])
    with pytest.raises(UserError) as error:
        model.sample(-1)
    assert "-1" in sentence_of(error)


@DENSE
def test_examples_of_another_shape_are_refused(case: Case) -> None:
    for built in case.shapes:
        model = case.model(built).eval()
        wrong = (built[0], 6, 6) if len(built) == 3 else (3,)
        values, _ = examples(2, wrong).batch(torch.arange(2))
        for _, density in case.densities:
            with pytest.raises(UserError) as error:
                density(model, values, torch.arange(2))
            assert str(wrong[-1]) in sentence_of(error)
