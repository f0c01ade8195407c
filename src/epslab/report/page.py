"""A page as one HTML file: everything inline, every text escaped."""

import base64
import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined, Template

import epslab
from epslab.errors import UserError
from epslab.files import PAGE, check_output, write_atomic
from epslab.report.blocks import Page, Picture, Section
from epslab.report.paths import base_of, with_relative_paths
from epslab.runs import Cell, Table, number, png
from epslab.runs.png import description, size

_LOOK, _REPEAT = "Pictures", "How to repeat it"
_PARTS = 24  # most entries of a table of contents


def write(page: Page, out: Path) -> Path:
    """Write the page to ``out`` (its folder is made if need be), atomically; returns ``out``.

    Raises:
        UserError: ``out`` cannot be written, does not end in .html, or belongs to a run (``files.check_output``).
    """
    check_output(out, PAGE)
    html = render(page, base_of(out))
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(out, html)
    except OSError as error:
        raise UserError(f"The page cannot be written to '{out}' ({error.strerror}); choose another `out=`.") from error
    return out


def render(page: Page, base: Path | None = None) -> str:
    """The page as HTML; the paths on it relative to ``base``, by default the current folder."""
    page = with_relative_paths(page, base or Path.cwd())
    anchors: dict[str, int] = {}
    sections = [_section(section, anchors) for section in page.sections]
    # A page of one section is that section: its heading is not repeated.
    alone = len(sections) == 1 and sections[0]["title"] == page.title
    lead = page.lead or (sections[0]["lead"] if alone else "")
    contents = _contents(sections, alone)
    return _template().render(
        page=page, lead=lead, sections=sections, alone=alone, contents=contents, version=epslab.__version__
    )


def _contents(sections: Sequence[Mapping[str, Any]], alone: bool) -> Sequence[Mapping[str, Any]]:
    """Links to the sections, and to their parts unless there are many; none for a page with one part."""
    if alone:
        found = [{**part, "parts": []} for part in sections[0]["parts"]]
    else:
        parts = sum(len(section["parts"]) for section in sections)
        found = [{**section, "parts": section["parts"] if parts <= _PARTS else []} for section in sections]
    return found if len(found) > 1 else []


def _section(section: Section, anchors: dict[str, int]) -> Mapping[str, Any]:
    """What the template needs of a section, with an anchor for it and for each of its parts."""
    anchor = _anchor(section.title, anchors)
    tables, details = (
        [_table(table, _anchor(f"{anchor} {table.title}", anchors)) for table in found]
        for found in (section.tables, section.details)
    )
    pictures, code = ({"title": title, "anchor": _anchor(f"{anchor} {title}", anchors)} for title in (_LOOK, _REPEAT))
    parts = [pictures] if section.pictures else []
    parts += [{"title": table["title"], "anchor": table["anchor"]} for table in (*tables, *details) if table["title"]]
    parts += [code] if section.code else []
    return {
        "title": section.title,
        "lead": section.lead,
        "text": section.text,
        "warnings": section.warnings,
        "pictures": [_picture(picture) for picture in section.pictures],
        "pictures_anchor": pictures["anchor"],
        "tables": tables,
        "details": details,
        "code": section.code.strip(),
        "code_title": _REPEAT,
        "code_anchor": code["anchor"],
        "anchor": anchor,
        "parts": parts,
    }


def _anchor(title: str, anchors: dict[str, int]) -> str:
    """An anchor that is not yet on the page."""
    slug = "-".join(re.findall(r"\w+", title.lower()))[:50] or "section"
    anchors[slug] = anchors.get(slug, 0) + 1
    return slug if anchors[slug] == 1 else f"{slug}.{anchors[slug]}"


def _picture(picture: Picture) -> Mapping[str, Any]:
    data = png(picture.image)
    width, height = size(data)  # the page does not jump while it loads
    return {
        "caption": picture.caption,
        "alt": picture.alt or description(data) or picture.caption or "figure",
        "data": base64.b64encode(data).decode("ascii"),
        "width": width,
        "height": height,
    }


def _table(table: Table, anchor: str) -> Mapping[str, Any]:
    """Texts of all cells, and how they are aligned."""
    columns = list(zip(*table.rows, strict=True)) if table.rows else [()] * len(table.columns)
    numeric = [_numeric(column) for column in columns]
    return {
        "title": table.title,
        "anchor": anchor,
        "note": table.note,
        "columns": list(zip(table.columns, numeric, strict=True)),
        "rows": [[_cell(cell, i, numeric[i]) for i, cell in enumerate(row)] for row in table.rows],
    }


def _cell(cell: Cell, column: int, right: bool) -> tuple[str, str]:
    """A cell's text and its class: numbers are right-aligned, short texts do not wrap; row headings may."""
    text = number(cell)
    return text, "number" if right else "short" if column and len(text) <= 20 else ""


def _numeric(column: Sequence[Cell]) -> bool:
    """Whether a column holds numbers: as such, or as texts that begin with one ("0.536 ± 0.002")."""
    filled = [cell for cell in column if cell is not None and cell != ""]
    return bool(filled) and all(
        not isinstance(cell, bool) and (isinstance(cell, int | float) or _NUMBER.match(cell) is not None)
        for cell in filled
    )


# Digits, perhaps with an error, a unit and an interval. A version ("2.13.0"), a range or a sentence that begins with
# a number is text.
_INTERVAL = r"\[[-−∞\d.,]+, [-−∞\d.,]+\]"
_NUMBER = re.compile(
    r"[≈≥≤<>]? ?[-−+]?\d[\d,]*(\.\d+)?([eE][-+]?\d+)?( ?± ?\d[\d.,]*)?( ?[%×a-zA-Z/]{0,9})?"
    rf"( ?{_INTERVAL})?$|{_INTERVAL}$|[–—]$|NaN$"
)


@cache
def _template() -> Template:
    # Always escaped: names of data sets, classes and settings come from files of unknown origin.
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string((files(__package__) / "template.html.j2").read_text(encoding="utf-8"))
