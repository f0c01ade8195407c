"""Pictures of a classifier: its calibration, what it confuses, and its most confident mistakes."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int
from matplotlib.figure import Figure
from torch import Tensor

from epslab.figures.images import image_grid
from epslab.figures.style import BLUE, GRID, INK, LETTER, WIDTH, ImageArray, Vector, array, cells, figure, key, styled
from epslab.figures.words import listed, sentence
from epslab.runs import number, whole_percent

Counts = Int[Tensor, "classes classes"] | Int[np.ndarray, "classes classes"]
"""How many of class i (row) were taken for class j (column)."""


@styled
def reliability(confidence: Vector, accuracy: Vector, share: Vector) -> Figure:
    """Accuracy against confidence; below the diagonal the classifier is surer than it is right.

    Args:
        confidence: Mean confidence of the images in each bin, in [0, 1], [bins]; NaN in empty bins, which are left out.
        accuracy: Share of them that is classified correctly, [bins].
        share: Share of all images in each bin, [bins]; drawn below.
    """
    sure, right, size = (100 * array(part) for part in (confidence, accuracy, share))
    drawing = figure(4.4)
    above, below = drawing.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    above.plot([0, 100], [0, 100], color=INK, linewidth=1.2, linestyle=(0, (4, 2)), label="as sure as right")
    known = np.isfinite(sure) & np.isfinite(right)
    above.plot(sure[known], right[known], color=BLUE, marker="o", markersize=5, label="classifier")
    width = 100 / len(size)
    below.bar((np.arange(len(size)) + 0.5) * width, size, width=0.9 * width, color="#8b949e")
    above.set(xlim=(0, 100), ylim=(0, 102), yticks=range(0, 101, 20), ylabel="accuracy, %")
    below.set(ylim=(0, 100), ylabel="images, %", xlabel="confidence, %")
    drawing.align_ylabels([above, below])
    key(drawing, above)
    drawing.alt = sentence(
        "Accuracy against confidence, both in percent, with the share of images at each confidence below",
        listed(
            f"confidence {number(float(a))}: accuracy {number(float(b))}"
            for a, b in zip(sure[known], right[known], strict=True)
        ),
    )
    return drawing


@styled
def confusion(counts: Counts, classes: Sequence[str]) -> Figure:
    """Which classes are taken for which: rows the true class, columns the predicted one, darker for more of a row.

    The diagonal (correct predictions) is left white, so that the mistakes stand out. Their numbers are written in the
    cells.

    Args:
        counts: Images of class i (row) that were taken for class j (column).
        classes: Names of the classes.
    """
    numbers = array(counts)
    wrong = numbers.astype(float)
    np.fill_diagonal(wrong, 0.0)
    share = wrong / np.maximum(numbers.sum(1, keepdims=True), 1)
    few = len(classes) <= 12
    drawing = figure(1.0 + max(2.6, 0.3 * len(classes)))
    axes = drawing.subplots()
    axes.imshow(share, cmap="Blues", vmin=0, vmax=max(share.max(), 1e-9), aspect="auto")
    if few:
        for (i, j), n in np.ndenumerate(numbers):
            if i != j and n:
                dark = share[i, j] > 0.6 * share.max()
                axes.text(j, i, f"{n:,}", ha="center", va="center", color="white" if dark else "black")
    long = max(map(len, classes)) > 2
    axes.set_xticks(range(len(classes)), classes, rotation=90 if long else 0)
    axes.set_yticks(range(len(classes)), classes)
    cells(axes, len(classes), len(classes), color=GRID)
    axes.set(xlabel="taken for", ylabel="is")
    pairs = sorted(np.ndenumerate(wrong), key=lambda pair: -pair[1])
    most = [f"{classes[i]} taken for {classes[j]}: {int(n)}" for (i, j), n in pairs if n][:8]
    drawing.alt = sentence(
        f"Matrix of mistakes between {len(classes)} classes", "The most frequent: " + listed(most) if most else "None"
    )
    return drawing


@styled
def mistakes(images: ImageArray, truth: Sequence[str], said: Sequence[str], confidence: Vector) -> Figure:
    """Misclassified images, each with "is → taken for" and the confidence below it.

    Args:
        images: [n c h w], in the order they are shown.
        truth: The class of each.
        said: The class predicted for each.
        confidence: The probability of the predicted class, in [0, 1].
    """
    percent = [whole_percent(value) for value in array(confidence).tolist()]
    longest = max(len(f"{a}→{b} {c}") for a, b, c in zip(truth, said, percent, strict=True))
    columns = min(6, max(2, int(WIDTH / (LETTER * (longest + 1.5)))))
    room = int(WIDTH / columns / LETTER) - 9  # letters left for both names
    labels = [f"{_cut(a, room)}→{_cut(b, room)} {c}" for a, b, c in zip(truth, said, percent, strict=True)]
    drawing = image_grid(images, columns=columns, labels=labels)
    drawing.alt = sentence(
        f"{len(labels)} images the classifier gets wrong",
        listed(f"{a} taken for {b}, {c}" for a, b, c in zip(truth, said, percent, strict=True)),
    )
    return drawing


def _cut(name: str, room: int) -> str:
    """The name, cut to half the room."""
    most = max(3, room // 2)
    return name if len(name) <= most else f"{name[: most - 1]}…"
