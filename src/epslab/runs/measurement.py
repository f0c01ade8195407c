"""What was measured of a trained model: numbers with their names and units, tables, and sentences."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from epslab.runs.columns import Better
from epslab.runs.tables import Table, decode, encode
from epslab.runs.text import number, percent, with_error, with_interval


@dataclass(frozen=True)
class Measurement:
    """One number, with its name, unit, uncertainty and direction.

    >>> Measurement("accuracy", "accuracy", "fraction", 0.989, interval=(0.986, 0.991)).text
    '98.9 % [98.6, 99.1]'
    >>> Measurement("bits_per_dim", "negative ELBO", "bits/dim", 0.5361, standard_error=0.0012).text
    '0.5361 ± 0.0012 bits/dim'

    Args:
        key: Its name in ``result.json``, an identifier.
        name: What it is, in words.
        unit: "nats", "bits/dim", …; "fraction" for a share in [0, 1], shown in percent; empty for a plain number.
        value: The number.
        interval: Low and high end of its 95 % confidence interval, in the same unit.
        standard_error: Of the value, in the same unit, where there is no interval.
        better: Which direction is good; None if neither is.
        headline: Whether it sums up the run. Runs that share a headline are ranked by it.
        note: What kind of number it is: "exact", "lower bound on log p(x)".
        published: The published value for the same settings, with the source.
    """

    key: str
    name: str
    unit: str = ""
    value: int | float = math.nan
    interval: tuple[int | float, int | float] | None = None
    standard_error: int | float | None = None
    better: Better | None = None
    headline: bool = False
    note: str = ""
    published: str = ""

    @property
    def text(self) -> str:
        """The number with its interval or standard error and its unit."""
        return self.number if self.unit in ("", "fraction") else f"{self.number} {self.unit}"

    @property
    def number(self) -> str:
        """The number with its interval or standard error, without its unit (except percent)."""
        if self.unit == "fraction":
            if self.interval is None and self.standard_error is not None:
                return f"{with_error(100 * self.value, 100 * self.standard_error)} %"
            return percent(self.value, self.interval)
        if self.interval is not None:
            return with_interval(self.value, *self.interval)
        return number(self.value) if self.standard_error is None else with_error(self.value, self.standard_error)

    def to_dict(self) -> dict[str, Any]:
        """The entry in ``result.json``, without empty fields."""
        entry: dict[str, Any] = {"name": self.name, "unit": self.unit, "value": encode(self.value)}
        if self.interval is not None:
            entry["interval"] = [encode(end) for end in self.interval]
        if self.standard_error is not None:
            entry["standard_error"] = encode(self.standard_error)
        given = {"better": self.better, "headline": self.headline, "note": self.note, "published": self.published}
        return entry | {name: value for name, value in given.items() if value}

    @classmethod
    def from_dict(cls, key: str, entry: Mapping[str, Any]) -> "Measurement":
        """What ``to_dict`` wrote under this key."""
        interval, error = entry.get("interval"), entry.get("standard_error")
        return cls(
            key=key,
            name=str(entry["name"]),
            unit=str(entry.get("unit", "")),
            value=_number(entry["value"]),
            interval=None if interval is None else (_number(interval[0]), _number(interval[1])),
            standard_error=None if error is None else _number(error),
            better=entry.get("better"),
            headline=bool(entry.get("headline", False)),
            note=str(entry.get("note", "")),
            published=str(entry.get("published", "")),
        )


@dataclass(frozen=True)
class Measured:
    """All that was measured of a trained model.

    >>> Measured([Measurement("fid", "FID", value=3.2)], statements=["The samples are sharp."]).statements
    ['The samples are sharp.']

    Args:
        measurements: The numbers, in the order they are shown.
        tables: Tables, in order.
        statements: What the numbers say, in sentences.
        warnings: Reasons for doubt.
        conditions: Conditions in which runs on the same data may differ: "16 grey levels". Runs under different
            conditions are not ranked.
        per_example: Values of each example, by the key of the measurement that is their mean: runs measured on the same
            examples are then compared example by example.
    """

    measurements: Sequence[Measurement]
    tables: Sequence[Table] = ()
    statements: Sequence[str] = ()
    warnings: Sequence[str] = ()
    conditions: str = ""
    per_example: Mapping[str, Sequence[float]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The entries of ``result.json``: all but the values of each example."""
        return {
            "measurements": {found.key: found.to_dict() for found in self.measurements},
            "tables": [table.to_dict() for table in self.tables],
            "statements": list(self.statements),
            "warnings": list(self.warnings),
            "conditions": self.conditions,
        }

    @classmethod
    def from_dict(cls, result: Mapping[str, Any]) -> "Measured":
        """What ``to_dict`` wrote."""
        return cls(
            measurements=[Measurement.from_dict(key, entry) for key, entry in result["measurements"].items()],
            tables=[Table.from_dict(table) for table in result.get("tables", [])],
            statements=[str(statement) for statement in result.get("statements", [])],
            warnings=[str(warning) for warning in result.get("warnings", [])],
            conditions=str(result.get("conditions", "")),
        )


def _number(value: Any) -> int | float:
    """The number that was encoded, an int as an int."""
    found = decode(value)
    if isinstance(found, int | float):
        return found
    raise ValueError(f"{value!r} is no number")
