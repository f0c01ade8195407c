"""He's initialisation: the spread of the weights, and the second moment it keeps from layer to layer."""

import pytest
import torch
from torch import nn

from epslab.nets.initialisation import fan_in, he_normal
from epslab.seeds import generator, seeded


@pytest.mark.parametrize(
    ("layer", "inputs"),
    [
        (nn.Linear(300, 200), 300),
        (nn.Conv2d(30, 64, 3, padding=1), 270),
        (nn.Conv2d(32, 64, 3, groups=4), 72),
        (nn.ConvTranspose2d(64, 32, 3, stride=2, padding=1, output_padding=1), 144),
    ],
)
def test_weights_have_deviation_root_two_over_fan_in_and_biases_are_zero(layer: nn.Module, inputs: float) -> None:
    with seeded(0, "weights"):
        he_normal(layer)
    assert fan_in(layer) == inputs
    # The standard error of a deviation from n normal draws is deviation/√(2n).
    error = (2 / inputs) ** 0.5 / (2 * layer.weight.numel()) ** 0.5
    assert layer.weight.std().item() == pytest.approx((2 / inputs) ** 0.5, abs=4 * error)
    assert abs(layer.weight.mean().item()) < 4 * (2 / inputs / layer.weight.numel()) ** 0.5
    assert not layer.bias.any()


@pytest.mark.parametrize("transposed", [False, True])
def test_the_second_moment_goes_through_layers_of_relu(transposed: bool) -> None:
    """E[relu(W x)²] = E[x²], inside the image, where no padding is seen."""
    kind = nn.ConvTranspose2d if transposed else nn.Conv2d
    layer = kind(64, 256, 4, stride=2, padding=1)
    with seeded(0, "weights"):
        he_normal(layer)
    x = torch.randn(32, 64, 16, 16, generator=generator(0, "x")).relu()
    y = layer(x).relu()[..., 2:-2, 2:-2]
    assert y.square().mean().item() == pytest.approx(x.square().mean().item(), rel=0.05)


def test_other_layers_stay() -> None:
    norm = nn.BatchNorm2d(3)
    he_normal(norm)
    assert norm.weight.eq(1).all()
    with pytest.raises(TypeError, match="BatchNorm2d has no fan-in"):
        fan_in(norm)
