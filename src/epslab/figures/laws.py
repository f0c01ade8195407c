"""Pictures of probability laws and of latent space."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse
from matplotlib.patheffects import withStroke
from torch import Tensor

from epslab.figures.style import CLASSES, COLOURS, INK, Drawing, Vector, array, figure, key, styled
from epslab.figures.words import listed, sentence
from epslab.runs import number

_NAMED = 20  # most classes of a legend

Points = Float[Tensor, "n 2"] | Float[np.ndarray, "n 2"]
"""Points of the plane."""
Posteriors = Float[Tensor, "m 2"] | Float[np.ndarray, "m 2"]
"""Means or standard deviations of posteriors over the plane."""
ClassIndices = Int[Tensor, " n"] | Int[np.ndarray, " n"]


@styled
def latent_scatter(codes: Points, labels: ClassIndices, classes: Sequence[str]) -> Figure:
    """Codes [n 2] coloured by class, z₁ to the right and z₂ upwards, as in ``manifold``.

    Each class is named at the median of its codes, and in a legend unless there are more than 20.
    """
    z, y = array(codes), array(labels)
    drawing = figure(4.0)
    axes = drawing.subplots()
    medians = {}
    for i, name in enumerate(classes):
        own = z[y == i]
        if len(own):
            colour = CLASSES[i % len(CLASSES)]
            axes.scatter(own[:, 0], own[:, 1], s=9, color=colour, alpha=0.7, linewidth=0, rasterized=True, label=name)
            medians[name] = np.median(own, axis=0)
            _name(axes, name, medians[name])
    _plane(axes)
    if len(medians) <= _NAMED:
        _legend_of_dots(drawing, axes)
    drawing.alt = sentence(
        f"{len(z)} points in the plane of z₁ and z₂, coloured by class",
        "Medians: " + listed(f"{name} at ({_pair(place)})" for name, place in medians.items()) if medians else "",
    )
    return drawing


@styled
def contours(
    prior_samples: Points,
    means: Posteriors,
    stds: Posteriors,
    *,
    names: Sequence[str] | None = None,
) -> Figure:
    """Samples of the prior [n 2], and posteriors N(mean, std²) as ellipses at 1 and 2 standard deviations.

    Args:
        prior_samples: Drawn as small grey points.
        means: Centre of each posterior.
        stds: Standard deviation of each posterior along both axes.
        names: A short name for each posterior.
    """
    drawing = figure(4.0)
    axes = drawing.subplots()
    cloud, centres, spreads = array(prior_samples), array(means), array(stds)
    axes.scatter(cloud[:, 0], cloud[:, 1], s=7, color="#a3abb5", linewidth=0, label="samples of the prior")
    for i, (centre, spread) in enumerate(zip(centres, spreads, strict=True)):
        colour = COLOURS[i % len(COLOURS)]
        for scale in (1.0, 2.0):
            axes.add_patch(
                Ellipse(
                    (float(centre[0]), float(centre[1])),
                    *(2 * scale * spread),
                    facecolor=(colour, 0.15),
                    edgecolor=colour,
                    linewidth=1.4,
                    label="posteriors at 1 and 2 std" if i == 0 and scale == 1 else None,
                )
            )
        if names is not None:
            _name(axes, names[i], centre + np.array([0.0, 2 * spread[1]]), above=True, colour=colour)
    _plane(axes)
    key(drawing, axes)
    drawing.alt = sentence(
        f"{len(cloud)} samples of the prior and {len(centres)} posteriors as ellipses in the plane of z₁ and z₂",
        listed(
            f"{'posterior' if names is None else names[i]}: mean ({_pair(centre)}), deviations ({_pair(spread)})"
            for i, (centre, spread) in enumerate(zip(centres, spreads, strict=True))
        ),
    )
    return drawing


@styled
def densities(x: Vector, panels: Mapping[str, Mapping[str, Vector]]) -> Figure:
    """Densities over a common x, filled, in one panel per situation: ``{"close": {"p": …, "q": …}, "far": …}``."""
    at = array(x)
    drawing = figure(0.9 + 1.45 * len(panels))
    rows = np.atleast_1d(drawing.subplots(len(panels), 1, sharex=True, sharey=True))
    for axes, (title, laws) in zip(rows, panels.items(), strict=True):
        for (name, density), colour in zip(laws.items(), COLOURS, strict=False):
            heights = array(density)
            axes.fill_between(at, heights, color=colour, alpha=0.25, linewidth=0)
            axes.plot(at, heights, color=colour)
            peak = int(heights.argmax())
            _name(axes, name, np.array([at[peak], heights[peak]]), above=True, colour=colour)
        axes.margins(x=0, y=0.28)
        axes.set_ylim(bottom=0)
        axes.set(title=title, ylabel="density")
    rows[-1].set_xlabel("x")
    drawing.alt = sentence(
        "Densities over x",
        *(
            f"{title}: "
            + listed(f"{name} peaks at {number(float(at[array(density).argmax()]))}" for name, density in laws.items())
            for title, laws in panels.items()
        ),
    )
    return drawing


def _name(axes: Axes, text: str, place: np.ndarray, *, above: bool = False, colour: str = INK) -> None:
    """A name written where it belongs, with a white rim so that it can be read on any background."""
    axes.annotate(
        text,
        (float(place[0]), float(place[1])),
        xytext=(0, 2 if above else 0),
        textcoords="offset points",
        ha="center",
        va="bottom" if above else "center",
        weight="bold",
        color=colour,
        path_effects=[withStroke(linewidth=3, foreground="white")],
    )


def _pair(place: np.ndarray) -> str:
    return f"{number(float(place[0]))}, {number(float(place[1]))}"


def _legend_of_dots(drawing: Drawing, axes: Axes) -> None:
    """A key of the classes, their dots large enough to tell the colours."""
    key(drawing, axes)
    for legend in drawing.legends:
        for handle in legend.legend_handles:
            if isinstance(handle, PathCollection):
                handle.set_sizes([45])
                handle.set_alpha(1)


def _plane(axes: Axes) -> None:
    """Axes of two latent coordinates with equal scales."""
    axes.set_aspect("equal", adjustable="datalim")
    axes.set(xlabel="z₁", ylabel="z₂")
