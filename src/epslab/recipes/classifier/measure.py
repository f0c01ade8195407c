"""The measurements of a trained classifier: accuracy, cross-entropy, calibration."""

from collections.abc import Mapping
from typing import Any

import torch.nn.functional as F
from torch import nn

from epslab.classifiers import Proportion
from epslab.classifiers.calibration import calibration
from epslab.data import ImageSet
from epslab.evaluation.estimate import Estimate
from epslab.recipes.classifier.answers import Answers
from epslab.recipes.classifier.pictures import draw
from epslab.recipes.classifier.published import FACTS
from epslab.recipes.plan import Asked
from epslab.recipes.published import trained_as, with_published
from epslab.runs import Measured, Measurement, Run, Table, norm_text, percent

_CLASSES = 20  # rows of the table of classes


def measure(model: nn.Module, run: Run, images: ImageSet, asked: Asked) -> Measured:
    """Accuracy (of each class, too), cross-entropy, calibration, and the pictures of them."""
    answers = Answers.of(model, images, asked.batch_size)
    draw(answers, images, run)
    accuracy, sure = Proportion.of(answers.right), answers.confidence.mean().item()
    entropies = F.cross_entropy(answers.logits.double(), answers.labels, reduction="none")
    entropy = Estimate.of(entropies)
    curve = calibration(answers.logits, answers.labels)
    measured = Measured(
        [
            Measurement(
                "accuracy", "accuracy", "fraction", float(accuracy), accuracy.interval(), better="higher", headline=True
            ),
            Measurement(
                "cross_entropy", "cross-entropy", "nats", entropy.mean, standard_error=entropy.standard_error,
                better="lower",
            ),
            Measurement(
                "calibration_error", "expected calibration error", "", curve.error, better="lower",
                note=f"{curve.bins} bins of confidence",
            ),
            Measurement("confidence", "mean confidence in the predicted class", "fraction", sure),
        ],
        tables=[_by_class(answers, images.classes)],
        statements=_confidence(accuracy, sure),
        conditions=_defended(run.config),
        per_example={"accuracy": answers.right.double().tolist(), "cross_entropy": entropies.tolist()},
    )  # fmt: skip
    return with_published(measured, FACTS, trained_as(run))


def _defended(config: Mapping[str, Any]) -> str:
    """The attack it was trained against, which costs clean accuracy; "" for none."""
    if config.get("defence", "none") == "none":
        return ""
    ball = f"{norm_text(config['norm'])} {config['radius']}"
    return f"clean images; trained by {config['defence']}, {config['attack']} at {ball}"


def _confidence(accuracy: Proportion, sure: float) -> list[str]:
    """Whether the mean confidence lies outside the accuracy's interval."""
    low, high = accuracy.interval()
    if low <= sure <= high:
        return []
    which = "surer than it is right" if sure > high else "right more often than it is sure"
    return [f"It is {which}: its mean confidence is {percent(sure)}."]


def _by_class(answers: Answers, classes: tuple[str, ...]) -> Table:
    """The accuracy of each class, the least accurate first; of many, only those."""
    shares = [
        (Proportion.of(answers.right[answers.labels == label]), name)
        for label, name in enumerate(classes)
        if (answers.labels == label).any()
    ]
    shares.sort(key=lambda share: float(share[0]))
    which = f"The {_CLASSES} least accurate of {len(shares)} classes. " if len(shares) > _CLASSES else ""
    return Table(
        "Accuracy by class",
        ("class", "accuracy", "images"),
        [(name, str(share), share.n) for share, name in shares[:_CLASSES]],
        f"{which}[low, high] is the 95 % interval (Clopper & Pearson).",
    )
