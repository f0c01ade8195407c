"""Lines and bars: what was measured against what was varied."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from epslab.figures.style import BLUE, INK, VERMILION, Vector, array, figure, key, log_scale, look, styled
from epslab.figures.words import course, listed, named, sentence
from epslab.runs import number

Series = Mapping[str, Vector | tuple[Vector, Vector]]
"""Curves by name: the values, or (values, half-width of their spread), each [n]."""


@styled
def lines(
    x: Vector,
    series: Series,
    *,
    x_label: str,
    y_label: str,
    log_x: bool = False,
    log_y: bool = False,
    title: str = "",
    reference: tuple[str, float] | None = None,
) -> Figure:
    """Curves over a common x, each with its spread as a band.

    >>> from epslab.figures import lines
    >>> drawing = lines([1, 2, 4], {"ELBO": [0.9, 0.5, 0.4]}, x_label="epochs", y_label="bits/dim", log_x=True)
    >>> drawing.axes[0].get_xscale()
    'log'

    Args:
        x: Where the curves are known, [n].
        series: Curves by name.
        x_label: With its unit.
        y_label: With its unit.
        log_x: Whether x is shown on a logarithmic scale.
        log_y: Whether y is.
        title: A line above.
        reference: A horizontal line with its name: the value that is exact or known.
    """
    drawing = figure(3.2)
    axes = drawing.subplots()
    at = array(x)
    for i, (name, curve) in enumerate(series.items()):
        values, half = _parts(curve)
        colour, marker = look(i)
        axes.plot(at, values, color=colour, marker=marker if len(at) <= 25 else None, markersize=5, label=name)
        if half is not None:
            axes.fill_between(at, values - half, values + half, color=colour, alpha=0.18, linewidth=0)
    if reference is not None:
        axes.axhline(reference[1], color=INK, linewidth=1.2, linestyle=(0, (4, 2)), label=reference[0])
    axes.set(xlabel=x_label, ylabel=y_label, title=title)
    for which in ("x",) * log_x + ("y",) * log_y:
        log_scale(axes, which)
    drawing.alt = sentence(
        f"Lines: {axes.get_ylabel()} against {axes.get_xlabel()}",
        listed(course(name, x, _parts(curve)[0]) for name, curve in series.items()),
        "" if reference is None else f"Horizontal line: {reference[0]}, {number(float(reference[1]))}",
    )
    key(drawing, axes)
    return drawing


@styled
def errors(
    x: Vector, series: Series, *, x_label: str, y_label: str = "estimate − exact value, nats", exact: str = "exact"
) -> Figure:
    """How estimates miss a known value: curves of their error, with the exact value as a line at zero."""
    return lines(x, series, x_label=x_label, y_label=y_label, reference=(exact, 0.0))


@styled
def rate_distortion(
    rate: Vector,
    distortion: Vector,
    labels: Sequence[str],
    *,
    rate_spread: Vector | None = None,
    distortion_spread: Vector | None = None,
) -> Figure:
    """Rate (KL, nats) against distortion (−E log p(x|z), nats), one labelled point per model, joined in order."""
    drawing = figure(3.6)
    axes = drawing.subplots()
    x, y = array(rate), array(distortion)
    axes.plot(x, y, color=BLUE, linewidth=1.2, alpha=0.6, zorder=1)
    axes.errorbar(
        x,
        y,
        xerr=None if rate_spread is None else array(rate_spread),
        yerr=None if distortion_spread is None else array(distortion_spread),
        fmt="o",
        color=BLUE,
        markersize=7,
        elinewidth=1.2,
    )
    for i, label in enumerate(labels):
        # On either side of the falling curve in turn, so that close points keep their names apart.
        # (The first from the left stays clear of the axis.)
        offset, side = ((7, 5), "left") if i % 2 == 0 or x[i] == x.min() else ((-7, -15), "right")
        axes.annotate(label, (float(x[i]), float(y[i])), xytext=offset, textcoords="offset points", ha=side)
    axes.margins(x=0.2, y=0.14)
    axes.set(xlabel="rate: KL to the prior, nats", ylabel="distortion: −E log p(x|z), nats")
    points = zip(labels, x, y, strict=True)
    drawing.alt = sentence(
        "Points, rate and distortion in nats",
        listed(f"{label}: {number(float(a))} and {number(float(b))}" for label, a, b in points),
    )
    return drawing


@styled
def bars(
    values: Vector,
    *,
    labels: Sequence[str] | None = None,
    x_label: str = "latent dimension",
    y_label: str = "KL, nats",
    threshold: tuple[str, float] | None = None,
    spread: Vector | None = None,
) -> Figure:
    """Upright bars [n], for example one per latent dimension; those at or under the threshold are grey.

    Args:
        values: Heights.
        labels: Under each bar; None numbers them from 1.
        x_label: What the bars are.
        y_label: With its unit.
        threshold: A named line.
        spread: Half-width of each bar's error, [n].
    """
    drawing = figure(3.0)
    axes = drawing.subplots()
    heights = array(values)
    colours = [BLUE if threshold is None or height > threshold[1] else "#b6bdc6" for height in heights]
    places = np.arange(1, len(heights) + 1)
    axes.bar(places, heights, color=colours, width=0.75, yerr=None if spread is None else array(spread), ecolor=INK)
    if labels is not None:
        axes.set_xticks(places, labels)
    else:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
    axes.grid(visible=False, axis="x")
    if threshold is not None:
        axes.axhline(threshold[1], color=VERMILION, linewidth=1.4, linestyle=(0, (4, 2)), label=threshold[0])
        key(drawing, axes, least=1)
    axes.set(xlabel=x_label, ylabel=y_label)
    drawing.alt = sentence(
        f"Bars: {y_label} by {x_label}",
        named(labels if labels is not None else [str(place) for place in places], heights),
        "" if threshold is None else f"Line: {threshold[0]}, {number(float(threshold[1]))}",
    )
    return drawing


def _parts(curve: Vector | tuple[Vector, Vector]) -> tuple[np.ndarray, np.ndarray | None]:
    """The values of a curve and the half-width of its spread, if it came as a pair of both."""
    if isinstance(curve, tuple) and len(curve) == 2:
        values, half = curve
        if not isinstance(values, int | float) and not isinstance(half, int | float):
            return array(values), array(half)
    return np.asarray(curve, dtype=float) if isinstance(curve, tuple) else array(curve), None
