import numpy as np
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
    expected = np.minimum(np.floor(np.array(intensities) * levels), levels - 1).astype(np.int64)
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


@PROPERTY
@given(levels=st.integers(2, 256))
def test_every_stored_byte_falls_into_the_level_that_whole_numbers_give(levels: int) -> None:
    bytes_ = torch.arange(256)
    images = bytes_.to(torch.uint8).float() / 255
    assert torch.equal(quantise(images, levels), (bytes_ * levels // 255).clamp(max=levels - 1))


def test_quantising_leaves_its_input_alone_and_keeps_the_shape() -> None:
    images = torch.rand(2, 3, 4, 5)
    before = images.clone()
    assert quantise(images, 16).shape == images.shape
    assert torch.equal(images, before)


def test_dequantised_levels_are_a_step_of_one_over_levels_minus_one_apart() -> None:
    torch.testing.assert_close(dequantise(torch.tensor([0, 1, 2, 3]), 4), torch.tensor([0.0, 1 / 3, 2 / 3, 1.0]))
