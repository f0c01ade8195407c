"""Shared definitions: shapes, pixel levels, and the protocols of objectives and models."""

from collections.abc import Mapping
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int, UInt8
from torch import Generator, Tensor

Images = Float[Tensor, "n c h w"]
"""Images in [0, 1]."""
Observations = Float[Tensor, "n *shape"]
"""Images [n c h w] in [0, 1], or points [n d]."""
Pixels = UInt8[Tensor, "n c h w"]
"""Images as they are stored: 0..255."""
Labels = Int[Tensor, " n"]
"""Class indices, 0..classes−1."""
Logits = Float[Tensor, "n classes"]
"""Unnormalised log-probabilities of the classes."""
Latents = Float[Tensor, "n d"]
"""Codes z of a latent-variable model."""
PerExample = Float[Tensor, " n"]
"""One number per example: losses and log-densities, in nats, summed over dimensions."""
Seeds = Int[Tensor, " n"]
"""One 64-bit seed per example (see ``epslab.seeds``)."""
ImageShape = tuple[int, int, int]
"""Channels, height, width."""


def quantise(images: Float[Tensor, "*shape"], levels: int) -> Int[Tensor, "*shape"]:
    """The level of each pixel: floor(x·levels), at most levels − 1.

    For an image of 8 bits, x = k/255 in any floating type, this is exactly floor(k·levels/255).

    Args:
        images: Intensities in [0, 1], any shape.
        levels: Number of levels K ≥ 2.

    Returns:
        int64 values in 0..K−1, same shape.
    """
    if images.dtype == torch.float32:
        # x·K of a float32 k/255 can fall on either side of an integer only at 0 and 1, where the clamp decides.
        return (images * levels).long().clamp_(0, levels - 1)
    # In other types it can anywhere, so a value that is k/255 rounded to the type counts as k/255.
    wide = images.to(torch.float64 if images.dtype == torch.float64 else torch.float32)
    k = (wide * 255).round()
    values = torch.where((k / 255).to(images.dtype) == images, k.long() * levels // 255, (wide * levels).long())
    return values.clamp_(0, levels - 1)


def dequantise(values: Int[Tensor, "*shape"], levels: int) -> Float[Tensor, "*shape"]:
    """The intensity a level is shown with: value / (levels − 1), in [0, 1]."""
    return values.to(torch.get_default_dtype()) / (levels - 1)


class Batch(NamedTuple):
    """The argument of an objective: examples, their labels, and a seed for each example's noise."""

    examples: Float[Tensor, "n *shape"]  #: images [n c h w] in [0, 1], or points [n d]
    labels: Labels  #: 0 where the set has none
    seeds: Seeds

    @property
    def images(self) -> Images:
        """The examples, if they are images."""
        return self.examples


class Progress(NamedTuple):
    """How far training is, for objectives that change over time (warm-up, annealing)."""

    epoch: int  #: epochs completed, from 0
    step: int  #: batches completed since the start of training, from 0
    steps_per_epoch: int
    epochs: int  #: epochs asked for
    training: bool  #: False while validating


@runtime_checkable
class Objective(Protocol):
    """A training objective: a batch to per-example values, each [n]; ``"loss"`` is the one that is minimised.

    Every entry becomes a curve: the epoch's mean over examples, never a mean over pixels or latents. During validation
    weights require no gradient; derivatives with respect to inputs can be taken.
    """

    def __call__(self, batch: Batch, progress: Progress) -> Mapping[str, PerExample]:
        """The values at this batch."""
        ...


@runtime_checkable
class Classifier(Protocol):
    """A map from images to logits: any ``nn.Module`` or function of this form."""

    def __call__(self, images: Images, /) -> Logits:
        """Unnormalised log-probabilities of the classes, one row per image."""
        ...


@runtime_checkable
class Likelihood(Protocol):
    """p(x given parameters), independent over pixels; a decoder gives the parameters."""

    def channels(self, image_channels: int) -> int:
        """How many parameter channels an image with this many channels needs."""
        ...

    def log_prob(self, parameters: Float[Tensor, "n *parameters"], images: Observations) -> PerExample:
        """Log p(x) in nats, summed over pixels and channels, or over a point's coordinates."""
        ...

    def mean(self, parameters: Float[Tensor, "n *parameters"]) -> Observations:
        """E[x]; a mean is not a sample."""
        ...

    def sample(
        self, parameters: Float[Tensor, "n *parameters"], generator: Generator | None = None, seeds: Seeds | None = None
    ) -> Observations:
        """One draw of x for each set of parameters: a function of its seed alone; the generator draws missing seeds."""
        ...


@runtime_checkable
class LatentVariableModel(Protocol):
    """A model with latent variables, as the bounds on log p(x) need it: it gives log-densities at its own draws.

    Draw k of an example is a function of the example's seed and k alone, so a long estimate can be made in parts.
    """

    def log_weights(
        self, images: Observations, samples: int, *, seeds: Seeds, first: int = 0
    ) -> Float[Tensor, "samples n"]:
        """Log p(x, z_k) − log q(z_k given x), z_k from q, for draws first..first+samples−1."""
        ...

    def log_likelihoods(
        self, images: Observations, samples: int, *, seeds: Seeds, first: int = 0
    ) -> Float[Tensor, "samples n"]:
        """Log p(x given z_l), z_l from the prior, for draws first..first+samples−1."""
        ...
