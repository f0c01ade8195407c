"""Several sets of points on one plane, side by side on the same axes."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.collections import EllipseCollection
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from epslab.figures.style import BLUE, CLASSES, INK, LETTER, WIDTH, Drawing, array, figure, styled
from epslab.figures.words import listed, sentence

Cloud = Float[Tensor, "_ 2"] | Float[np.ndarray, "_ 2"]
"""Points of the plane, as many in a set as there are."""
Classes = Int[Tensor, " _"] | Int[np.ndarray, " _"]
"""The class of each point of a set."""

_COLUMNS = 2  # more would be too small on a phone
_EDGE = 1.25  # how far the axes reach beyond the circles or the first set of points
_SIZES = (2.5, 6.0)  # points² of a dot: many, few


@styled
def planes(
    panels: Mapping[str, Cloud],
    *,
    circles: tuple[Cloud, float] | None = None,
    labels: Mapping[str, Classes] | None = None,
    classes: Sequence[str] = (),
    axes: tuple[str, str] = ("x₁", "x₂"),
    alt: str = "",
) -> Drawing:
    """Sets of points [n 2], each in a panel of its own, all on the same axes; points outside them are counted.

    >>> import torch
    >>> from epslab.figures import planes, png
    >>> points = {"data": torch.randn(50, 2), "model": torch.randn(50, 2)}
    >>> png(planes(points, circles=(torch.zeros(1, 2), 2.0)))[1:4]
    b'PNG'

    Args:
        panels: The points by the title of their panel; those that are not finite are counted as outside.
        circles: Centres [k 2] and one radius for all, drawn in every panel: where points are to be.
        labels: The class of each point by panel; None: one colour.
        classes: The classes' names, by label.
        axes: Names of the two coordinates.
        alt: What the panels show; numbers belong here, since the figure has none.
    """
    points = {title: array(own) for title, own in panels.items()}
    side = _side(next(iter(points.values())), circles)
    rows = -(-len(points) // _COLUMNS)
    columns = min(_COLUMNS, len(points))
    drawing = figure(0.25 + rows * (WIDTH / columns + 0.15))
    for i, (title, own) in enumerate(points.items()):
        panel = drawing.add_subplot(rows, columns, i + 1)
        _dots(panel, own, None if labels is None else array(labels[title]), len(classes))
        if circles is not None:
            _circles(panel, *circles)
        outside = int((~(np.abs(own) <= side).all(1)).sum())
        _frame(panel, side, title, f"{outside:,} outside" if outside else "", axes, columns)
        panel.label_outer()
    if labels is not None:
        _key(drawing, classes)
    drawing.alt = sentence(f"{len(points)} panels of points on the same axes: {listed(points)}", alt)
    return drawing


def _side(first: np.ndarray, circles: tuple[Cloud, float] | None) -> float:
    """Half the width of the square that every panel shows."""
    if circles is None:
        return _EDGE * float(np.abs(first[np.isfinite(first).all(1)]).max(initial=1e-3))
    return _EDGE * (float(np.abs(array(circles[0])).max()) + circles[1])


def _dots(panel: Axes, points: np.ndarray, labels: np.ndarray | None, classes: int) -> None:
    size = _SIZES[0] if len(points) > 1000 else _SIZES[1]
    look: dict[str, Any] = {"s": size, "alpha": 0.6, "linewidth": 0, "rasterized": True}
    if labels is None:
        panel.scatter(points[:, 0], points[:, 1], color=BLUE, **look)
        return
    for i in range(classes):
        own = points[labels == i]
        panel.scatter(own[:, 0], own[:, 1], color=CLASSES[i % len(CLASSES)], **look)


def _circles(panel: Axes, centres: Cloud, radius: float) -> None:
    n = len(array(centres))
    widths = np.full(n, 2 * radius)
    panel.add_collection(
        EllipseCollection(
            widths, widths, np.zeros(n), units="xy", offsets=array(centres), offset_transform=panel.transData,
            facecolors="none", edgecolors=INK, linewidths=0.6,
        )
    )  # fmt: skip


def _frame(panel: Axes, side: float, title: str, note: str, axes: tuple[str, str], columns: int) -> None:
    panel.set(xlim=(-side, side), ylim=(-side, side), xlabel=axes[0], ylabel=axes[1])
    panel.set_aspect("equal")
    for axis in (panel.xaxis, panel.yaxis):
        axis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    room = int(WIDTH / columns / LETTER) - 6
    panel.set_title(title if len(title) <= room else f"{title[: room - 1]}…")
    if note:
        rim = [withStroke(linewidth=3, foreground="white")]
        panel.text(0.98, 0.02, note, transform=panel.transAxes, ha="right", va="bottom", path_effects=rim)


def _key(drawing: Drawing, classes: Sequence[str]) -> None:
    """The classes' colours, under the panels."""
    dots = [
        drawing.axes[0].scatter([], [], s=45, color=CLASSES[i % len(CLASSES)], linewidth=0, label=name)
        for i, name in enumerate(classes)
    ]
    longest = max(map(len, classes), default=1)
    drawing.legend(
        handles=dots, loc="outside lower center", ncols=max(1, min(5, int(WIDTH / ((longest + 5) * LETTER)))),
        columnspacing=1.0, handletextpad=0.2,
    )  # fmt: skip
