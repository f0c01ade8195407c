"""CSV files of numbers: ``metrics.csv`` and ``timing.csv``."""

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from epslab.errors import UserError
from epslab.files import write_atomic


def read_table(path: Path) -> dict[str, list[float]]:
    """A CSV of numbers by column; NaN where a field is blank; no columns where there is no file.

    Raises:
        UserError: It is not a table of numbers.
    """
    if not path.exists():
        return {}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            header, *rows = csv.reader(file)
        return {
            name: [float(value) if value else math.nan for value in column]
            for name, column in zip(header, zip(*rows, strict=True) if rows else [()] * len(header), strict=True)
        }
    except (ValueError, csv.Error) as error:
        raise UserError(f"'{path}' is not a table of numbers; restore it, or repeat the run.") from error


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, int | float]]) -> None:
    """Write rows as CSV, atomically; blank where a row has no such column, floats so that they read back exactly."""
    lines = [",".join(columns)]
    lines += [",".join(_number(row[name]) if name in row else "" for name in columns) for row in rows]
    write_atomic(path, "\n".join(lines) + "\n")


def _number(value: int | float) -> str:
    return "" if math.isnan(value) else repr(value)
