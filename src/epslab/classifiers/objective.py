"""What a classifier minimises: cross-entropy, or any loss of a model, images and labels, such as a defence."""

from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from epslab import seeds as noise
from epslab.errors import UserError
from epslab.nets.modes import evaluating
from epslab.runs import Column
from epslab.types import Batch, Classifier, Images, Labels, PerExample, Progress, Seeds


@runtime_checkable
class Loss(Protocol):
    """A loss of a model at labelled images, [n]: ``CrossEntropy``, or a defence."""

    def __call__(
        self,
        model: Classifier,
        images: Images,
        labels: Labels,
        generator: Generator | None = None,
        *,
        seeds: Seeds | None = None,
    ) -> PerExample:
        """The loss of each example; its noise comes from ``seeds``, or from ``generator``."""
        ...


@runtime_checkable
class Augment(Protocol):
    """A random change of images that keeps their labels, a function of the images and the examples' seeds."""

    def __call__(self, images: Images, seeds: Seeds) -> Images:
        """The changed images, of the same shape."""
        ...


@dataclass(frozen=True)
class CrossEntropy:
    """−Σ_k q_k log softmax(model(x))_k in nats, with q = (1 − s)·onehot(y) + s/classes.

    The model's output is logits: the logarithm of the softmax is taken here. Label smoothing: Szegedy et al. (2016),
    section 7.

    Args:
        label_smoothing: s in [0, 1].

    Raises:
        UserError: A label smoothing outside [0, 1].
    """

    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        """Check the range."""
        if not 0 <= self.label_smoothing <= 1:
            raise UserError(f"label_smoothing={self.label_smoothing}: it must lie in [0, 1], e.g. 0.1.")

    def __call__(
        self,
        model: Classifier,
        images: Images,
        labels: Labels,
        generator: Generator | None = None,
        *,
        seeds: Seeds | None = None,
    ) -> PerExample:
        """The cross-entropy of each example, [n]; nothing here is random."""
        return F.cross_entropy(model(images), labels, reduction="none", label_smoothing=self.label_smoothing)


@dataclass(frozen=True)
class ClassifierObjective:
    """The loss of a classifier and its error, per example.

    The entries, each a curve: ``loss`` (what is minimised, in nats) and ``error`` (1 where the predicted class is not
    the label, else 0, at the images as they came, whatever the loss does to them; falls from 1 − 1/classes).
    Training images are augmented, for both entries; validation images never are.

    Args:
        model: Images in [0, 1] to logits.
        loss: (model, images, labels, generator=None, *, seeds=None) -> [n]; a defence goes in here.
        augment: (images, seeds) -> images, in training only.
    """

    model: nn.Module
    loss: Loss = field(default_factory=CrossEntropy)
    augment: Augment | None = None

    @property
    def columns(self) -> dict[str, Column]:
        """What the entries are."""
        return {
            "error": Column("Error", "fraction", better="lower"),
            "loss": Column("Training objective", "nats", better="lower"),
        }

    def __call__(self, batch: Batch, progress: Progress) -> dict[str, PerExample]:
        """Loss and error of each image."""
        images = batch.images
        if self.augment is not None and progress.training:
            images = self.augment(images, noise.fork(batch.seeds, "augmentation"))
        with _Watch(self.model, images) as seen:
            loss = self.loss(self.model, images, batch.labels, seeds=noise.fork(batch.seeds, "loss"))
        logits = seen.logits if seen.logits is not None else self._evaluate(images)
        error = (logits.detach().argmax(1) != batch.labels).to(loss.dtype)
        return {"loss": loss, "error": error}

    def _evaluate(self, images: Images) -> Tensor:
        """The logits in eval mode, so that one more look moves no statistics."""
        with torch.no_grad(), evaluating(self.model):
            logits: Tensor = self.model(images)
        return logits


class _Watch:
    """Keeps the logits a loss computes at the very images it is given, so that the error costs no pass of its own."""

    def __init__(self, model: nn.Module, images: Images) -> None:
        self.logits: Tensor | None = None
        self._model = model
        self._images = images

    def __enter__(self) -> "_Watch":
        self._handle = self._model.register_forward_hook(self._look)
        return self

    def __exit__(self, *_: object) -> None:
        self._handle.remove()

    def _look(self, _: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        if inputs and inputs[0] is self._images:
            self.logits = output
