"""The progress bar of a long evaluation: what is done, how fast, and how long is left."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, runtime_checkable

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text


@runtime_checkable
class Advance(Protocol):
    """A function that moves the bar on."""

    def __call__(self, done: int, note: str = "") -> None:
        """Add ``done`` units; a note, if there is one, follows the description from now on."""
        ...


@contextmanager
def progress_bar(description: str, total: int, unit: str, shown: bool = True) -> Iterator[Advance]:
    """A bar on standard error, and the function that moves it on.

    Args:
        description: What is being done.
        total: Units in all.
        unit: Their name, in the plural.
        shown: Whether there is a bar.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(unit), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not shown) as progress:
        task = progress.add_task(description, total=total)

        def advance(done: int, note: str = "") -> None:
            if note:
                progress.update(task, description=f"{description}: {note}")
            progress.advance(task, done)

        yield advance


class _Rate(ProgressColumn):
    """Units per second."""

    def __init__(self, unit: str) -> None:
        super().__init__()
        self.unit = unit

    def render(self, task: Task) -> Text:
        """The rate, once it is known."""
        speed = task.finished_speed or task.speed
        return Text(f"{self.unit}/s: …" if speed is None else f"{speed:,.0f} {self.unit}/s")
