"""Paths for a page, so that it can be moved and says nothing of the machine it was made on.

Paths near the page become relative to it; of absolute paths elsewhere only the last part is left, "…/data".
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from epslab.report.blocks import Page, Section
from epslab.runs import Cell, Table

_NAMED = r"[^\s\\/'\",;:()<>|]+"
_ELSEWHERE = re.compile(rf"(?<![\w./:…-])(?:[A-Za-z]:)?(?:[\\/]{_NAMED})+[\\/]({_NAMED})[\\/]?")
_QUOTED = re.compile(r"(?<!\w)'(?:[A-Za-z]:)?[\\/](?:[^'\n]*[\\/])+([^'\n\\/]+)[\\/]?'")
_ELIDED = "# … stands for folders that this page does not name."


def base_of(out: Path) -> Path:
    """The folder that the paths of a page are relative to: the current one if it holds the page, else the page's."""
    here, there = Path.cwd(), out.absolute().parent
    return here if there.is_relative_to(here) else there


def relative_to(base: Path) -> Callable[[str], str]:
    """Rewrites the absolute paths of a text: relative to ``base`` in it or next to it, the last part of all others.

    >>> relative_to(Path("/Users/ada/lab"))("epslab report /Users/ada/lab/runs/vae --out '/Users/ada/page.html'")
    "epslab report runs/vae --out '../page.html'"
    >>> relative_to(Path("/Users/ada/lab"))("--data-root /mnt/scratch/sets")
    '--data-root …/sets'
    """
    # Paths relative to a top-level folder ("/", "/tmp") would say little.
    folders = [(folder, instead) for folder, instead in ((base, "."), (base.parent, "..")) if len(folder.parts) > 2]

    def rewrite(text: str) -> str:
        for folder, instead in folders:
            # A whole path, not a part of one: "/data/Users/ada" and "/Users/ada2" are other places than "/Users/ada".
            start = rf"(?<![\w./-]){re.escape(str(folder))}"
            text = re.sub(rf"{start}/(?=[\w.])", "" if instead == "." else "../", text)
            text = re.sub(rf"{start}/?(?![\w./-])", instead, text)
        return _ELSEWHERE.sub(r"…/\1", _QUOTED.sub(r"'…/\1'", text))

    return rewrite


def with_relative_paths(page: Page, base: Path) -> Page:
    """The page with the paths in its texts, captions, tables and commands rewritten by ``relative_to``."""
    rewrite = relative_to(base)

    def cell(value: Cell) -> Cell:
        return rewrite(value) if isinstance(value, str) else value

    def tables(found: Sequence[Table]) -> Sequence[Table]:
        return [
            replace(table, note=rewrite(table.note), rows=[[*map(cell, row)] for row in table.rows]) for table in found
        ]

    def commands(code: str) -> str:
        short = rewrite(code)
        return f"{_ELIDED}\n{short}" if "…/" in short and "…/" not in code else short

    def section(one: Section) -> Section:
        return replace(
            one,
            title=rewrite(one.title),
            lead=rewrite(one.lead),
            pictures=[replace(each, caption=rewrite(each.caption), alt=rewrite(each.alt)) for each in one.pictures],
            text=[*map(rewrite, one.text)],
            warnings=[*map(rewrite, one.warnings)],
            tables=tables(one.tables),
            details=tables(one.details),
            code=commands(one.code),
        )

    return replace(page, title=rewrite(page.title), lead=rewrite(page.lead), sections=[*map(section, page.sections)])
