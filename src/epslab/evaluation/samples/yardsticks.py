"""Samplers that anybody could write, to measure others by: real data, a Gaussian per class, real data plus noise."""

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from epslab import seeds
from epslab.data import ImageSet, PointSet

GAUSSIAN = "a Gaussian per class"
NOISE = 0.1
"""Standard deviation of the noise on real data, in units of the pixel range [0, 1]; of points, of their spread."""


def yardsticks(train: ImageSet | PointSet, n: int, seed: int) -> dict[str, Tensor]:
    """By name, n samples each, from the training examples alone.

    Args:
        train: An ``ImageSet`` or a ``PointSet``, of n examples or more: as they are, never augmented.
        n: Samples of each.
        seed: Of what is drawn.
    """
    drawn = _examples(train.take(n, seed))
    own = seeds.generator(seed, "yardsticks")
    noise = NOISE if isinstance(train, ImageSet) else NOISE * float(_examples(train).std(0).mean())
    return {
        "real data": drawn,
        GAUSSIAN: gaussian_per_class(train, n, own),
        "real data plus noise": with_noise(drawn, noise, own),
    }


def gaussian_per_class(
    train: ImageSet | PointSet, n: int, generator: Generator | None = None
) -> Float[Tensor, "n *shape"]:
    """Draws from a mixture of normal laws, each with the mean and the full covariance of one class.

    Classes are as frequent as in the data, and images are cut to [0, 1].

    Args:
        train: Examples with labels; those without are one class.
        n: Number of draws.
        generator: Draws them; None: torch's default.

    >>> from epslab.data import load
    >>> gaussian_per_class(load("digits"), 5).shape
    torch.Size([5, 1, 8, 8])
    """
    x, labels = train.batch(torch.arange(len(train)))
    which = labels[torch.randint(len(labels), (n,), generator=generator)]
    drawn = torch.empty(n, *x.shape[1:])
    for label in sorted(set(which.tolist())):
        own, place = x[labels == label].flatten(1), torch.nonzero(which == label).flatten()
        centre = own.mean(0)
        # w·(x − mean)/√(n − 1) with w ~ N(0, I) has the sample covariance, which need not be formed.
        weights = torch.randn(len(place), len(own), generator=generator)
        spread = weights @ (own - centre) / max(len(own) - 1, 1) ** 0.5
        drawn[place] = (centre + spread).view(len(place), *x.shape[1:])
    return drawn.clamp(0, 1) if isinstance(train, ImageSet) else drawn


def with_noise(
    examples: Float[Tensor, "n *shape"], std: float = NOISE, generator: Generator | None = None
) -> Float[Tensor, "n *shape"]:
    """The examples with normal noise on every value; images [n c h w] are cut to [0, 1].

    Args:
        examples: Images or points.
        std: Of the noise, in the examples' unit.
        generator: Draws it; None: torch's default.
    """
    noisy = examples + std * torch.randn(examples.shape, generator=generator)
    return noisy.clamp(0, 1) if examples.ndim == 4 else noisy


def _examples(data: ImageSet | PointSet) -> Tensor:
    x: Tensor = data.batch(torch.arange(len(data)))[0]
    return x.contiguous()
