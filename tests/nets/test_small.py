"""The small CNN: any side from four, foldable pairs, and no surprise in what it refuses."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from epslab import seeds
from epslab.errors import UserError
from epslab.nets import small_cnn


@settings(max_examples=30, deadline=None)
@given(
    c=st.integers(1, 4), h=st.integers(4, 37), w=st.integers(4, 37), classes=st.integers(1, 5), width=st.integers(1, 3)
)
def test_any_side_from_four_any_channels_and_classes(c: int, h: int, w: int, classes: int, width: int) -> None:
    assert small_cnn((c, h, w), classes, width)(torch.rand(2, c, h, w)).shape == (2, classes)


def test_each_convolution_can_be_folded_with_the_batchnorm_behind_it() -> None:
    with seeds.seeded(0, "small"):
        net = small_cnn((3, 16, 12)).double()
        images = torch.rand(8, 3, 16, 12, dtype=torch.float64)
    net(images)  # statistics other than 0 and 1
    net.eval()
    layers = list(net)
    pairs = [i for i, layer in enumerate(layers) if isinstance(layer, nn.Conv2d)]
    assert len(pairs) == 4
    assert sum(isinstance(module, nn.BatchNorm2d) for module in net.modules()) == len(pairs)
    for i in reversed(pairs):
        layers[i : i + 2] = [fuse_conv_bn_eval(layers[i], layers[i + 1])]
    torch.testing.assert_close(nn.Sequential(*layers)(images), net(images), rtol=1e-10, atol=1e-10)


def test_channels_and_strides_are_those_described() -> None:
    convolutions = [layer for layer in small_cnn((1, 28, 28), width=8) if isinstance(layer, nn.Conv2d)]
    assert [layer.out_channels for layer in convolutions] == [8, 8, 16, 16]
    assert all(layer.bias is None for layer in convolutions)
    assert [layer.stride[0] for layer in convolutions] == [1, 2, 2, 1]


@pytest.mark.parametrize("shape", [(1, 3, 8), (1, 8, 3), (3, 1, 1)])
def test_a_side_below_four_is_refused(shape: tuple[int, int, int]) -> None:
    with pytest.raises(UserError, match=f"at least 4×4 pixels, not {shape[1]}×{shape[2]}"):
        small_cnn(shape)


@pytest.mark.parametrize(
    ("name", "arguments"), [("channels", ((0, 8, 8),)), ("classes", ((1, 8, 8), 0)), ("width", ((1, 8, 8), 10, 0))]
)
def test_a_number_below_one_is_refused_by_name(name: str, arguments: tuple[object, ...]) -> None:
    with pytest.raises(UserError, match=f"{name}=0"):
        small_cnn(*arguments)  # type: ignore[arg-type]
