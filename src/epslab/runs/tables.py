"""Tables as plain data, for the terminal, a page or a file."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from epslab import notebook
from epslab.runs.text import number

Cell = str | int | float | None
"""One cell of a table. A number is formatted by size, a text is shown as it is, None is left blank."""


@dataclass(frozen=True)
class Table:
    r"""A table with a heading.

    >>> Table("Errors by class", ("class", "errors"), [("cat", 12), ("dog", 9)]).to_csv()
    'class,errors\ncat,12\ndog,9\n'

    Args:
        title: One line above the table.
        columns: Column headings, with units.
        rows: Cells; each row has one for each column. A number with its standard error is text: "0.536 ± 0.002".
        note: What is needed to read it: definitions, sample sizes, sources.

    Raises:
        ValueError: A row has more or fewer cells than there are columns.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    note: str = ""

    def __post_init__(self) -> None:
        """Check the rows."""
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(
                    f"table '{self.title}' has {len(self.columns)} columns, but a row of {len(row)}: {row}"
                )

    def __repr__(self) -> str:
        return f"<Table {self.title!r}: {len(self.rows):,} rows of {', '.join(self.columns)}>"

    def _repr_html_(self) -> str:
        columns = list(zip(*self.rows, strict=True))
        right = [any(isinstance(cell, int | float) for cell in column) for column in columns]
        rows = ([number(cell) for cell in row] for row in self.rows)
        return notebook.shown(self.title, rows, self.columns, right=right, note=self.note)

    def to_dict(self) -> dict[str, Any]:
        """The table for JSON; ``from_dict`` reads it back."""
        rows = [[encode(cell) for cell in row] for row in self.rows]
        return {"title": self.title, "columns": list(self.columns), "rows": rows, "note": self.note}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "Table":
        """The table of ``to_dict``; title and note may be missing.

        Raises:
            KeyError: Columns or rows are missing.
            TypeError: They are no lists.
            ValueError: A row does not fit the columns, or a cell is no cell.
        """
        rows = tuple(tuple(decode(cell) for cell in row) for row in content["rows"])
        return cls(str(content.get("title", "")), tuple(content["columns"]), rows, str(content.get("note", "")))

    def to_csv(self) -> str:
        """Comma-separated text; numbers in full, None as nothing."""
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([self.columns, *self.rows])
        return text.getvalue()


def encode(cell: Cell) -> Any:
    """JSON has no NaN and no infinity: they are kept as {"float": "nan"}."""
    return {"float": str(cell)} if isinstance(cell, float) and not math.isfinite(cell) else cell


def decode(cell: Any) -> Cell:
    """What ``encode`` was given."""
    if isinstance(cell, Mapping):
        return float(cell["float"])
    if cell is not None and not isinstance(cell, str | int | float):
        raise ValueError(f"{cell!r} is no number and no text")
    return cell
