import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from epslab.types import dequantise, quantise

PROPERTY = settings(deadline=None, derandomize=True)


@PROPERTY
@given(
    levels=st.integers(2, 512),
    intensities=st.lists(st.floats(0.0, 1.0, allow_subnormal=False), min_size=1, max_size=20),
)
def test_a_level_is_the_floor_of_x_times_levels_and_stays_below_levels(levels: int, intensities: list[float]) -> None:
    x = torch.tensor(intensities, dtype=torch.float64)
    # Whole numbers where x is k/255: in float64 5/255·51 rounds to less than 1.
    exact = [k * levels // 255 if (k := round(i * 255)) / 255 == i else math.floor(i * levels) for i in intensities]
    expected = np.minimum(np.array(exact), levels - 1).astype(np.int64)
    values = quantise(x, levels)
    assert values.dtype == torch.int64
    np.testing.assert_array_equal(values.numpy(), expected)


@PROPERTY
@given(levels=st.integers(2, 1024))
def test_every_level_survives_being_shown_and_read_again(levels: int) -> None:
    values = torch.arange(levels)
    shown = dequantise(values, levels)
    assert shown[0] == 0.0
    assert shown[-1] == 1.0
    assert torch.equal(quantise(shown, levels), values)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_every_stored_byte_falls_into_the_level_that_whole_numbers_give(dtype: torch.dtype) -> None:
    bytes_ = torch.arange(256)
    made = [bytes_.to(dtype) / 255, (bytes_.float() / 255).to(dtype), (bytes_.double() / 255).to(dtype)]
    for levels in range(2, 257):
        expected = (bytes_ * levels // 255).clamp(max=levels - 1)
        for images in made:
            assert torch.equal(quantise(images, levels), expected), levels


def test_half_precision_between_bytes_is_not_rounded_to_one() -> None:
    # These are exact in half precision and far from any k/255.
    x = torch.tensor([1, 3, 5], dtype=torch.float16) / 1024
    assert quantise(x, 512).tolist() == [0, 1, 2]


def test_quantising_leaves_its_input_alone_and_keeps_the_shape() -> None:
    images = torch.rand(2, 3, 4, 5)
    before = images.clone()
    assert quantise(images, 16).shape == images.shape
    assert torch.equal(images, before)


def test_dequantised_levels_are_a_step_of_one_over_levels_minus_one_apart() -> None:
    torch.testing.assert_close(dequantise(torch.tensor([0, 1, 2, 3]), 4), torch.tensor([0.0, 1 / 3, 2 / 3, 1.0]))
