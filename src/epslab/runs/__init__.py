"""Run folders, which describe themselves.

``Run`` is the folder; it holds ``Measurement``, ``Column`` and ``Table``; ``png`` makes its pictures.
"""

from epslab.hashes import weights_hash
from epslab.runs.best import Best
from epslab.runs.columns import Column, DeclaresColumns, undeclared
from epslab.runs.lock import lock
from epslab.runs.measurement import Measured, Measurement
from epslab.runs.pictures import Picture, pictures_in, save_picture
from epslab.runs.png import png
from epslab.runs.provenance import provenance
from epslab.runs.run import Run
from epslab.runs.series import read_table, write_table
from epslab.runs.tables import Cell, Table
from epslab.runs.text import (
    norm_text,
    number,
    percent,
    radius_axis,
    radius_text,
    whole_percent,
    with_error,
    with_interval,
)

__all__ = [
    "Best",
    "Cell",
    "Column",
    "DeclaresColumns",
    "Measured",
    "Measurement",
    "Picture",
    "Run",
    "Table",
    "lock",
    "norm_text",
    "number",
    "percent",
    "pictures_in",
    "png",
    "provenance",
    "radius_axis",
    "radius_text",
    "read_table",
    "save_picture",
    "undeclared",
    "weights_hash",
    "whole_percent",
    "with_error",
    "with_interval",
    "write_table",
]
