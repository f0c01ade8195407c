"""What asks: the model under attack, the seeds its noise is made of, and the ledger of queries and gradients."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from epslab import seeds
from epslab.arrays import require_classes
from epslab.attacks.attacked import Given
from epslab.attacks.checks import checked, require_finite, require_generator, require_logits
from epslab.attacks.folding import foldable, folded
from epslab.attacks.objectives import require_per_example
from epslab.nets.answers import answer, require_model
from epslab.nets.modes import borrowed
from epslab.nets.random import draws as draws_noise
from epslab.types import Classifier, Images, Labels, Logits, PerExample, Seeds

_SAMPLE = 8
"""Images at which the copy's logits are compared with the model's."""

Answers = tuple[Float[Tensor, "k classes"], Float[Tensor, " k"], Float[Tensor, "k c h w"]]
"""Logits, what is to rise, and its gradient in the points."""


class Victim:
    """A model and what it has been asked; made by ``asking``.

    A model that draws noise (``epslab.nets.random``) is handed seeds of each example's own, fresh with every query: a
    function of the example's seed and of how often it has been asked about, whatever the batch it sits in.

    Args:
        model: In eval mode, its parameters without gradients.
        images: The clean images, [n c h w].
        labels: The true classes, [n].
        seeds: The examples' own, [n].
        draws: Draws that an answer and a gradient are the mean of, where the model draws noise.
    """

    def __init__(self, model: Classifier, images: Images, labels: Labels, seeds: Seeds, draws: int = 1) -> None:
        self.model = model
        self.fast = model
        self.images = images
        self.labels = labels
        self.seeds = seeds
        self.queries = torch.zeros_like(labels)
        self.gradients = torch.zeros_like(labels)
        self._random = draws_noise(model)
        self._draws = draws if self._random else 1
        self._classes: int | None = None
        self._finite = torch.ones((), dtype=torch.bool, device=images.device)
        self._clean: Logits | None = None

    @property
    def clean(self) -> Logits:
        """The model's logits at the clean images; the first time they cost one query per image."""
        if self._clean is None:
            self._clean = self.ask(self.images, torch.arange(len(self.images), device=self.images.device))
        return self._clean

    def speed_up(self, steps: int, compiled: bool = False) -> None:
        """Take gradients from a folded copy, if it is worth making and its logits agree with the model's.

        A model whose clean logits are not known yet is asked for a few, which counts as one query per image.

        Args:
            steps: Gradients that an example may need.
            compiled: Let ``torch.compile`` make the copy.
        """
        worth = compiled or (worth_folding(steps, tuple(self.images.shape[1:])) and foldable(self.model))
        if self._random or not worth:
            return
        sample = self.images[:_SAMPLE]
        if self._clean is None:
            self.queries += 1
        logits = self.measure(sample, slice(len(sample))) if self._clean is None else self._clean[:_SAMPLE]
        self.fast = folded(self.model, sample, logits, compiled=compiled)

    @property
    def trusted(self) -> bool:
        """Whether what ``differentiate`` says of success stands: the model's own logits, in full precision, no draw."""
        autocast = torch.is_autocast_enabled(self.labels.device.type)
        return self.fast is self.model and not autocast and not self._random

    @torch.no_grad()
    def measure(self, points: Images, index: Int[Tensor, " k"] | slice = slice(None)) -> Logits:
        """The caller's model in full precision at points of these examples, by default of all; not counted.

        Raises:
            UserError: These logits, or any that the model gave before, are not what an attack can work on.
        """
        logits = self._exact(points, index)
        self.require_finite()
        return logits

    @torch.no_grad()
    def ask(self, points: Float[Tensor, "k c h w"], index: Int[Tensor, " k"]) -> Logits:
        """The caller's model in full precision at points that belong to these examples."""
        logits = self._exact(points, index)
        for counter in range(1, self._draws):
            logits = logits + self._exact(points, index, counter)
        self.queries[index] += self._draws
        return logits / self._draws

    def differentiate(
        self, points: Float[Tensor, "k c h w"], index: Int[Tensor, " k"], rise: Callable[[Logits], PerExample]
    ) -> Answers:
        """Logits, what is to rise, and its gradient in the points: zero where there is none, or only a NaN."""
        answers = self._differentiate(points, index, rise, 0)
        for counter in range(1, self._draws):
            more = self._differentiate(points, index, rise, counter)
            answers = (answers[0] + more[0], answers[1] + more[1], answers[2] + more[2])
        self.queries[index] += self._draws
        self.gradients[index] += self._draws
        if self._draws > 1:
            answers = (answers[0] / self._draws, answers[1] / self._draws, answers[2] / self._draws)
        return answers

    def require_finite(self) -> None:
        """Refuse a model that gave NaN or infinite logits at any time; on a GPU this waits for it, once.

        Raises:
            UserError: It did.
        """
        require_finite(self._finite)

    def _differentiate(
        self, points: Tensor, index: Tensor, rise: Callable[[Logits], PerExample], counter: int
    ) -> Answers:
        x = points.detach().requires_grad_(True)
        logits = self._noted(self._answer(self.fast, x, index, counter), len(x))
        value = rise(logits)
        require_per_example(value, len(x))
        if not value.requires_grad:  # the model cut its graph: there is no gradient to follow
            return logits, value, torch.zeros_like(points)
        (gradient,) = torch.autograd.grad(value.sum(), x, materialize_grads=True)
        # In the points' memory format: to mix formats is slow, and the folded copy's gradients have another one.
        return logits.detach(), value.detach(), torch.empty_like(points).copy_(gradient).nan_to_num_()

    def _exact(self, points: Tensor, index: Int[Tensor, " k"] | slice, counter: int = 0) -> Logits:
        with torch.autocast(points.device.type, enabled=False):
            return self._noted(self._answer(self.model, points, index, counter), len(points))

    def _answer(self, model: Any, points: Tensor, index: Tensor | slice, counter: int) -> Tensor:
        """What the model gives as logits."""
        if not self._random:
            return answer(model, points)
        numbers = seeds.of_indices(0, self.queries[index], "query")
        return answer(model, points, seeds=seeds.fork(self.seeds[index] ^ numbers, "model"), counter=counter)

    def _noted(self, logits: Tensor, n: int) -> Logits:
        """The logits; whether they are finite is noted without waiting for the device."""
        require_logits(logits, n)
        if self._classes is None:
            require_classes(self.labels, logits.shape[1])
            self._classes = logits.shape[1]
        self._finite = self._finite & torch.isfinite(logits.detach()).all()
        return logits


@contextmanager
def asking(given: Given, draws: int = 1) -> Iterator[Victim]:
    """Check the inputs, borrow the model, draw the examples' seeds unless they are given, and open the ledger.

    Args:
        given: Model, images, labels, and where the examples' seeds come from.
        draws: Draws that an answer is the mean of, where the model draws noise.

    Raises:
        UserError: The inputs are not what an attack can work on.
    """
    require_model(given.model)
    require_generator(given.generator)
    x, y = checked(given.images, given.labels, given.seeds)
    # Before the generators are borrowed: torch's default one moves on, as it does with every draw.
    own = seeds.draw(len(x), given.generator, x.device) if given.seeds is None else given.seeds.to(x.device)
    borrowing = borrowed(given.model, frozen=True, device=x.device)
    with borrowing, torch.inference_mode(False), torch.enable_grad():
        # Normal tensors, also of what was made in inference mode.
        yield Victim(given.model, x.clone(), y.clone(), own.clone(), draws)


def worth_folding(steps: int, image_shape: tuple[int, ...]) -> bool:
    """Whether a copy for this number of gradient steps saves more than it costs to make, some milliseconds."""
    return steps >= 10 or (steps >= 4 and steps * math.prod(image_shape) >= 4096)
