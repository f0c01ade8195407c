"""What a figure shows, in words and numbers: the text for readers who cannot see it."""

from collections.abc import Iterable, Sequence

import numpy as np

from epslab.figures.style import Vector, array
from epslab.runs import number

_MOST = 12  # parts of a list that are named


def course(name: str, x: Vector, y: Vector) -> str:
    """Where a curve begins and ends, and its extremes where they lie between: "ELBO from 0.9 at 1 to 0.4 at 4"."""
    at, values = array(x).astype(float), array(y).astype(float)
    known = np.isfinite(values)
    at, values = at[known], values[known]
    if not len(values):
        return f"{name} without a value"
    text = f"{name} from {_point(at, values, 0)} to {_point(at, values, -1)}"
    lowest, highest = int(values.argmin()), int(values.argmax())
    ends = (values[0], values[-1])
    if values[lowest] < min(ends):
        text += f", lowest {_point(at, values, lowest)}"
    if values[highest] > max(ends):
        text += f", highest {_point(at, values, highest)}"
    return text


def listed(parts: Iterable[str], separator: str = "; ") -> str:
    """The first parts in a row, and how many more there are."""
    found = list(parts)
    more = len(found) - _MOST
    return separator.join(found[:_MOST]) + (f"{separator}and {more} more" if more > 0 else "")


def named(names: Sequence[str], values: Vector, unit: str = "") -> str:
    """Names with their numbers: "0.1: 48.7; 1: 10.7"."""
    return listed(f"{name}: {number(float(value))}{unit}" for name, value in zip(names, array(values), strict=True))


def sentence(*parts: str) -> str:
    """The parts that are not empty as one text, each ending in a full stop."""
    return " ".join(f"{part.rstrip('.')}." for part in parts if part)


def _point(at: np.ndarray, values: np.ndarray, i: int) -> str:
    return f"{number(float(values[i]))} at {number(float(at[i]))}"
