"""The one visual style: sizes and colours.

Figures are made for a phone first: ``WIDTH`` inches shown 310 CSS pixels wide (a 360-pixel screen less margins)
leave text of ``TEXT`` points at ``TEXT``/72·310/``WIDTH`` ≥ 12 CSS pixels, which is 9 points.
"""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import matplotlib as mpl
import numpy as np
from jaxtyping import Float, Real
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from torch import Tensor

from epslab.runs import png

Vector = Real[Tensor, " n"] | Real[np.ndarray, " n"] | Sequence[float | int]
"""Numbers along one axis: a tensor, an array, or a plain sequence."""
ImageArray = Float[Tensor, "n c h w"] | Float[np.ndarray, "n c h w"]
"""Images in [0, 1], one channel (grey) or three (RGB)."""

WIDTH = 4.2  #: inches, every chart
DPI = 160  #: pixels an inch: two for each CSS pixel of a phone
TEXT = 12.0  #: points, the smallest text of a chart
LETTER = 0.55 * TEXT / 72  #: inches, the width of a letter on average

BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#C98500", "#56B4E9"
INK, QUIET, GRID = "#1f2328", "#59636e", "#e3e6ea"
COLOURS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY)
"""Okabe & Ito's palette, told apart with any colour vision; orange darkened to be read on white."""
CLASSES = (
    "#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6",
    "#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd",
)  # fmt: skip
"""Petroff (2021): ten colours for ten classes; figures that use them also name each class."""

_RC: dict[Any, Any] = {
    "font.family": ["DejaVu Sans"],
    "font.size": TEXT,
    "axes.titlesize": TEXT + 0.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 8,
    "axes.labelsize": TEXT,
    "axes.labelcolor": QUIET,
    "axes.edgecolor": "#9aa3ad",
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.labelsize": TEXT,
    "ytick.labelsize": TEXT,
    "xtick.color": "#9aa3ad",
    "ytick.color": "#9aa3ad",
    "xtick.labelcolor": QUIET,
    "ytick.labelcolor": QUIET,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "text.color": INK,
    "legend.frameon": False,
    "legend.fontsize": TEXT,
    "lines.linewidth": 2.0,
    "lines.solid_capstyle": "round",
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}

P = ParamSpec("P")
R = TypeVar("R")


def styled(function: Callable[P, R]) -> Callable[P, R]:
    """Run a drawing function under the style, leaving matplotlib's own settings as they were."""

    @wraps(function)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> R:
        with mpl.rc_context(_RC):
            return function(*args, **kwargs)

    return drawn


class Drawing(Figure):
    """A figure that is saved in the style it was drawn in, not with matplotlib's own settings; notebooks display it.

    Its ground is white and opaque, so that it reads the same on a dark page.
    """

    alt: str = ""
    """What is to be seen, in words; ``epslab.runs.png`` keeps it in the file."""

    def savefig(self, fname: Any, *, transparent: bool | None = None, **options: Any) -> None:
        """As ``Figure.savefig``."""
        with mpl.rc_context(_RC):
            super().savefig(fname, transparent=transparent, **options)

    def _repr_png_(self) -> bytes:
        return png(self)


def figure(height: float) -> Drawing:
    """An empty figure of this height in inches, whose parts make room for each other's labels."""
    return Drawing(figsize=(WIDTH, height), dpi=DPI, layout="constrained")


def look(i: int) -> tuple[str, str]:
    """Colour and marker of curve i: markers differ too, so that curves can be told apart without colour."""
    return COLOURS[i % len(COLOURS)], "osD^vP"[i % 6]


def array(values: Real[Tensor, "..."] | Real[np.ndarray, "..."] | Sequence[float | int]) -> np.ndarray:
    """The numbers as a numpy array."""
    return values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)


def cells(axes: Axes, rows: int, columns: int, **line: Any) -> None:
    """Lines between the cells of a matrix, in place of ticks and grid."""
    axes.set_xticks(np.arange(0.5, columns - 1), minor=True)
    axes.set_yticks(np.arange(0.5, rows - 1), minor=True)
    axes.grid(visible=False, which="major")
    axes.grid(visible=True, which="minor", **line)
    axes.tick_params(which="both", length=0)


def log_scale(axes: Axes, which: str) -> None:
    """Make the x or y axis logarithmic, and say so: in its label, and by ticks that crowd towards the next decade.

    Numbers are plain (0.5, 1, 2), from four decades on powers of ten.
    """
    if which == "x":
        axes.set_xscale("log")
        axes.set_xlabel(marked_log(axes.get_xlabel()))
    else:
        axes.set_yscale("log")
        axes.set_ylabel(marked_log(axes.get_ylabel()))
    _plain_ticks(axes, which)


def marked_log(label: str) -> str:
    """The label of a logarithmic axis: "nats, log scale"."""
    return f"{label}, log scale" if label else "log scale"


def _plain_ticks(axis: Axes, which: str) -> None:
    low, high = axis.get_xlim() if which == "x" else axis.get_ylim()
    target = axis.xaxis if which == "x" else axis.yaxis
    if high / low < 1e4:
        decades = np.log10(high / low)
        subs = (1.0, 1.5, 2.0, 3.0, 5.0, 7.0) if decades < 0.6 else (1.0, 2.0, 5.0) if decades < 1.6 else (1.0,)
        target.set_major_locator(mpl.ticker.LogLocator(base=10, subs=subs))
        target.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    target.set_minor_locator(mpl.ticker.LogLocator(base=10, subs=tuple(range(2, 10))))
    target.set_minor_formatter(mpl.ticker.NullFormatter())
    axis.tick_params(axis="x" if which == "x" else "y", which="minor", length=2.5)


def key(drawing: Figure, axes: Axes, least: int = 2) -> None:
    """A key of the colours above the panels; none for fewer than ``least`` names."""
    handles, names = axes.get_legend_handles_labels()
    if len(names) >= least:
        columns = next((n for n in (5, 4, 3, 2) if n <= len(names) and _room(names, n)), 1)
        # The figure grows by the height of the key, so that the panels keep theirs.
        drawing.set_figheight(drawing.get_figheight() + 1.5 * TEXT / 72 * -(-len(names) // columns))
        drawing.legend(
            handles,
            names,
            loc="outside upper left",
            ncols=columns,
            handlelength=1.3,
            columnspacing=1.2,
            handletextpad=0.5,
            borderpad=0.1,
            labelcolor=QUIET,
        )


def _room(names: Sequence[str], columns: int) -> bool:
    """Whether a key with this number of columns fits the width of a figure, at 0.55 of the text size per letter."""
    # Matplotlib fills the columns one after another, as evenly as it can.
    letters = sum(max(map(len, column)) for column in np.array_split(np.array(names), columns))
    handle, gap = 1.8, 1.2
    return (0.55 * letters + columns * handle + (columns - 1) * gap + 1) * TEXT / 72 <= WIDTH
