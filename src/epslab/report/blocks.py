"""What a page is made of: tables, pictures, sections. Plain data; nothing here knows HTML."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

Cell = str | int | float | None
"""One cell of a table: a number is formatted by size, a text is shown as it is, None is left blank."""
Image = Figure | Path | bytes
"""A picture: a matplotlib figure, the path of a PNG file, or the bytes of one."""


@dataclass(frozen=True)
class Table:
    """A table with a heading.

    Args:
        title: One line above the table.
        columns: Column headings, with units.
        rows: Cells; each row has one for each column. A number with its standard error is text: "0.536 ± 0.002".
        note: What a reader must know to read it: definitions, sample sizes, sources.

    Raises:
        ValueError: A row has more or fewer cells than there are columns.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    note: str = ""

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(
                    f"table '{self.title}' has {len(self.columns)} columns, but a row of {len(row)}: {row}"
                )


@dataclass(frozen=True)
class Picture:
    """A picture with the caption that says what to see in it; ``alt`` describes it in words (the caption if empty)."""

    caption: str
    image: Image
    alt: str = ""


@dataclass(frozen=True)
class Section:
    """One part of a page: the result first, then pictures, tables, and how to repeat it.

    Args:
        title: The heading, also the anchor's text.
        lead: One line that says the result.
        text: Paragraphs.
        pictures: Pictures, in order.
        tables: Tables, in order; they follow the pictures.
        warnings: What makes the result doubtful: an interrupted run, a loss that was not finite, a collapse.
        details: Tables folded away until asked for (settings, provenance).
        code: Commands that repeat the result, one a line.
    """

    title: str
    lead: str = ""
    text: Sequence[str] = ()
    pictures: Sequence[Picture] = ()
    tables: Sequence[Table] = ()
    warnings: Sequence[str] = ()
    details: Sequence[Table] = ()
    code: str = ""


@dataclass(frozen=True)
class Page:
    """A whole page: title, one line that says the result, and its sections."""

    title: str
    lead: str = ""
    sections: Sequence[Section] = ()


def number(value: Cell) -> str:
    """A cell as text: four significant digits, thousands grouped, a true minus sign; counts are never rounded.

    ``None`` is empty; numbers that are not finite read "NaN", "∞", "−∞".
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        text = f"{value:,d}"
    elif math.isnan(value):
        return "NaN"
    elif math.isinf(value):
        text = "∞" if value > 0 else "-∞"
    elif value == 0:
        text = "0"
    elif not 1e-4 <= abs(value) < 1e7:
        mantissa, exponent = f"{value:.2e}".split("e")
        text = f"{mantissa}·10{str(int(exponent)).translate(_SUPERSCRIPT)}"
    else:
        # Digits after the point such that four are significant, and none of them a fraction beyond 1000.
        decimals = max(0, 3 - math.floor(math.log10(abs(value))))
        text = f"{value:,.{decimals}f}"
    return text.replace("-", "−")


_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
