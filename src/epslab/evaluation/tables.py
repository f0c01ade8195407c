"""Tables as plain data, for the terminal, a page or a file."""

import csv
import io
from typing import Any, NamedTuple

Cell = str | int | float | None
"""None: there is no such number."""


class TableData(NamedTuple):
    """Columns by name, and rows with a cell for each."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]

    def to_dict(self) -> dict[str, Any]:
        """``columns`` and ``rows`` as lists, for JSON."""
        return {"columns": list(self.columns), "rows": [list(row) for row in self.rows]}

    def to_csv(self) -> str:
        """Comma-separated text; numbers in full, None as nothing."""
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([self.columns, *self.rows])
        return text.getvalue()
