"""What a trained classifier is measured by, and the pictures of it: accuracy, cross-entropy, calibration, mistakes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float64, Int64
from torch import Tensor

from epslab import figures
from epslab.classifiers import Proportion
from epslab.classifiers.accuracy import logits, require_labels
from epslab.classifiers.calibration import calibration
from epslab.data import ImageSet
from epslab.evaluation.estimate import Estimate
from epslab.files import write_atomic
from epslab.types import Classifier, Labels, Logits

_MOST_CLASSES = 30  # a confusion matrix of more is no picture
_MISTAKES = 16


@dataclass(frozen=True)
class Measured:
    """A classifier's logits at labelled images, and what follows from them.

    Args:
        logits: [n classes].
        labels: The true classes, [n].
    """

    logits: Logits
    labels: Labels

    @property
    def predicted(self) -> Labels:
        """The class with the largest logit, [n]."""
        return self.logits.argmax(1)

    @property
    def confidence(self) -> Float64[Tensor, " n"]:
        """The probability the classifier gives to the class it predicts, [n]."""
        return self.logits.double().softmax(1).amax(1)

    def confusion(self) -> Int64[Tensor, "classes classes"]:
        """How many images of class i (row) were taken for class j (column)."""
        classes = self.logits.shape[1]
        pairs = self.labels * classes + self.predicted
        return torch.bincount(pairs, minlength=classes * classes).reshape(classes, classes)

    def mistakes(self, n: int) -> Int64[Tensor, " k"]:
        """Indices of the n wrong predictions made with the most confidence, in that order; fewer if fewer are wrong."""
        wrong = torch.nonzero(self.predicted != self.labels).flatten()
        return wrong[self.confidence[wrong].argsort(descending=True, stable=True)[:n]]

    def to_dict(self, classes: tuple[str, ...]) -> dict[str, Any]:
        """The numbers, for JSON: shares as ``Proportion.to_dict`` gives them, cross-entropy in nats."""
        right = self.predicted == self.labels
        per_class = {
            name: Proportion.of(right[self.labels == label]).to_dict()
            for label, name in enumerate(classes)
            if (self.labels == label).any()
        }
        cross_entropy = F.cross_entropy(self.logits.double(), self.labels, reduction="none")
        return {
            "accuracy": Proportion.of(right).to_dict(),
            "cross_entropy": Estimate.of(cross_entropy).to_dict(),
            "calibration_error": calibration(self.logits, self.labels).error,
            "confidence": self.confidence.mean().item(),
            "accuracy_per_class": per_class,
        }


def measure(model: Classifier, images: ImageSet, batch_size: int) -> Measured:
    """Every image's logits, on the CPU."""
    parts = [logits(model, images[i : i + batch_size].images).cpu() for i in range(0, len(images), batch_size)]
    found = torch.cat(parts)
    require_labels(images.labels, found.shape[1])
    return Measured(found, images.labels.cpu())


def draw(measured: Measured, images: ImageSet, folder: Path) -> None:
    """The reliability diagram, the confusion matrix, and the mistakes made with the most confidence."""
    curve = calibration(measured.logits, measured.labels)
    share = curve.count / curve.count.sum()
    made = {"reliability": figures.reliability(curve.confidence, curve.accuracy, share)}
    if len(images.classes) <= _MOST_CLASSES:
        made["confusion"] = figures.confusion(measured.confusion(), images.classes)
    mistakes = measured.mistakes(_MISTAKES)
    if len(mistakes):
        made["mistakes"] = figures.mistakes(
            images[mistakes].images,
            [images.classes[label] for label in measured.labels[mistakes].tolist()],
            [images.classes[label] for label in measured.predicted[mistakes].tolist()],
            measured.confidence[mistakes],
        )
    for name, figure in made.items():
        write_atomic(folder / f"{name}.png", figures.png(figure))
    if not len(mistakes):
        (folder / "mistakes.png").unlink(missing_ok=True)
