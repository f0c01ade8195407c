"""The perceptron pair of the first VAE (Kingma & Welling, 2014, appendix C): one hidden layer of 500 units each."""

from collections.abc import Sequence
from itertools import pairwise
from math import prod

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from epslab.nets.convolution import require_shape
from epslab.types import Latents, Observations


def perceptron(sizes: Sequence[int], *, last: bool = False) -> nn.Sequential:
    """Linear layers of these sizes with tanh between them, and after the last one if ``last``.

    >>> perceptron([2, 16, 3])
    Sequential(
      (0): Linear(in_features=2, out_features=16, bias=True)
      (1): Tanh()
      (2): Linear(in_features=16, out_features=3, bias=True)
    )
    """
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.Tanh()]
    return nn.Sequential(*(layers if last else layers[:-1]))


class PerceptronEncoder(nn.Module):
    """Maps images or points to the mean and log standard deviation of q(z given x) through fully connected layers.

    >>> mean, log_std = PerceptronEncoder((1, 8, 8), latent_dim=2)(torch.rand(5, 1, 8, 8))
    >>> mean.shape, log_std.shape
    (torch.Size([5, 2]), torch.Size([5, 2]))

    Args:
        image_shape: (channels, height, width), or (d,) of points.
        latent_dim: D, the number of latent dimensions.
        hidden: Units of each hidden layer.
        positive: How sigma is made positive: ``"exp"`` (the head gives log sigma) or ``"softplus"`` (the head's
            softplus is sigma). The encoder returns log sigma either way.
    """

    def __init__(
        self, image_shape: tuple[int, ...], latent_dim: int, hidden: Sequence[int] = (500,), positive: str = "exp"
    ) -> None:
        super().__init__()
        if positive not in ("exp", "softplus"):
            raise ValueError(f"positive is 'exp' or 'softplus', not {positive!r}.")
        self.image_shape = tuple(image_shape)
        self.latent_dim = latent_dim
        self.positive = positive
        self.body = perceptron([prod(image_shape), *hidden], last=True)
        self.mean = nn.Linear(hidden[-1], latent_dim)
        self.log_std = nn.Linear(hidden[-1], latent_dim)

    def forward(self, images: Observations) -> tuple[Latents, Latents]:
        """Mean and log standard deviation, [n D] each."""
        require_shape(images, self.image_shape, "encoder")
        features = self.body(images.flatten(1))
        raw = self.log_std(features)
        return self.mean(features), raw if self.positive == "exp" else F.softplus(raw).log()


class PerceptronDecoder(nn.Module):
    """Maps latents to the parameters of p(x given z) through fully connected layers.

    >>> PerceptronDecoder((1, 8, 8), latent_dim=2)(torch.randn(5, 2)).shape
    torch.Size([5, 1, 8, 8])

    Args:
        image_shape: (channels, height, width) of the images, or (d,) of points.
        latent_dim: D, the number of latent dimensions.
        hidden: Units of each hidden layer.
        channels: Parameter channels: ``likelihood.channels(image_shape[0])``; the image's own channels if None.
    """

    def __init__(
        self, image_shape: tuple[int, ...], latent_dim: int, hidden: Sequence[int] = (500,), channels: int | None = None
    ) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        self.shape = (image_shape[0] if channels is None else channels, *image_shape[1:])
        self.body = perceptron([latent_dim, *hidden, prod(self.shape)])

    def forward(self, z: Latents) -> Float[Tensor, "n *parameters"]:
        """Parameters of the likelihood, [n channels h w], or [n channels] for points."""
        parameters: Tensor = self.body(z).view(-1, *self.shape)
        return parameters
