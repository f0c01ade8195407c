"""What is to be seen of an attack: accuracies, the curve over radii, changed images, the least and most robust ones."""

from collections.abc import Sequence
from math import inf, isfinite
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from epslab import figures
from epslab.classifiers import Proportion
from epslab.classifiers.accuracy import logits
from epslab.data import ImageSet
from epslab.evaluation.robustness_report import RobustnessReport
from epslab.evaluation.robustness_result import Example
from epslab.runs import norm_text, radius_axis, save_picture, whole_percent
from epslab.types import Classifier, Images

ROWS = 4
"""Images in a grid."""
EXTREMES = 6
"""Images in a picture of the least or most robust ones."""

DISTANCES = 25
"""Points of a curve over distances."""


def draw(report: RobustnessReport, model: Classifier, images: ImageSet, folder: Path, radius: str | None) -> None:
    """Draw a report into ``folder``.

    Args:
        report: With the adversarial images in its store.
        model: The classifier that was attacked.
        images: What it was attacked on.
        folder: Where the PNG files go.
        radius: As it was asked for, e.g. "8/255"; None for attacks without a ball.
    """
    rows = report.to_table().rows
    bars = figures.accuracy_bars([str(row[0]) for row in rows], _interval(rows), first=1)
    told = "Accuracy without an attack and under each, with 95 % confidence intervals."
    save_picture(folder, "accuracies", bars, told)
    if report.sweep is not None:
        curve = _curve(report, report.sweep.norm, radius, len(images.classes))
        save_picture(folder, "radius", curve, "Accuracy against the radius of the ball, with its 95 % confidence band.")
    for name, result in report.attacks.items():
        if result.radius == inf and (result.broken & report.right).any():
            told = f"Accuracy against how far {name} may change an image, with its 95 % confidence band."
            save_picture(folder, f"distance-{name}", _by_distance(report, name, len(images.classes)), told)
        if chosen := _broken_first(result.broken & report.right, report.right):
            grid = _grid(report, name, chosen, model, images)
            told = (
                f"What {name} changed, magnified (mid-grey: nothing), and what the model says of each image, with its"
                " confidence."
            )
            save_picture(folder, f"grid-{name}", grid, told)
    if report.sweep is not None and (least := report.least_robust(EXTREMES)):
        told = "The images broken at the smallest radius, among those the model gets right."
        save_picture(folder, "least-robust", _extremes(least, images, report.sweep.radii), told)
        most = _extremes(report.most_robust(EXTREMES), images, report.sweep.radii)
        save_picture(folder, "most-robust", most, "The images that withstood the largest radius.")


def _by_distance(report: RobustnessReport, name: str, classes: int) -> Figure:
    """Accuracy if an attack without a ball were allowed no more than a distance: it stops at the least one it finds."""
    result = report.attacks[name]
    found = torch.where(result.broken, result.distance, inf)
    found[~report.right] = 0.0
    distances = torch.linspace(0, float(found[found < inf].max()), DISTANCES, dtype=torch.float64)
    standing = [Proportion.of(report.right & (found > distance)) for distance in distances]
    rows = [(name, float(one), *one.interval()) for one in standing]
    x_label = f"{norm_text(result.norm)} distance, the pixel range is 1"
    return figures.accuracy_curves(distances.numpy(), {name: _interval(rows)}, x_label=x_label, chance=1 / classes)


def _interval(rows: Sequence[Sequence[object]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Accuracy, low and high of a table's rows."""
    numbers = np.array([row[1:4] for row in rows], dtype=float)
    return numbers[:, 0], numbers[:, 1], numbers[:, 2]


def _curve(report: RobustnessReport, norm: str, radius: str | None, classes: int) -> Figure:
    rows = report.curve().rows
    radii = np.array([row[0] for row in rows], dtype=float)
    scale, x_label = radius_axis(norm, radii.tolist())
    own = {result.radius for result in report.attacks.values() if result.norm == norm and result.radius < inf}
    return figures.accuracy_curves(
        scale * radii,
        {"under attack (pgd)": _interval(rows)},
        x_label=x_label,
        chance=1 / classes,
        marked=(radius, own.pop() * scale) if radius is not None and len(own) == 1 else None,
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
    return [f"{classes[i]}: {whole_percent(p)}" for i, p in zip(prediction.tolist(), confidence.tolist(), strict=True)]
