"""Encoders to a plain code and decoders back, in pairs: linear, fully connected, convolutional."""

from collections.abc import Sequence
from math import prod

from torch import nn

from epslab.nets.convolution import ConvDecoder, convolutions, feature_count
from epslab.nets.perceptron import perceptron
from epslab.types import ImageShape

Pair = tuple[nn.Module, nn.Module]
"""An encoder, [n *shape] to codes [n D], and a decoder back."""


def linear_pair(shape: Sequence[int], latent_dim: int) -> Pair:
    """One linear layer each way, for images or points.

    >>> encode, decode = linear_pair((1, 8, 8), latent_dim=5)
    >>> decode(encode(torch.rand(3, 1, 8, 8))).shape
    torch.Size([3, 1, 8, 8])
    """
    return perceptron_pair(shape, latent_dim, ())


def perceptron_pair(shape: Sequence[int], latent_dim: int, hidden: Sequence[int] = (256, 64)) -> Pair:
    """Fully connected layers with tanh between them, for images or points; the decoder mirrors the encoder.

    Args:
        shape: Of one example: (channels, height, width) or (d,).
        latent_dim: D, dimensions of the code.
        hidden: Units of the encoder's hidden layers.
    """
    d = prod(shape)
    encoder = nn.Sequential(nn.Flatten(), *perceptron([d, *hidden, latent_dim]))
    decoder = nn.Sequential(*perceptron([latent_dim, *hidden[::-1], d]), nn.Unflatten(1, tuple(shape)))
    return encoder, decoder


def conv_pair(image_shape: ImageShape, latent_dim: int, width: int = 32) -> Pair:
    """The VAE's convolutions with one head: 245,781 parameters for one channel of 28×28 at D=20 and width 32.

    Args:
        image_shape: (channels, height, width), sides ≥ 4.
        latent_dim: D, dimensions of the code.
        width: Channels of the outer layers; inner ones have twice as many.

    Raises:
        UserError: A side is smaller than 4.
    """
    head = nn.Linear(feature_count(image_shape, width), latent_dim)
    return nn.Sequential(convolutions(image_shape, width), head), ConvDecoder(image_shape, latent_dim, width)
