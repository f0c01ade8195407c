"""Initial weights that keep the signal's variance from layer to layer."""

import math

import torch
from torch import nn

_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


@torch.no_grad()
def he_normal(module: nn.Module) -> None:
    """Redraw the weights of every linear layer and convolution from a normal distribution; biases become 0.

    The standard deviation is that of He et al. (2015), eq. 10, which keeps the second moment through a ReLU layer::

        std = √(2 / fan-in)

    The fan-in is the number of inputs that one output sums up: for a convolution, channels in / groups · kernel size;
    for a transposed convolution with stride s in d dimensions, on average s^d times fewer of them.

    >>> layer = nn.Linear(10_000, 100)
    >>> he_normal(layer)
    >>> abs(layer.weight.std().item() * 10_000**0.5 - 2**0.5) < 0.01
    True

    Args:
        module: Changed in place, from torch's default generator (``epslab.seeds.seeded`` gives it a seed).
    """
    for layer in module.modules():
        if isinstance(layer, (nn.Linear, *_CONVOLUTIONS, *_TRANSPOSED)):
            layer.weight.normal_(0.0, math.sqrt(2 / fan_in(layer)))
            if layer.bias is not None:
                layer.bias.zero_()


def fan_in(layer: nn.Module) -> float:
    """The number of inputs that one output of a linear layer or a convolution sums, on average."""
    if isinstance(layer, _TRANSPOSED):
        return layer.in_channels / layer.groups * math.prod(layer.kernel_size) / math.prod(layer.stride)
    if isinstance(layer, _CONVOLUTIONS):
        return layer.in_channels / layer.groups * math.prod(layer.kernel_size)
    if isinstance(layer, nn.Linear):
        return float(layer.in_features)
    raise TypeError(f"a {type(layer).__name__} has no fan-in")
