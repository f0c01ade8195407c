"""Numbers that others report, each with the settings it belongs to: quoted for a run of those settings only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from epslab.runs import Measured


@dataclass(frozen=True)
class Fact:
    """A number somebody else reported.

    Args:
        key: The measurement it is compared with, by its key in ``result.json``.
        value: The number in the measurement's unit, with "≈" where it was reported so.
        source: Who reported it, and for which settings.
        settings: Entries of ``config.yaml`` that a run must have; a tuple lists the values allowed.
    """

    key: str
    value: str
    source: str
    settings: Mapping[str, object]


def with_published(measured: Measured, facts: Sequence[Fact], config: Mapping[str, Any]) -> Measured:
    """The same, each measurement with what others report for a run of this configuration."""
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
