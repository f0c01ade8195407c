"""What a verb prints when it is done: numbers with units, where things are, what to type next."""

import os
import sys
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

_PIPED_WIDTH = 500  # a line in a file or a pipe is never broken


def console() -> Console:
    """Standard output: as wide as the terminal; piped, without control codes and with unbroken lines."""
    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else _PIPED_WIDTH
    return Console(file=sys.stdout, width=width, highlight=False)


def summary(title: str, facts: Mapping[str, str], then: Sequence[str] = ()) -> None:
    """Print what was done: a title, labelled facts, and commands to type next."""
    out = console()
    out.print(Text(title, style="bold"))
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for label, fact in facts.items():
        grid.add_row(Text(f"  {label}"), Text(fact))
    _print(out, grid)
    if then:
        out.print(Text("Next:", style="bold"))
        for command in then:
            # A command must stay on its line, however long: it is there to be copied.
            out.print(Text(f"  {command}", style="cyan"), soft_wrap=True)


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: bool = False) -> None:
    """Print a table; its last column takes what width is left. ``numbers``: all columns but the first hold numbers."""
    out = console()
    out.print(Text(title, style="bold"))
    grid = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for i, column in enumerate(columns[:-1]):
        grid.add_column(column, no_wrap=True, justify="right" if numbers and i else "left")
    grid.add_column(columns[-1], overflow="fold", justify="right" if numbers else "left")
    for row in rows:
        grid.add_row(*(Text(cell) for cell in row))
    _print(out, grid)


def _print(out: Console, grid: Table) -> None:
    with out.capture() as captured:
        out.print(grid)
    for line in captured.get().splitlines():
        print(line.rstrip())
