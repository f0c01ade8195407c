"""Shares with their intervals as figures take them, and what an attack made of images."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from epslab import figures
from epslab.classifiers import Proportion
from epslab.classifiers.accuracy import logits
from epslab.figures.adversarial import Interval
from epslab.types import Classifier, Images


def with_intervals(shares: Sequence[Proportion]) -> Interval:
    """The shares, and the lower and upper ends of their 95 % intervals."""
    low, high = zip(*(share.interval() for share in shares), strict=True)
    return np.array(shares, dtype=float), np.array(low), np.array(high)


def before_and_after(model: Classifier, before: Images, after: Images, classes: Sequence[str]) -> Figure:
    """Images, what an attack changed in them, and the result, with the model's answer and confidence under each."""
    return figures.perturbations(before, after, _answers(model, before, classes), _answers(model, after, classes))


def _answers(model: Classifier, images: Images, classes: Sequence[str]) -> list[str]:
    """The class the model names, and how sure it is: "7: 98 %"; never 100 % for what is less."""
    confidence, said = logits(model, images).double().softmax(1).max(1)
    return [
        f"{classes[label]}: {100 if sure == 1 else min(99, round(100 * sure))} %"
        for label, sure in zip(said.tolist(), confidence.tolist(), strict=True)
    ]
