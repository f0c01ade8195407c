"""Generators, and the nets that judge them: perceptrons for points and small images, convolutions for larger ones.

A generator maps z [n D] to images in [0, 1], or to points of any size. A judge (the discriminator of a GAN, the critic
of a Wasserstein GAN) gives one number per example. Judges have no batch normalisation: what they say of an example
depends on that example alone, as a gradient penalty needs it.
"""

from collections.abc import Sequence
from itertools import pairwise
from math import prod

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from epslab.errors import UserError
from epslab.types import Images, Latents, PerExample

_SLOPE = 0.2  # of LeakyReLU below 0, as in Radford et al. (2016)
_COARSEST = 7  # sides up to this are not halved again: 28 → 14 → 7, 32 → 16 → 8 → 4


class Scaling(nn.Module):
    """The linear map between examples and what the inside of a net sees: images in [−1, 1], points standardised.

    >>> import torch
    >>> scaling = Scaling((2,))
    >>> scaling.standardise(torch.tensor([[0.0, 4.0], [4.0, 0.0]]))
    >>> scaling.inwards(torch.tensor([[0.0, 4.0]]))
    tensor([[-1.,  1.]])

    Args:
        shape: (channels, height, width) of images in [0, 1], or (d,) of points, which stay as they are until
            ``standardise``.
    """

    centre: Tensor
    scale: Tensor

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        images = len(shape) == 3
        self.register_buffer("centre", torch.tensor(0.5 if images else 0.0))
        self.register_buffer("scale", torch.tensor(0.5 if images else 1.0))

    def standardise(self, points: Float[Tensor, "n d"]) -> None:
        """Take the mean and the standard deviation over all coordinates together, which keeps distances' ratios."""
        self.centre.copy_(points.mean())
        if len(points) > 1:
            self.scale.copy_(points.std(correction=0).clamp(min=1e-6))

    def inwards(self, x: Float[Tensor, "*any"]) -> Float[Tensor, "*any"]:
        """Examples as the net sees them."""
        return (x - self.centre) / self.scale

    def outwards(self, x: Float[Tensor, "*any"]) -> Float[Tensor, "*any"]:
        """The way back."""
        return x * self.scale + self.centre


class PerceptronGenerator(nn.Module):
    """Fully connected layers with LeakyReLU from z to images (tanh at the end) or to points.

    >>> import torch
    >>> PerceptronGenerator((1, 8, 8), latent_dim=16)(torch.randn(5, 16)).shape
    torch.Size([5, 1, 8, 8])
    >>> PerceptronGenerator((2,), latent_dim=16, batch_norm=False)(torch.randn(5, 16)).shape
    torch.Size([5, 2])

    Args:
        shape: (channels, height, width) of images, or (d,) of points.
        latent_dim: D.
        hidden: Units of each hidden layer.
        batch_norm: Normalise the hidden layers over the batch in training (Ioffe & Szegedy, 2015).
    """

    def __init__(
        self, shape: tuple[int, ...], latent_dim: int, hidden: Sequence[int] = (256, 256), batch_norm: bool = True
    ) -> None:
        super().__init__()
        self.shape = tuple(shape)
        self.scaling = Scaling(self.shape)
        self.latent_dim = latent_dim
        self.body = _leaky([latent_dim, *hidden, prod(shape)], batch_norm)

    def forward(self, z: Latents) -> Float[Tensor, "n *shape"]:
        """Images in [0, 1] or points, [n *shape]."""
        x = self.body(z)
        return self.scaling.outwards(x.tanh() if len(self.shape) == 3 else x).view(-1, *self.shape)


class PerceptronCritic(nn.Module):
    """Fully connected layers with LeakyReLU from an image or a point to one number.

    >>> import torch
    >>> PerceptronCritic((1, 8, 8))(torch.rand(5, 1, 8, 8)).shape
    torch.Size([5])

    Args:
        shape: (channels, height, width) of images, or (d,) of points.
        hidden: Units of each hidden layer.
        bias: Add a constant at the end. It cancels in the difference f(x) − f(G(z)) that trains a Wasserstein critic.

    Raises:
        UserError: Examples of another shape are given.
    """

    def __init__(self, shape: tuple[int, ...], hidden: Sequence[int] = (256, 256), bias: bool = True) -> None:
        super().__init__()
        self.shape = tuple(shape)
        self.scaling = Scaling(self.shape)
        self.body = _leaky([prod(shape), *hidden, 1], batch_norm=False, bias=bias)

    def forward(self, x: Float[Tensor, "n *shape"]) -> PerExample:
        """One number per example, [n]."""
        _require_shape(x, self.shape)
        judged: Tensor = self.body(self.scaling.inwards(x).flatten(1)).squeeze(1)
        return judged


