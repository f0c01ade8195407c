"""Training and validation curves: one panel for each quantity of a run."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from epslab.figures.style import BLUE, GREEN, VERMILION, array, figure, key, log_scale, look, styled
from epslab.figures.words import course, listed, sentence
from epslab.runs import Column, undeclared

Metrics = Mapping[str, Sequence[float]]
"""Columns of ``metrics.csv``: ``epoch``, ``train/KEY``, ``val/KEY``; NaN where a row has no value."""

_STAGES = {"train": "training", "val": "validation"}


@styled
def curves(
    metrics: Metrics,
    *,
    columns: Mapping[str, Column] | None = None,
    spread: Metrics | None = None,
    best_epoch: int | None = None,
    quantities: Sequence[str] | None = None,
) -> Figure:
    """Training and validation curves, one panel per quantity, so that a rising KL shows even if the total falls.

    A quantity that should fall and falls by more than a factor of 3 gets a logarithmic scale: otherwise its end looks
    flat.

    Args:
        metrics: What was logged.
        columns: Label, unit and direction of the quantities, by key; others are shown under their key.
        spread: Half-widths for some of the columns (over training seeds).
        best_epoch: Marked with a vertical line in every panel.
        quantities: The keys to show, in order; None: see ``shown``.

    Raises:
        ValueError: There is nothing to draw.
    """
    keys = list(quantities) if quantities is not None else shown(metrics, columns or {})
    if not keys:
        raise ValueError("there are no train/… or val/… columns to draw")
    drawing = figure(0.3 + 2.0 * len(keys))
    panels = np.atleast_1d(drawing.subplots(len(keys), 1, sharex=True))
    for axes, name in zip(panels, keys, strict=True):
        column = (columns or {}).get(name, undeclared(name))
        _draw(axes, name, metrics, spread or {})
        axes.set(title=column.label, ylabel=column.unit)
        if column.better == "lower":
            _widen_small(axes)
        if best_epoch is not None:
            axes.axvline(best_epoch, color=GREEN, linewidth=1.2, linestyle=(0, (4, 2)), label="best epoch")
    panels[-1].set_xlabel("epoch")
    panels[-1].xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    drawing.align_ylabels(panels)
    key(drawing, panels[0])
    best = "" if best_epoch is None else f"The best epoch, {best_epoch}, is marked"
    drawing.alt = sentence("Curves over epochs", *_courses(panels, _STAGES.values()), best)
    return drawing


@styled
def overlaid(runs: Mapping[str, Metrics], columns: Mapping[str, Column], quantities: Sequence[str]) -> Figure:
    """The same quantities of several runs, one panel per quantity, one curve per run: that of its validation.

    A run without a validation curve is shown by that of its training, dashed.

    Args:
        runs: What was logged, by the runs' names.
        columns: Label, unit and direction of the quantities, by key; others are shown under their key.
        quantities: The keys to show, in order, at least one.
    """
    drawing = figure(0.3 + 2.0 * len(quantities))
    panels = np.atleast_1d(drawing.subplots(len(quantities), 1, sharex=True))
    for axes, name in zip(panels, quantities, strict=True):
        for i, (run, metrics) in enumerate(runs.items()):
            stage = next((stage for stage in ("val", "train") if f"{stage}/{name}" in metrics), None)
            colour, marker = look(i)
            values = array(metrics[f"{stage}/{name}"]) if stage else np.array([])
            known = ~np.isnan(values)
            # A run without the quantity keeps its place in the key.
            axes.plot(
                array(metrics["epoch"])[known] if stage else [],
                values[known],
                color=colour,
                linewidth=2 + 1.5 * (len(runs) - 1 - i) / len(runs),  # a curve under an equal one still shows
                linestyle="--" if stage == "train" else "-",
                marker=marker if known.sum() < 12 else None,
                markersize=4,
                label=run,
            )
        column = columns.get(name, undeclared(name))
        axes.set(title=column.label, ylabel=column.unit)
        if column.better == "lower":
            _widen_small(axes)
    panels[-1].set_xlabel("epoch")
    panels[-1].xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    drawing.align_ylabels(panels)
    key(drawing, panels[0])
    drawing.alt = sentence("Curves over epochs", *_courses(panels, runs))
    return drawing


def shown(metrics: Metrics, columns: Mapping[str, Column]) -> list[str]:
    """The keys ``curves`` shows: the declared ones in their order, or else all, but never an empty column."""
    present = [column.partition("/") for column, values in metrics.items() if not np.isnan(array(values)).all()]
    keys = list(dict.fromkeys(key for stage, _, key in present if stage in ("train", "val")))
    return [key for key in columns if key in keys] or keys


def _draw(axes: Axes, name: str, metrics: Metrics, spread: Metrics) -> None:
    """One quantity in training and validation, each with its spread as a band."""
    epochs = array(metrics["epoch"])
    for (stage, label), colour in zip(_STAGES.items(), (BLUE, VERMILION), strict=True):
        column = f"{stage}/{name}"
        if column not in metrics:
            continue
        values = array(metrics[column])
        known = ~np.isnan(values)
        at, mean = epochs[known], values[known]
        axes.plot(at, mean, color=colour, label=label, marker="o" if known.sum() < 12 else None, markersize=4)
        if column in spread:
            half = array(spread[column])[known]
            axes.fill_between(at, mean - half, mean + half, color=colour, alpha=0.2, linewidth=0)


def _courses(panels: Iterable[Axes], names: Collection[str]) -> Iterator[str]:
    """For each panel, how the curves of these names go."""
    for axes in panels:
        curves = [line for line in axes.lines if line.get_label() in names]
        told = (
            course(str(one.get_label()), np.asarray(one.get_xdata()), np.asarray(one.get_ydata())) for one in curves
        )
        yield f"{axes.get_title(loc='left')}, {axes.get_ylabel()}: {listed(told)}"


def _widen_small(axes: Axes) -> None:
    """A logarithmic scale where the largest value is more than 3 times the smallest."""
    values = np.concatenate([np.asarray(line.get_ydata(), dtype=float) for line in axes.lines] or [np.ones(1)])
    values = values[np.isfinite(values)]
    if len(values) and values.min() > 0 and values.max() > 3 * values.min():
        log_scale(axes, "y")
