"""Pictures of images: every image pixel becomes a whole square of screen pixels, nothing is interpolated."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from epslab.figures.style import DPI, QUIET, TEXT, WIDTH, Drawing, ImageArray, array, styled
from epslab.figures.words import listed, sentence
from epslab.runs import number

_LINE = 1.75 * TEXT / 72  # inches one line of text takes
_MARGIN = 6  # screen pixels around a canvas


@styled
def image_grid(
    images: ImageArray, *, columns: int | None = None, title: str = "", labels: Sequence[str] | None = None
) -> Drawing:
    """Images [n c h w] row by row on a grid.

    >>> import torch
    >>> from epslab.figures import image_grid, png
    >>> png(image_grid(torch.rand(16, 1, 8, 8), title="Noise"))[1:4]
    b'PNG'

    Args:
        images: In [0, 1]; values outside are shown as black or white.
        columns: Images per row; None makes the grid about square.
        title: A line above the grid.
        labels: A short text under each image, [n].
    """
    pixels = _rgb(images)
    per_row = columns or max(1, int(np.ceil(np.sqrt(len(pixels)))))
    if labels is None:
        drawing = _stack([_Panel(_mosaic(pixels, per_row, gap=True), title)])
    else:
        rows = [slice(i, i + per_row) for i in range(0, len(pixels), per_row)]
        drawing = _stack(
            [
                _Panel(_mosaic(pixels[row], per_row, gap=True), title if row.start == 0 else "", below=labels[row])
                for row in rows
            ],
            columns=per_row,
        )
    drawing.alt = sentence(title.strip(), f"{len(pixels)} images, {per_row} in a row", listed(labels or ()))
    return drawing


@styled
def reconstructions(
    originals: ImageArray,
    reconstructed: ImageArray,
    *,
    columns: int = 8,
    names: tuple[str, str] = ("original", "reconstruction"),
) -> Figure:
    """Originals and reconstructions, both [n c h w], in pairs of rows: the original above, its reconstruction below.

    Args:
        originals: Above.
        reconstructed: Below, one for each.
        columns: Pairs in a row.
        names: What is above and what below.
    """
    above, below = _rgb(originals), _rgb(reconstructed)
    panels = []
    for i in range(0, len(above), columns):
        pair = np.concatenate([_fill(above[i : i + columns], columns), _fill(below[i : i + columns], columns)])
        panels.append(_Panel(_mosaic(pair, columns, gap=True)))
    panels[0].title = f"Above: {names[0]} · below: {names[1]}"
    drawing = _stack(panels, space=0.4)
    drawing.alt = f"{len(above)} images in pairs of rows: the {names[0]} above, its {names[1]} below."
    return drawing


@styled
def manifold(
    images: ImageArray,
    *,
    quantiles: Sequence[float] | None = None,
) -> Figure:
    """The latent plane as one canvas without seams: z₁ grows to the right and z₂ upwards, as in ``latent_scatter``.

    Args:
        images: Means decoded on a square grid of latent codes, [grid² c h w], row by row; the first row, with the
            smallest z₂, is drawn at the bottom.
        quantiles: The latent value of each row and column, [grid]; a few of them are written along both sides.

    Raises:
        ValueError: The number of images is no square.
    """
    pixels = _rgb(images)
    side = round(len(pixels) ** 0.5)
    if side * side != len(pixels):
        raise ValueError(f"a manifold is a square grid, but {len(pixels)} images were given")
    upwards = pixels.reshape(side, side, *pixels.shape[1:])[::-1].reshape(pixels.shape)
    panel = _Panel(
        _mosaic(upwards, side, gap=False),
        x_label="latent coordinate z₁",
        y_label="latent coordinate z₂",
        ticks=quantiles,
    )
    drawing = _stack([panel])
    ends = f", each from {number(float(quantiles[0]))} to {number(float(quantiles[-1]))}" if quantiles else ""
    drawing.alt = f"{side} by {side} decoded images over the latent plane, z₁ to the right and z₂ upwards{ends}."
    return drawing


@styled
def strips(images: ImageArray, *, columns: int, row_labels: Sequence[str] | None = None, ends: str = "") -> Figure:
    """Images [rows·columns c h w] as strips: each row a walk, for interpolations and traversals.

    Args:
        images: Row by row.
        columns: Steps of a walk.
        row_labels: A short text left of each row, for example the latent dimension that changes.
        ends: A line below that says what the left and the right end are.
    """
    drawing = _stack([_Panel(_mosaic(_rgb(images), columns, gap=True), rows=row_labels, x_label=ends)])
    drawing.alt = sentence(
        f"{len(images) // columns} rows of {columns} images", ends, f"Rows: {listed(row_labels)}" if row_labels else ""
    )
    return drawing


class _Panel:
    """A canvas [h w 3] of whole image pixels, and the texts around it (their room is counted in lines of text)."""

    def __init__(
        self,
        canvas: np.ndarray,
        title: str = "",
        *,
        below: Sequence[str] | None = None,
        rows: Sequence[str] | None = None,
        x_label: str = "",
        y_label: str = "",
        ticks: Sequence[float] | None = None,
    ) -> None:
        self.canvas, self.title, self.below, self.rows = canvas, title, below, rows
        self.x_label, self.y_label, self.ticks = x_label, y_label, ticks

    @property
    def left(self) -> float:
        longest = max(map(len, self.rows), default=0) if self.rows else 0
        return 0.4 * longest + (1.0 if self.y_label else 0.0) + (1.7 if self.ticks else 0.0)

    @property
    def right(self) -> float:
        return 0.5 if self.ticks else 0.0

    @property
    def above(self) -> float:
        return 1.0 if self.title else 0.0

    @property
    def under(self) -> float:
        return float(sum(bool(part) for part in (self.below, self.x_label, self.ticks)))


def _stack(panels: Sequence[_Panel], *, space: float = 0.0, columns: int = 1) -> Drawing:
    """Panels of equal width under one another, each image pixel a square of the same whole number of screen pixels.

    The canvas decides the figure's width in screen pixels; its resolution follows, so that it has the width and the
    text size of any other figure once it is shown as wide.
    """
    canvas = max(panel.canvas.shape[1] for panel in panels)
    left, right = (max(getattr(panel, side) for panel in panels) for side in ("left", "right"))
    share = 1 - (left + right) * _LINE / WIDTH  # what the texts at both sides leave of the width
    factor = max(1, round(share * WIDTH * DPI / canvas))
    width = round((factor * canvas + 2 * _MARGIN) / share)
    dpi = width / WIDTH
    line = _LINE * dpi
    parts = [(panel, round((panel.above + (space if i else 0)) * line)) for i, panel in enumerate(panels)]
    height = 2 * _MARGIN + sum(
        above + factor * panel.canvas.shape[0] + round(panel.under * line) for panel, above in parts
    )
    figure = Drawing(figsize=(width / dpi, height / dpi), dpi=dpi)
    x, y = round(_MARGIN + left * line), height - _MARGIN
    for panel, above in parts:
        h, w = (factor * side for side in panel.canvas.shape[:2])
        y -= above + h
        # Whole screen pixels: otherwise some image pixels would come out wider than others.
        axes = figure.add_axes((x / width, y / height, w / width, h / height))
        axes.imshow(panel.canvas, interpolation="nearest", aspect="auto")
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
        _write_around(axes, panel, columns)
        y -= round(panel.under * line)
    return figure


def _write_around(axes: Axes, panel: _Panel, columns: int) -> None:
    """Title, labels and ticks of a panel."""
    h, w = panel.canvas.shape[:2]
    axes.set_title(panel.title, pad=5)
    axes.set_xlabel(panel.x_label, labelpad=4)
    axes.set_ylabel(panel.y_label, labelpad=4)
    axes.grid(visible=False)
    if panel.below:
        places = [(i + 0.5) * w / columns - 0.5 for i in range(len(panel.below))]
        axes.set_xticks(places, panel.below)
    if panel.rows:
        axes.set_yticks([(i + 0.5) * h / len(panel.rows) - 0.5 for i in range(len(panel.rows))], panel.rows)
    if panel.ticks:
        n = len(panel.ticks)
        shown = sorted({0, n // 4, n // 2, n - 1 - n // 4, n - 1}) if n > 5 else range(n)
        texts = [f"{panel.ticks[i]:.1f}".replace("-", "−") for i in shown]
        axes.set_xticks([(i + 0.5) * w / n - 0.5 for i in shown], texts)
        axes.set_yticks([h - (i + 0.5) * h / n - 0.5 for i in shown], texts)
    axes.tick_params(length=0, pad=4, labelcolor=QUIET)


def _rgb(images: ImageArray) -> np.ndarray:
    """Images [n c h w] in [0, 1] as bytes [n h w 3]; one channel is shown grey.

    Raises:
        ValueError: Neither one channel nor three, or no images.
    """
    pixels = array(images)
    if len(pixels) == 0 or pixels.shape[1] not in (1, 3):
        raise ValueError(f"images to show are [n 1 h w] or [n 3 h w] with n ≥ 1, not {list(pixels.shape)}")
    levels = np.nan_to_num(np.clip(pixels, 0.0, 1.0) * 255.0).round().astype(np.uint8)
    return np.broadcast_to(levels, (len(levels), 3, *levels.shape[2:])).transpose(0, 2, 3, 1)


def _fill(images: np.ndarray, columns: int) -> np.ndarray:
    """White images after the last one, up to a full row."""
    missing = -len(images) % columns
    return np.concatenate([images, np.full((missing, *images.shape[1:]), 255, dtype=np.uint8)])


def _mosaic(images: np.ndarray, columns: int, *, gap: bool) -> np.ndarray:
    """Images [n h w 3] on a grid with this number of columns, as one canvas [H W 3]; white lines between if ``gap``."""
    filled = _fill(images, columns)
    _, h, w, _ = filled.shape
    line = max(1, round(h / 16)) if gap else 0
    spaced = np.pad(filled, ((0, 0), (0, line), (0, line), (0, 0)), constant_values=255)
    rows = len(filled) // columns
    canvas = spaced.reshape(rows, columns, h + line, w + line, 3).swapaxes(1, 2)
    return canvas.reshape(rows * (h + line), columns * (w + line), 3)[
        : rows * (h + line) - line or None, : columns * (w + line) - line
    ]
