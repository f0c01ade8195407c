"""What is to be seen of an attack: accuracies, the curve over radii, changed images, the least and most robust ones."""

from collections.abc import Sequence
from math import isfinite
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from epslab import figures
from epslab.classifiers.accuracy import logits
from epslab.data import ImageSet
from epslab.evaluation.robustness_report import RobustnessReport
from epslab.evaluation.robustness_result import Example
from epslab.runs import norm_text, save_picture
from epslab.types import Classifier, Images

ROWS = 4
"""Images in a grid."""
EXTREMES = 6
"""Images in a picture of the least or most robust ones."""


def draw(report: RobustnessReport, model: Classifier, images: ImageSet, radius: str, folder: Path) -> None:
    """Draw a report into ``folder``.

    Args:
        report: With the adversarial images in its store.
        model: The classifier that was attacked.
        images: What it was attacked on.
        radius: As it was asked for, e.g. "8/255".
        folder: Where the PNG files go.
    """
    rows = report.to_table().rows
    bars = figures.accuracy_bars([str(row[0]) for row in rows], _interval(rows), first=1)
    save_picture(
        folder, "accuracies", bars, "Accuracy without an attack and under each, with 95 % confidence intervals."
    )
    if report.sweep is not None:
        curve = _curve(report, report.sweep.norm, radius, len(images.classes))
        save_picture(folder, "radius", curve, "Accuracy against the radius of the ball, with its 95 % confidence band.")
    for name, result in report.attacks.items():
        if chosen := _broken_first(result.broken & report.right, report.right):
            grid = _grid(report, name, chosen, model, images)
            save_picture(
                folder,
                f"grid-{name}",
                grid,
                f"What {name} changed, magnified (mid-grey: nothing), and what the model says of each image, with its"
                " confidence.",
            )
    if report.sweep is not None and (least := report.least_robust(EXTREMES)):
        radii = report.sweep.radii
        save_picture(
            folder,
            "least-robust",
            _extremes(least, images, radii),
            "The images broken at the smallest radius, among those the model gets right.",
        )
        most = _extremes(report.most_robust(EXTREMES), images, radii)
        save_picture(folder, "most-robust", most, "The images that withstood the largest radius.")


def _interval(rows: Sequence[Sequence[object]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Accuracy, low and high of a table's rows."""
    numbers = np.array([row[1:4] for row in rows], dtype=float)
    return numbers[:, 0], numbers[:, 1], numbers[:, 2]


def _curve(report: RobustnessReport, norm: str, radius: str, classes: int) -> Figure:
    rows = report.curve().rows
    # Radii of the maximum norm are known as 255ths; those of the others are not.
    scale, unit = (255, "1/255 of the pixel range") if norm == "linf" else (1, "the pixel range is 1")
    own = {result.radius for result in report.attacks.values() if result.norm == norm and result.radius < float("inf")}
    return figures.accuracy_curves(
        scale * np.array([row[0] for row in rows], dtype=float),
        {"under attack (pgd)": _interval(rows)},
        x_label=f"{norm_text(norm)} radius, {unit}",
        chance=1 / classes,
        marked=(radius, own.pop() * scale) if len(own) == 1 else None,
    )


def _extremes(chosen: Sequence[Example], images: ImageSet, radii: Sequence[float]) -> Figure:
    """Images with their class and the radius that broke them."""
    beyond = f"> {figures.radius_text(max(radii))}"
    broken_at = [figures.radius_text(example.radius) if isfinite(example.radius) else beyond for example in chosen]
    texts = [f"{images.classes[example.label]}: {at}" for example, at in zip(chosen, broken_at, strict=True)]
    return figures.examples(images[torch.tensor([example.index for example in chosen])].images, texts)


def _broken_first(broken: Tensor, right: Tensor) -> list[int]:
    """The first examples the attack broke; where it broke fewer, others that the model gets right."""
    order = [*broken.nonzero()[:, 0].tolist(), *(right & ~broken).nonzero()[:, 0].tolist()]
    return order[:ROWS]


def _grid(report: RobustnessReport, name: str, chosen: Sequence[int], model: Classifier, images: ImageSet) -> Figure:
    before = images[torch.tensor(chosen)].images
    after = report.adversarial(name, chosen).to(before)
    norm = report.attacks[name].norm
    distances = report.attacks[name].distance[list(chosen)].tolist()
    return figures.perturbations(
        before,
        after,
        _said(model, before, images.classes),
        _said(model, after, images.classes),
        change_labels=[f"{norm_text(norm)} {figures.radius_text(distance)}" for distance in distances],
    )


def _said(model: Classifier, images: Images, classes: Sequence[str]) -> list[str]:
    """The predicted class of each image, and how sure of it the model is."""
    confidence, prediction = logits(model, images).double().softmax(1).max(1)
    return [f"{classes[i]}: {_percent(p)}" for i, p in zip(prediction.tolist(), confidence.tolist(), strict=True)]


def _percent(p: float) -> str:
    """Never 100 % for what is less."""
    return f"{min(99, round(100 * p)) if p < 1 else 100} %"
