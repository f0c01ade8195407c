"""The convolutional pair: sizes for every side, the published parameter counts, clear refusals."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from epslab.errors import UserError
from epslab.nets import ConvDecoder, ConvEncoder


def parameters(*nets: torch.nn.Module) -> int:
    return sum(p.numel() for net in nets for p in net.parameters())


@pytest.mark.parametrize(("latent_dim", "published"), [(20, 270_616), (2, 215_284)])
def test_parameter_count_is_the_published_one(latent_dim: int, published: int) -> None:
    shape = (1, 28, 28)
    assert parameters(ConvEncoder(shape, latent_dim, 32), ConvDecoder(shape, latent_dim, 32, 16)) == published


@settings(max_examples=30, deadline=None)
@given(c=st.integers(1, 4), h=st.integers(4, 37), w=st.integers(4, 37), p=st.integers(1, 5))
def test_any_side_from_four_and_any_channels(c: int, h: int, w: int, p: int) -> None:
    images = torch.rand(2, c, h, w)
    mean, log_std = ConvEncoder((c, h, w), 3, width=2)(images)
    assert mean.shape == log_std.shape == (2, 3)
    assert ConvDecoder((c, h, w), 3, width=2, channels=p)(mean).shape == (2, p, h, w)


def test_output_paddings_of_28_are_0_1_1() -> None:
    decoder = ConvDecoder((1, 28, 28), 20)
    ups = [layer for layer in decoder.modules() if isinstance(layer, torch.nn.ConvTranspose2d)]
    assert [up.output_padding for up in ups] == [(0, 0), (1, 1), (1, 1)]


@pytest.mark.parametrize("shape", [(1, 3, 8), (1, 8, 3), (3, 1, 1)])
def test_a_side_below_four_is_refused(shape: tuple[int, int, int]) -> None:
    with pytest.raises(UserError, match="at least 4×4 pixels, not"):
        ConvEncoder(shape, 2)
    with pytest.raises(UserError, match="at least 4×4 pixels, not"):
        ConvDecoder(shape, 2)


def test_images_of_another_shape_are_refused_by_name() -> None:
    with pytest.raises(UserError, match=r"built for images of 1×8×8 .* given 3×32×32"):
        ConvEncoder((1, 8, 8), 2)(torch.rand(1, 3, 32, 32))


def test_channels_last_gives_the_same_numbers() -> None:
    encoder, images = ConvEncoder((3, 9, 12), 4, width=8).double(), torch.rand(5, 3, 9, 12, dtype=torch.float64)
    plain = encoder(images)[0]
    fast = encoder.to(memory_format=torch.channels_last)(images.contiguous(memory_format=torch.channels_last))[0]
    torch.testing.assert_close(fast, plain, rtol=1e-12, atol=1e-12)
