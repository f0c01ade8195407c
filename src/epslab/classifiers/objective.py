"""What a classifier minimises: cross-entropy, or any loss of a model, images and labels, such as a defence."""

from dataclasses import dataclass, field
from typing import ClassVar, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from epslab.errors import UserError
from epslab.nets.answers import logits_of
from epslab.nets.modes import evaluating
from epslab.runs import Column
from epslab.seeds import fork
from epslab.types import Batch, Classifier, Images, Labels, Logits, PerExample, Progress, Seeds


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
class LossWithLogits(Loss, Protocol):
    """A loss that can also return the logits it computed, so that the error costs no forward pass.

    A class that extends it writes ``with_logits`` alone.
    """

    def __call__(
        self,
        model: Classifier,
        images: Images,
        labels: Labels,
        generator: Generator | None = None,
        *,
        seeds: Seeds | None = None,
    ) -> PerExample:
        """The loss of each example, nats, [n]; see ``with_logits``."""
        return self.with_logits(model, images, labels, generator, seeds=seeds)[0]

    def with_logits(
        self,
        model: Classifier,
        images: Images,
        labels: Labels,
        generator: Generator | None = None,
        *,
        seeds: Seeds | None = None,
    ) -> tuple[PerExample, Logits | None]:
        """The loss of each example, and the logits of the images given, if they were computed."""
        ...


@runtime_checkable
class Augment(Protocol):
    """A random change of images that keeps their labels, a function of the images and the examples' seeds."""

    def __call__(self, images: Images, seeds: Seeds) -> Images:
        """The changed images, of the same shape."""
        ...


@dataclass(frozen=True)
class CrossEntropy(LossWithLogits):
    """−Σ_k q_k log softmax(model(x))_k in nats, with q = (1 − s)·onehot(y) + s/classes.

    The model's output is logits: the logarithm of the softmax is taken here. Label smoothing: Szegedy et al. (2016),
    section 7.

    >>> CrossEntropy()(torch.nn.Flatten(), torch.zeros(1, 1, 1, 2), torch.tensor([0]))  # two equal logits: ln 2
    tensor([0.6931])

    Args:
        label_smoothing: s in [0, 1].

    Raises:
        UserError: A label smoothing outside [0, 1].
    """

    unit: ClassVar[str] = "nats"
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.label_smoothing <= 1:
            raise UserError(f"label_smoothing={self.label_smoothing}: it must lie in [0, 1], e.g. 0.1.")

    def with_logits(
        self,
        model: Classifier,
        images: Images,
        labels: Labels,
        generator: Generator | None = None,
        *,
        seeds: Seeds | None = None,
    ) -> tuple[PerExample, Logits]:
        """The cross-entropy [n] and the logits [n classes]."""
        logits = logits_of(model(images))
        return F.cross_entropy(logits, labels, reduction="none", label_smoothing=self.label_smoothing), logits


@dataclass(frozen=True)
class ClassifierObjective:
    """The loss of a classifier and its error, per example.

    Each entry is a curve: ``loss`` (what is minimised; in nats, unless the loss is your own) and ``error`` (1 if the
    predicted class is not the label, else 0). The error is that of the images given, even if the loss attacks them; it
    falls from 1 − 1/classes. Training images are augmented for both entries; validation images never are.

    >>> from epslab.types import Batch, Progress
    >>> objective = ClassifierObjective(nn.Flatten())
    >>> batch = Batch(torch.tensor([0.0, 1.0]).view(1, 1, 1, 2), torch.tensor([1]), torch.tensor([7]))
    >>> objective(batch, Progress(0, 0, 1, 1, training=False))["error"]
    tensor([0.])

    Args:
        model: Images in [0, 1] to logits.
        loss: (model, images, labels, generator=None, *, seeds=None) -> [n], e.g. a defence. If it has ``with_logits``,
            the error takes no forward pass; if it has a ``unit``, its curve has it.
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
            "loss": Column("Training objective", getattr(self.loss, "unit", ""), better="lower"),
        }

    def __call__(self, batch: Batch, progress: Progress) -> dict[str, PerExample]:
        """Loss and error of each image."""
        images = batch.images
        if self.augment is not None and progress.training:
            images = self.augment(images, fork(batch.seeds, "augmentation"))
        loss, logits = self._loss(images, batch.labels, fork(batch.seeds, "loss"))
        if logits is None:
            logits = self._evaluate(images)
        error = (logits.detach().argmax(1) != batch.labels).to(loss.dtype)
        return {"loss": loss, "error": error}

    def _loss(self, images: Images, labels: Labels, seeds: Seeds) -> tuple[PerExample, Logits | None]:
        """The loss, and the logits of these images if the loss gives them."""
        if isinstance(self.loss, LossWithLogits):
            return self.loss.with_logits(self.model, images, labels, seeds=seeds)
        return self.loss(self.model, images, labels, seeds=seeds), None

    def _evaluate(self, images: Images) -> Tensor:
        """The logits in eval mode, so that this extra pass moves no statistics."""
        with torch.no_grad(), evaluating(self.model):
            return logits_of(self.model(images))
