"""A classifier's answers on labelled images: which are right, how confident it is, which classes it confuses."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor

from epslab.arrays import require_classes
from epslab.classifiers.accuracy import logits
from epslab.data import ImageSet
from epslab.types import Classifier, Labels, Logits


@dataclass(frozen=True)
class Answers:
    """A classifier's logits on labelled images, and what follows from them.

    Args:
        logits: [n classes].
        labels: The true classes, [n].
    """

    logits: Logits
    labels: Labels

    @classmethod
    def of(cls, model: Classifier, images: ImageSet, batch_size: int) -> "Answers":
        """Every image's logits, on the CPU."""
        parts = [logits(model, images[i : i + batch_size].images).cpu() for i in range(0, len(images), batch_size)]
        found = torch.cat(parts)
        require_classes(images.labels, found.shape[1])
        return cls(found, images.labels.cpu())

    @property
    def predicted(self) -> Labels:
        """The class with the largest logit, [n]."""
        return self.logits.argmax(1)

    @property
    def right(self) -> Bool[Tensor, " n"]:
        """Whether that is the true class, [n]."""
        return self.predicted == self.labels

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
        wrong = torch.nonzero(~self.right).flatten()
        return wrong[self.confidence[wrong].argsort(descending=True, stable=True)[:n]]
