"""The progress of a long evaluation: what is done, how fast, and how long is left."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, runtime_checkable

from epslab.progress import Report


@runtime_checkable
class Advance(Protocol):
    """A function that moves the bar on."""

    def __call__(self, done: int, note: str = "") -> None:
        """Add ``done`` units; a note, if there is one, stands at the end from now on."""
        ...


@contextmanager
def progress_bar(description: str, total: int, unit: str, shown: bool = True) -> Iterator[Advance]:
    """A bar in a terminal or a notebook, plain lines in a log; and the function that moves it on.

    Args:
        description: What is being done.
        total: Units in all.
        unit: Their name, in the plural.
        shown: Whether there is any.
    """
    if not shown:
        yield lambda done, note="": None
        return
    report, known, last = Report(total, unit, kept=True), 0, ""

    def advance(done: int, note: str = "") -> None:
        nonlocal known, last
        known, last = known + done, note or last
        report.at(known, description, last, milestone=known >= total)

    try:
        report.at(0, description)
        yield advance
    finally:
        report.close()
