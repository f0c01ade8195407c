"""The model under attack: asked for logits and input gradients, with the questions counted for each example."""

import math
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from epslab.attacks.checks import checked_logits, require_finite
from epslab.attacks.folding import foldable, folded
from epslab.types import Classifier, Images, Labels, Logits, PerExample

_SAMPLE = 8
"""Images at which the copy's logits are compared with the model's."""


def worth_folding(steps: int, image_shape: tuple[int, ...]) -> bool:
    """Whether a copy for so many gradient steps saves more than it costs to make, some milliseconds."""
    return steps >= 10 or (steps >= 4 and steps * math.prod(image_shape) >= 4096)


class Victim:
    """A model and what it has been asked.

    Args:
        model: In eval mode, its parameters without gradients.
        labels: The true classes of the batch, [n].
    """

    def __init__(self, model: Classifier, labels: Labels) -> None:
        self.model = model
        self.fast = model
        self.labels = labels
        self.queries = torch.zeros_like(labels)
        self.gradients = torch.zeros_like(labels)

    def speed_up(self, images: Images, logits: Logits | None, compiled: bool) -> None:
        """Take gradients from a folded copy, if there is one and its logits agree with the model's.

        Args:
            images: The batch.
            logits: The model's, if they are known: else it is asked for a few, which counts as one query an image.
            compiled: Let ``torch.compile`` make the copy.
        """
        if not (compiled or foldable(self.model)):
            return
        sample = images[:_SAMPLE]
        if logits is None:
            self.queries += 1
            with torch.no_grad():
                logits = self._exact(sample)
        self.fast = folded(self.model, sample, logits[:_SAMPLE], compiled=compiled)

    @property
    def trusted(self) -> bool:
        """Whether gradients come with the caller's own logits, in full precision."""
        return self.fast is self.model and not torch.is_autocast_enabled(self.labels.device.type)

    @torch.no_grad()
    def measure(self, images: Images, index: Int[Tensor, " k"] | slice = slice(None)) -> Logits:
        """The caller's model in full precision at images of these examples, by default of all; not counted.

        Raises:
            UserError: The logits are not what an attack can work on.
        """
        return checked_logits(self._exact(images), self.labels[index])

    @torch.no_grad()
    def ask(self, points: Float[Tensor, "k c h w"], index: Int[Tensor, " k"]) -> Float[Tensor, "k classes"]:
        """The caller's model in full precision at points that belong to these examples."""
        self.queries[index] += 1
        logits: Logits = self._exact(points)
        require_finite(logits)
        return logits

    def differentiate(
        self,
        points: Float[Tensor, "k c h w"],
        index: Int[Tensor, " k"],
        rise: Callable[[Logits], PerExample],
    ) -> tuple[Float[Tensor, "k classes"], Float[Tensor, " k"], Float[Tensor, "k c h w"]]:
        """Logits, what is to rise, and its gradient in the points: zero where there is none, or only a NaN."""
        self.queries[index] += 1
        self.gradients[index] += 1
        x = points.detach().requires_grad_(True)
        logits = checked_logits(self.fast(x), self.labels[index])
        value = rise(logits)
        if not value.requires_grad:  # the model cut its graph: there is no gradient to follow
            return logits, value, torch.zeros_like(points)
        (gradient,) = torch.autograd.grad(value.sum(), x, materialize_grads=True)
        return logits.detach(), value.detach(), gradient.nan_to_num_()

    def _exact(self, points: Tensor) -> Any:  # whatever the model gives: ``checked_logits`` has the sentence for it
        with torch.autocast(points.device.type, enabled=False):
            return self.model(points)