class ConvGenerator(nn.Module):
    """From z to images: a linear layer to a coarse map, then doublings of the side, each followed by a convolution.

    The layers of Radford et al. (2016) with batch normalisation, but pixels repeated and then convolved where they have
    transposed convolutions, whose uneven overlap leaves a checkerboard (Odena et al., 2016). Any side works.

    >>> import torch
    >>> ConvGenerator((3, 28, 31), latent_dim=16, width=8)(torch.randn(5, 16)).shape
    torch.Size([5, 3, 28, 31])

    Args:
        image_shape: (channels, height, width).
        latent_dim: D.
        width: Channels of the finest layer; each coarser one has twice as many.
    """

    def __init__(self, image_shape: tuple[int, ...], latent_dim: int, width: int = 64) -> None:
        super().__init__()
        self.shape = tuple(image_shape)
        self.scaling = Scaling(self.shape)
        self.latent_dim = latent_dim
        sides = _sides(image_shape)[::-1]
        channels = [width * 2**i for i in range(len(sides) - 1, -1, -1)]
        self.start = (channels[0], *sides[0])
        self.linear = nn.Linear(latent_dim, prod(self.start), bias=False)
        layers: list[nn.Module] = [nn.BatchNorm2d(channels[0]), nn.ReLU()]
        for (inputs, outputs), side in zip(pairwise(channels), sides[1:], strict=True):
            layers += [nn.Upsample(side), nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)]
            layers += [nn.BatchNorm2d(outputs), nn.ReLU()]
        self.body = nn.Sequential(*layers, nn.Conv2d(channels[-1], image_shape[0], 3, padding=1), nn.Tanh())

    def forward(self, z: Latents) -> Images:
        """Images in [0, 1], [n c h w]."""
        return self.scaling.outwards(self.body(self.linear(z).view(-1, *self.start)))


class ConvCritic(nn.Module):
    """From images to one number: convolutions of stride 2 with LeakyReLU, then a linear layer.

    >>> import torch
    >>> ConvCritic((3, 28, 31), width=8)(torch.rand(5, 3, 28, 31)).shape
    torch.Size([5])

    Args:
        image_shape: (channels, height, width).
        width: Channels of the finest layer; each coarser one has twice as many.
        bias: Add a constant at the end. It cancels in the difference f(x) − f(G(z)) that trains a Wasserstein critic.

    Raises:
        UserError: Images of another shape are given.
    """

    def __init__(self, image_shape: tuple[int, ...], width: int = 64, bias: bool = True) -> None:
        super().__init__()
        self.shape = tuple(image_shape)
        self.scaling = Scaling(self.shape)
        sides = _sides(image_shape)
        channels = [width * 2**i for i in range(len(sides))]
        layers: list[nn.Module] = [nn.Conv2d(image_shape[0], width, 3, padding=1), nn.LeakyReLU(_SLOPE)]
        for inputs, outputs in pairwise(channels):
            layers += [nn.Conv2d(inputs, outputs, 3, stride=2, padding=1), nn.LeakyReLU(_SLOPE)]
        self.body = nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels[-1] * prod(sides[-1]), 1, bias))

    def forward(self, images: Images) -> PerExample:
        """One number per image, [n]."""
        _require_shape(images, self.shape)
        judged: Tensor = self.body(self.scaling.inwards(images)).squeeze(1)
        return judged


class _BatchNorm(nn.BatchNorm1d):
    """Batch normalisation that takes a single example, which has no spread, by the averages so far."""

    def forward(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        if self.training and len(x) == 1:
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        return super().forward(x)


def _leaky(sizes: Sequence[int], batch_norm: bool, bias: bool = True) -> nn.Sequential:
    """Linear layers of these sizes with LeakyReLU between them."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes[:-1]):
        layers.append(nn.Linear(inputs, outputs, bias=not batch_norm))
        layers += [_BatchNorm(outputs)] if batch_norm else []
        layers.append(nn.LeakyReLU(_SLOPE))
    return nn.Sequential(*layers, nn.Linear(sizes[-2], sizes[-1], bias))


def _sides(image_shape: tuple[int, ...]) -> list[tuple[int, int]]:
    """Height and width at every scale, the finest first: 28 → 14 → 7."""
    _, h, w = image_shape
    sides = [(h, w)]
    while min(h, w) > _COARSEST:
        h, w = (h + 1) // 2, (w + 1) // 2
        sides.append((h, w))
    return sides


def _require_shape(x: Tensor, shape: tuple[int, ...]) -> None:
    if tuple(x.shape[1:]) != shape:
        given, wanted = ("×".join(map(str, one)) or "a number" for one in (x.shape[1:], shape))
        raise UserError(f"The net was built for examples of shape {wanted}, but was given {given}.")
