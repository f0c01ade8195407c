"""Pictures that several studies of classifiers show."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from epslab import figures
from epslab.classifiers import Proportion
from epslab.classifiers.accuracy import logits
from epslab.figures.adversarial import Interval
from epslab.runs import whole_percent
from epslab.types import Classifier, Images


@dataclass(frozen=True, eq=False)
class Changed:
    """Images before and after an attack, [n c h w], with what the classifier said of each: "7: 98 %"."""

    before: Images
    after: Images
    said_before: tuple[str, ...]
    said_after: tuple[str, ...]

    @classmethod
    def of(cls, model: Classifier, before: Images, after: Images, classes: Sequence[str]) -> "Changed":
        """Ask the model."""
        return cls(before, after, _answers(model, before, classes), _answers(model, after, classes))

    def figure(self) -> Figure:
        """Every image, what was changed in it, and the result."""
        return figures.perturbations(self.before, self.after, self.said_before, self.said_after)


def with_intervals(shares: Iterable[Proportion]) -> Interval:
    """The shares, and the lower and upper ends of their 95 % intervals."""
    value, low, high = np.array([(float(share), *share.interval()) for share in shares]).T
    return value, low, high


def _answers(model: Classifier, images: Images, classes: Sequence[str]) -> tuple[str, ...]:
    """The class the model names, and how sure it is: "7: 98 %"; never 100 % for what is less."""
    confidence, said = logits(model, images).double().softmax(1).max(1)
    return tuple(
        f"{classes[label]}: {whole_percent(sure)}"
        for label, sure in zip(said.tolist(), confidence.tolist(), strict=True)
    )
