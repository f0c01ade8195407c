"""The parts of a page as plain data: pictures, sections. Nothing here knows HTML."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from epslab.runs import Table

Image = Figure | Path | bytes
"""A picture: a matplotlib figure, the path of a PNG file, or the bytes of one."""


@dataclass(frozen=True)
class Picture:
    """A picture with the caption that says what to see in it; ``alt`` describes it in words (the caption if empty)."""

    caption: str
    image: Image
    alt: str = ""


@dataclass(frozen=True)
class Section:
    """One part of a page: the result first, then pictures, tables, and how to repeat it.

    >>> from epslab.report import Page, render
    >>> section = Section("Errors", "2 % at best.", tables=[Table("By class", ("class", "errors"), [("cat", 12)])])
    >>> "2 % at best." in render(Page("My models", sections=[section]))
    True

    Args:
        title: The heading, also the anchor's text.
        lead: One line that says the result.
        text: Paragraphs.
        pictures: Pictures, in order.
        tables: Tables, in order; they follow the pictures.
        warnings: Reasons to doubt the result: an interrupted run, a loss that was not finite, a collapse.
        details: Tables that are folded away (settings, provenance).
        code: Commands that repeat the result, one per line.
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
