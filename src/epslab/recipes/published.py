"""Numbers that others report, each with the settings it belongs to: quoted for a run of those settings only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from epslab.runs import Measured, Run


@dataclass(frozen=True)
class Fact:
    """A number somebody else reported.

    Args:
        key: The measurement it is compared with, by its key in ``result.json``.
        value: The number in the measurement's unit, with "≈" where it was reported so.
        source: Who reported it, and for which settings.
        settings: Entries of ``config.yaml`` that a run must have, among them the epochs it completed; a tuple lists
            the values allowed.

    Raises:
        ValueError: The number of epochs is not among the settings.
    """

    key: str
    value: str
    source: str
    settings: Mapping[str, object]

    def __post_init__(self) -> None:
        """Two epochs are never compared with eighty."""
        if "epochs" not in self.settings:
            raise ValueError(f"the fact '{self.value}' does not say after how many epochs")


def trained_as(run: Run) -> dict[str, Any]:
    """The settings of a run, with the epochs it completed in place of those it was to train for."""
    return {**run.config, "epochs": run.epochs}


def with_published(measured: Measured, facts: Sequence[Fact], config: Mapping[str, Any]) -> Measured:
    """The same, each measurement with what others report for a run trained so (``trained_as``)."""
    facts = [fact for fact in facts if all(_agrees(config.get(key), wanted) for key, wanted in fact.settings.items())]
    quoted = [
        replace(found, published="; ".join(f"{fact.value} ({fact.source})" for fact in facts if fact.key == found.key))
        for found in measured.measurements
    ]
    return replace(measured, measurements=quoted)


def _agrees(given: Any, wanted: object) -> bool:
    if isinstance(wanted, tuple):
        return any(_agrees(given, one) for one in wanted)
    if isinstance(wanted, list):
        return isinstance(given, list | tuple) and list(given) == wanted
    return bool(given == wanted)
