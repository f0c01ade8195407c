"""Pictures of attacks: the changes of images, the model's answers, and accuracy under attack."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from epslab.figures.images import image_grid
from epslab.figures.style import (
    BLUE,
    INK,
    LETTER,
    QUIET,
    WIDTH,
    ImageArray,
    Vector,
    array,
    cells,
    figure,
    key,
    log_scale,
    look,
    styled,
)
from epslab.figures.words import course, listed, sentence
from epslab.runs import percent, whole_percent

Interval = tuple[Vector, Vector, Vector]
"""A measured share, in [0, 1], with the lower and the upper end of its confidence interval, each [n]."""
Matrix = Float[Tensor, "rows columns"] | Float[np.ndarray, "rows columns"]
"""Shares in [0, 1]."""

# Light for little, blue for much: lightness alone orders it, so any colour vision and a grey print read it.
_SHARES = LinearSegmentedColormap.from_list("shares", ["#f4f7fa", "#9cc4e4", "#0072B2", "#00334f"])

_DARK = 62.8  # percent, from where white on the scale has more contrast than black


@styled
def perturbations(
    originals: ImageArray,
    adversarial: ImageArray,
    said_before: Sequence[str],
    said_after: Sequence[str],
    *,
    change_labels: Sequence[str] | None = None,
) -> Figure:
    """One row per example: the original, the change (magnified), and their sum, with the model's answers.

    The change is shown as ½ + factor·(adversarial − original): mid-grey is no change. The factor is the
    largest whole number that keeps every change within black and white; it is written above the column.

    Args:
        originals: Before the attack, [n c h w].
        adversarial: After it, [n c h w].
        said_before: The model's answer to each original: "cat 99 %". The first word of a text wider than its image is
            cut: "automob… 99 %".
        said_after: Its answer to each adversarial image.
        change_labels: A short text under each change, for example its size.
    """
    before, after = array(originals), array(adversarial)
    change = after - before
    largest = float(np.abs(change).max(initial=0.0))
    factor = max(1, int(0.5 / largest * (1 + 1e-5))) if largest else 1
    rows = np.stack([before, 0.5 + factor * change, after], axis=1)
    under = change_labels if change_labels is not None else [""] * len(before)
    labels = [_fitting(text) for row in zip(said_before, under, said_after, strict=True) for text in row]
    drawing = image_grid(rows.reshape(-1, *before.shape[1:]), columns=3, labels=labels, title=" ")
    magnified = f"the change magnified {factor} times" if largest else "no change"
    drawing.alt = sentence(
        f"{len(before)} rows of three images: the original, {magnified}, and the adversarial image",
        listed(f"{a} becomes {b}" for a, b in zip(said_before, said_after, strict=True)),
    )
    _column_headings(drawing.axes[0], ["original", f"change ×{factor}" if largest else "no change", "adversarial"])
    return drawing


@styled
def examples(images: ImageArray, labels: Sequence[str], *, title: str = "") -> Figure:
    """Images [n c h w], three per row, each with a short text under it, cut if it is wider than the image.

    Args:
        images: In [0, 1].
        labels: Under each image: "cat 2/255".
        title: A line above.
    """
    return image_grid(images, columns=3, title=title, labels=list(map(_fitting, labels)))


@styled
def accuracy_curves(
    radii: Vector,
    curves: Mapping[str, Interval],
    *,
    x_label: str,
    chance: float | None = None,
    marked: tuple[str, float] | None = None,
) -> Figure:
    """Accuracy against the radius of the ball, one curve per model or attack, each with its confidence band.

    Args:
        radii: In rising order, [n], in the unit of ``x_label``.
        curves: Accuracy with its interval at each radius, by name.
        x_label: What the radius is, with its unit.
        chance: The accuracy of guessing, as a dashed line.
        marked: A named radius, as a vertical line: the threat model's own.
    """
    drawing = figure(3.4)
    axes = drawing.subplots()
    for i, (name, parts) in enumerate(curves.items()):
        _band(axes, i, name, radii, parts)
    if chance is not None:
        axes.axhline(100 * chance, color=QUIET, linewidth=1.2, linestyle=(0, (4, 2)), label="guessing")
    if marked is not None:
        axes.axvline(marked[1], color=INK, linewidth=1.2, linestyle=(0, (1, 2)), label=marked[0])
    axes.set(xlabel=x_label, ylabel="accuracy, %", ylim=(0, 102))
    axes.set_xlim(left=0)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6))
    key(drawing, axes)
    drawing.alt = sentence(
        f"Curves with bands: accuracy in percent against {x_label}",
        listed(course(name, radii, 100 * array(parts[0])) for name, parts in curves.items()),
        "" if chance is None else f"Guessing: {percent(chance)}",
        "" if marked is None else f"Marked: {marked[0]}",
    )
    return drawing


@styled
def accuracy_costs(curves: Mapping[str, tuple[Vector, Interval]], *, x_label: str) -> Figure:
    """Accuracy against the cost of reducing it, each curve at its own costs, with its confidence band.

    Args:
        curves: By name: the costs, all above 0, [n], and the accuracies in [0, 1] with their intervals at them.
        x_label: What the cost is; shown on a logarithmic scale.
    """
    drawing = figure(3.4)
    axes = drawing.subplots()
    for i, (name, (costs, parts)) in enumerate(curves.items()):
        _band(axes, i, name, costs, parts)
    axes.set(xlabel=x_label, ylabel="accuracy, %")
    log_scale(axes, "x")
    axes.set_ylim(bottom=0)
    key(drawing, axes)
    drawing.alt = sentence(
        f"Curves: accuracy in percent against {axes.get_xlabel()}",
        listed(course(name, costs, 100 * array(parts[0])) for name, (costs, parts) in curves.items()),
    )
    return drawing


def _band(axes: Axes, i: int, name: str, x: Vector, parts: Interval) -> None:
    """Curve i: an accuracy in percent, with its interval as a band."""
    at, (share, low, high) = array(x), (100 * array(part) for part in parts)
    colour, marker = look(i)
    axes.fill_between(at, low, high, color=colour, alpha=0.18, linewidth=0)
    axes.plot(at, share, color=colour, marker=marker, markersize=5, label=name)


@styled
def accuracy_bars(names: Sequence[str], shares: Interval, *, first: int = 0) -> Figure:
    """Accuracies as horizontal bars, each with its interval, and its numbers written above it.

    Args:
        names: What each bar is, [n].
        shares: Accuracies in [0, 1] with their intervals.
        first: How many of the first bars are no attacks (clean accuracy); these are grey.
    """
    value, low, high = (100 * array(part) for part in shares)
    drawing = figure(0.9 + 0.66 * len(names))
    axes = drawing.subplots()
    places = np.arange(len(names))[::-1]
    colours = ["#8b949e" if i < first else BLUE for i in range(len(names))]
    # Rounding may put an interval's end a hair inside its own value; a bar's arms are never negative.
    arms = np.maximum(np.stack([value - low, high - value]), 0)
    axes.barh(places, value, height=0.34, color=colours, xerr=arms, error_kw={"ecolor": INK, "capsize": 3})
    texts = [
        f"{name}: {percent(centre / 100, (left / 100, right / 100))}"
        for name, centre, left, right in zip(names, value.tolist(), low.tolist(), high.tolist(), strict=True)
    ]
    for place, text in zip(places, texts, strict=True):
        axes.annotate(
            text,
            (0, place),
            xytext=(1, 17),
            textcoords="offset points",
            va="center",
        )
        axes.barh(place, 100, height=0.34, color="#eef1f4", zorder=0)
    axes.set(yticks=[], ylim=(-0.4, len(names) - 0.25), xlim=(0, 100), xlabel="accuracy, %")
    axes.grid(visible=False)
    axes.spines["left"].set_visible(False)
    drawing.alt = sentence("Bars: accuracy with its interval", listed(texts))
    return drawing


@styled
def transfer_matrix(
    shares: Matrix,
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    title: str = "",
    row_label: str = "made on",
    column_label: str = "tried on",
) -> Figure:
    """A share for each pair (accuracy of the column's model on images made for the row's), written in every cell.

    Args:
        shares: In [0, 1], [rows columns]; NaN leaves a cell empty.
        rows: What each row is.
        columns: What each column is.
        title: A line above.
        row_label: What rows are.
        column_label: What columns are.
    """
    values = 100 * array(shares)
    drawing = figure(1.6 + 0.55 * len(rows))
    axes = drawing.subplots()
    axes.imshow(values, cmap=_SHARES, vmin=0, vmax=100, aspect="auto")
    for (i, j), value in np.ndenumerate(values):
        if np.isfinite(value):
            # White on the dark part of the scale, black on the light one: a contrast of 4.5 or more on either.
            axes.text(
                j, i, whole_percent(value / 100), ha="center", va="center", color="white" if value > _DARK else "black"
            )
    room = WIDTH - 0.8 - LETTER * max(map(len, rows))
    crowded = LETTER * (max(map(len, columns)) + 0.5) * len(columns) > room + 0.2
    axes.set_xticks(range(len(columns)), columns, rotation=35 if crowded else 0, ha="right" if crowded else "center")
    axes.set_yticks(range(len(rows)), rows)
    cells(axes, len(rows), len(columns), color="white", linewidth=2)
    axes.spines[:].set_visible(False)
    axes.set(xlabel=column_label, ylabel=row_label, title=title)
    drawing.alt = sentence(
        title,
        f"Matrix: rows {row_label}, columns {column_label}",
        listed(
            f"{rows[i]}, {columns[j]}: {whole_percent(value / 100)}"
            for (i, j), value in np.ndenumerate(values)
            if np.isfinite(value)
        ),
    )
    return drawing


def _fitting(text: str) -> str:
    """The text, its first word cut if it is wider than a third of the figure."""
    over = len(text) - int(WIDTH / 3 / LETTER) + 1
    first, space, rest = text.partition(" ")
    return text if over <= 0 else f"{first[: max(1, len(first) - over - 1)]}…{space}{rest}"


def _column_headings(axes: Axes, headings: Sequence[str]) -> None:
    """A heading above the middle of each of a mosaic's columns."""
    for i, heading in enumerate(headings):
        axes.text(
            (i + 0.5) / len(headings), 1.0, heading, transform=axes.transAxes, ha="center", va="bottom", weight="bold"
        )
