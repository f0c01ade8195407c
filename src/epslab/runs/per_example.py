"""``examples.csv``: what was measured of each example, one row per example, one column per measurement."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

from epslab.runs.measurement import Measurement
from epslab.runs.series import read_table, write_table

_FILE = "examples.csv"


def write(folder: Path, values: Mapping[str, Sequence[float]]) -> None:
    """Write the values [n] of each measurement, by its key; delete an earlier file where there are none."""
    if values:
        rows = (dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True))
        write_table(folder / _FILE, list(values), rows)
    else:
        (folder / _FILE).unlink(missing_ok=True)


def read(folder: Path, found: Mapping[str, Measurement]) -> dict[str, list[float]]:
    """The values whose mean is a measurement, by its key: after a kill the file may belong to another evaluation."""
    return {
        key: values
        for key, values in read_table(folder / _FILE).items()
        if key in found and values and math.isclose(fmean(values), found[key].value, rel_tol=1e-6, abs_tol=1e-9)
    }
