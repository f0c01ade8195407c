"""A label, a unit and a direction for each column of ``metrics.csv``."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

Better = Literal["lower", "higher"]
"""Which direction is good."""


@dataclass(frozen=True)
class Column:
    """One curve: the mean of one per-example value over an epoch.

    >>> columns = {"bits_per_dim": Column("Negative ELBO", "bits/dim", better="lower")}
    >>> columns["bits_per_dim"].text
    'Negative ELBO, bits/dim'

    Args:
        label: Heading of the curve.
        unit: "nats", "bits/dim", …; "fraction" for a share in [0, 1]; empty for a plain number.
        better: Which direction is good; None if neither is.
    """

    label: str
    unit: str = ""
    better: Better | None = None

    @property
    def text(self) -> str:
        """Label and unit: "KL to the prior, nats"."""
        return f"{self.label}, {self.unit}" if self.unit and self.unit != "fraction" else self.label


@runtime_checkable
class DeclaresColumns(Protocol):
    """An objective that describes its values: ``columns`` has an entry for each key worth a curve."""

    @property
    def columns(self) -> Mapping[str, Column]:
        """Columns by the keys of the objective's values."""
        ...


def undeclared(key: str) -> Column:
    """The column of a key that was not declared.

    >>> undeclared("critic/gradient_penalty").label
    'critic: gradient penalty'
    """
    return Column(key.replace("_", " ").replace("/", ": "))
