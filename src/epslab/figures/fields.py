"""Vector fields on the plane."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from epslab.figures.laws import Points, Posteriors
from epslab.figures.style import INK, VERMILION, array, figure, styled
from epslab.figures.words import listed, sentence
from epslab.runs import number


@styled
def vector_fields(points: Points, places: Posteriors, fields: Mapping[str, Posteriors]) -> Figure:
    """Arrows at places of the plane over a cloud of points, one panel a field, two panels in a row.

    >>> import torch
    >>> from epslab.figures import vector_fields
    >>> drawing = vector_fields(torch.randn(50, 2), torch.eye(2), {"towards 0": -torch.eye(2)})
    >>> [axes.get_title("left") for axes in drawing.axes]
    ['towards 0']

    Args:
        points: The cloud [n 2].
        places: Where the arrows begin [m 2].
        fields: By name, the arrows [m 2]; in each panel the longest is shown 1.5 cells of the places long, the others
            by the square root of their share, so that short ones still show a direction.

    Raises:
        ValueError: There is no field.
    """
    if not fields:
        raise ValueError("at least one field is needed")
    cloud, at = array(points), array(places)
    columns = min(2, len(fields))
    rows = -(-len(fields) // columns)
    drawing = figure(0.3 + 2.15 * rows if columns == 2 else 4.0)
    panels = np.atleast_1d(drawing.subplots(rows, columns, sharex=True, sharey=True)).flatten()
    cell = float((at.max(0) - at.min(0)).max() / max(1.0, np.sqrt(len(at)) - 1))
    for axes, (name, field) in zip(panels, fields.items(), strict=False):
        arrows = array(field)
        axes.scatter(cloud[:, 0], cloud[:, 1], s=3, color=VERMILION, alpha=0.5, linewidth=0, rasterized=True)
        shown = _shortened(arrows) * 1.5 * cell
        axes.quiver(
            at[:, 0], at[:, 1], shown[:, 0], shown[:, 1],
            color=INK, angles="xy", scale_units="xy", scale=1, width=0.007, headwidth=3.5, headlength=4,
        )  # fmt: skip
        axes.set(title=name)
        axes.set(xlim=_ends(at[:, 0], cell), ylim=_ends(at[:, 1], cell))
        axes.set_aspect("equal")
        axes.grid(visible=False)
    for axes in panels[len(fields) :]:
        axes.set_visible(False)
    drawing.alt = sentence(
        f"{len(at)} arrows over {len(cloud)} points of the plane in each panel",
        listed(f"{name}: longest arrow {number(_longest(array(field)))}" for name, field in fields.items()),
    )
    return drawing


def _ends(coordinates: np.ndarray, margin: float) -> tuple[float, float]:
    return float(coordinates.min() - margin), float(coordinates.max() + margin)


def _longest(arrows: np.ndarray) -> float:
    return float(np.linalg.norm(arrows, axis=1).max())


def _shortened(arrows: np.ndarray) -> np.ndarray:
    """In the same directions, of length √(length/longest)."""
    length = np.linalg.norm(arrows, axis=1, keepdims=True)
    longest = max(float(length.max()), 1e-12)
    shown: np.ndarray = arrows / np.maximum(np.sqrt(length * longest), 1e-12)
    return shown
