"""The course's convolutional encoder and decoder, for any image side ≥ 4 and any number of channels.

Three strided 3×3 convolutions halve the side (rounding up), two more keep it; the decoder mirrors them with
transposed convolutions. With width 32 and 20 latent dimensions on 28×28 the pair has 270,616 parameters for 16 levels.
"""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from epslab.errors import UserError
from epslab.types import Images, ImageShape, Latents


def _sides(shape: ImageShape) -> list[tuple[int, int]]:
    """Height and width before and after each of the three halvings: 28 → 14 → 7 → 4."""
    _, h, w = shape
    if min(h, w) < 4:
        raise UserError(f"The convolutional nets need images of at least 4×4 pixels, not {h}×{w}; use the perceptrons.")
    sides = [(h, w)]
    for _ in range(3):
        h, w = (h + 1) // 2, (w + 1) // 2
        sides.append((h, w))
    return sides


def convolutions(image_shape: ImageShape, width: int) -> nn.Sequential:
    """The encoder without its heads: images [n c h w] to features [n ``feature_count``].

    Raises:
        UserError: A side is smaller than 4.
    """
    c = width
    _sides(image_shape)
    return nn.Sequential(
        nn.Conv2d(image_shape[0], c, 3, stride=2, padding=1),
        nn.GELU(),
        nn.Conv2d(c, c, 3, padding=1),
        nn.GELU(),
        nn.Conv2d(c, 2 * c, 3, stride=2, padding=1),
        nn.GELU(),
        nn.Conv2d(2 * c, 2 * c, 3, padding=1),
        nn.GELU(),
        nn.Conv2d(2 * c, 2 * c, 3, stride=2, padding=1),
        nn.GELU(),
        nn.Flatten(),
    )


def feature_count(image_shape: ImageShape, width: int) -> int:
    """How many features ``convolutions`` gives."""
    h, w = _sides(image_shape)[-1]
    return 2 * width * h * w


class ConvEncoder(nn.Module):
    """Maps images to the mean and log standard deviation of q(z given x).

    >>> mean, log_std = ConvEncoder((1, 28, 28), latent_dim=20)(torch.rand(5, 1, 28, 28))
    >>> mean.shape, log_std.shape
    (torch.Size([5, 20]), torch.Size([5, 20]))

    Args:
        image_shape: (channels, height, width), sides ≥ 4.
        latent_dim: D, the number of latent dimensions.
        width: Channels of the first layers; later layers have twice as many.

    Raises:
        UserError: A side is smaller than 4, or images of another shape are given.
    """

    def __init__(self, image_shape: ImageShape, latent_dim: int, width: int = 32) -> None:
        super().__init__()
        self.image_shape = tuple(image_shape)
        self.latent_dim = latent_dim
        self.body = convolutions(image_shape, width)
        features = feature_count(image_shape, width)
        self.mean = nn.Linear(features, latent_dim)
        self.log_std = nn.Linear(features, latent_dim)

    def forward(self, images: Images) -> tuple[Latents, Latents]:
        """Mean and log standard deviation, [n D] each."""
        require_shape(images, self.image_shape, "encoder")
        features = self.body(images)
        return self.mean(features), self.log_std(features)


class ConvDecoder(nn.Module):
    """Maps latents to the parameters of p(x given z) at every pixel.

    >>> ConvDecoder((1, 28, 28), latent_dim=20, channels=16)(torch.randn(5, 20)).shape
    torch.Size([5, 16, 28, 28])

    Args:
        image_shape: (channels, height, width) of the images, sides ≥ 4.
        latent_dim: D, the number of latent dimensions.
        width: Channels of the last layers; earlier layers have twice as many.
        channels: Parameter channels: ``likelihood.channels(image_shape[0])``; the image's own channels if None.
    """

    def __init__(self, image_shape: ImageShape, latent_dim: int, width: int = 32, channels: int | None = None) -> None:
        super().__init__()
        c, sides = width, _sides(image_shape)
        self.latent_dim = latent_dim
        self.start = (2 * c, *sides[3])
        self.linear = nn.Linear(latent_dim, 2 * c * sides[3][0] * sides[3][1])
        self.body = nn.Sequential(
            _upsample(2 * c, 2 * c, sides[3], sides[2]),
            nn.GELU(),
            nn.Conv2d(2 * c, 2 * c, 3, padding=1),
            nn.GELU(),
            _upsample(2 * c, c, sides[2], sides[1]),
            nn.GELU(),
            nn.Conv2d(c, c, 3, padding=1),
            nn.GELU(),
            _upsample(c, image_shape[0] if channels is None else channels, sides[1], sides[0]),
        )

    def forward(self, z: Latents) -> Float[Tensor, "n p h w"]:
        """Parameters of the likelihood, [n channels h w]."""
        parameters: Tensor = self.body(F.gelu(self.linear(z)).view(-1, *self.start))
        return parameters


def _upsample(inputs: int, outputs: int, small: tuple[int, int], large: tuple[int, int]) -> nn.ConvTranspose2d:
    """A transposed convolution that undoes one halving; the output padding (0 or 1) restores an even side."""
    padding = (large[0] - 2 * small[0] + 1, large[1] - 2 * small[1] + 1)
    return nn.ConvTranspose2d(inputs, outputs, 3, stride=2, padding=1, output_padding=padding)


def require_shape(x: Float[Tensor, "n *shape"], shape: tuple[int, ...], who: str) -> None:
    """Check that images or points are what a net was built for."""
    if tuple(x.shape[1:]) != shape:
        given, wanted = ("×".join(map(str, own)) for own in (x.shape[1:], shape))
        built_for = (
            f"images of {wanted} (channels×height×width)" if len(shape) == 3 else f"points of {wanted} coordinates"
        )
        raise UserError(f"The {who} was built for {built_for}, but was given {given}.")
