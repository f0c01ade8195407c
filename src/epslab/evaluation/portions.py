"""Some examples of an evaluation, and what the model answers to their images, in full precision."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from epslab.attacks.checks import checked_logits
from epslab.nets.random import ask
from epslab.seeds import of_indices
from epslab.types import Classifier, Images, Labels, Logits, PerExample, Pixels, Seeds

_GRID = 1e-3
"""A pixel is one of 8 bits when 255·x is within this of an integer: float32 rounding is 1e-5, half precision 0.06."""


class Portion(NamedTuple):
    """Some examples, in the model's dtype and on its device."""

    indices: Int[Tensor, " n"]  #: which examples of the set they are, on the CPU
    images: Images
    labels: Labels
    levels: Pixels  #: the images as given, rounded to 8 bits
    eight_bit: Bool[Tensor, " n"]  #: whether that rounding changed nothing but the last digits
    seeds: Seeds  #: what a model that draws is asked with

    def part(self, index: Int[Tensor, " k"]) -> "Portion":
        """The examples at these places of the portion."""
        return Portion(self.indices[index.cpu()], *(field[index] for field in self[1:]))


@dataclass(frozen=True, eq=False)
class TestSet:
    """The set that is evaluated (and no test for pytest).

    Args:
        images: In [0, 1], on any device.
        labels: The true classes.
        device: The model's.
        dtype: The model's.
        seed: Of the model's own noise.
    """

    __test__: ClassVar[bool] = False

    images: Images
    labels: Labels
    device: torch.device
    dtype: torch.dtype
    seed: int = 0

    def portion(self, indices: Int[Tensor, " n"]) -> Portion:
        """The examples with these indices."""
        x = self.images[indices.to(self.images.device)].detach()
        scaled = x.double() * 255
        levels = scaled.round()
        eight_bit = (scaled - levels).abs().flatten(1).amax(1) < _GRID
        return Portion(
            indices,
            x.to(self.device, self.dtype),
            self.labels[indices.to(self.labels.device)].to(self.device, torch.int64),
            levels.to(self.device, torch.uint8),
            eight_bit.to(self.device),
            of_indices(self.seed, indices, "robustness", "model").to(self.device),
        )


@torch.no_grad()
def answers(model: Classifier, images: Images, portion: Portion) -> Logits:
    """The model's logits in its full precision; a model that draws does so by the examples' own seeds.

    Raises:
        UserError: They are not finite logits [n classes] with a class for each label.
    """
    with torch.autocast(images.device.type, enabled=False):
        return checked_logits(ask(model, images, portion.seeds), portion.labels)


def differentiate(
    model: Classifier, images: Images, portion: Portion, loss: Callable[[Logits, Labels], PerExample]
) -> tuple[PerExample, Float[Tensor, "n c h w"] | None]:
    """The loss at images that belong to these examples, and its gradient; None where the model cuts its graph."""
    with torch.enable_grad(), torch.autocast(images.device.type, enabled=False):
        x = images.detach().clone().requires_grad_(True)
        value = loss(ask(model, x, portion.seeds), portion.labels)
        if not value.requires_grad:
            return value, None
        (gradient,) = torch.autograd.grad(value.sum(), x, materialize_grads=True)
        return value.detach(), gradient
