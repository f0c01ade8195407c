"""The bar a long evaluation shows: what is done, how fast, and how long is left."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text


@contextmanager
def progress_bar(description: str, total: int, unit: str, shown: bool = True) -> Iterator[Callable[[int], None]]:
    """A function to call with the number of units just done; the bar goes to standard error.

    Args:
        description: What is being done.
        total: Units in all.
        unit: Their name, in the plural.
        shown: Whether there is a bar at all.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(unit), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not shown) as progress:
        task = progress.add_task(description, total=total)
        yield lambda done: progress.advance(task, done)


class _Rate(ProgressColumn):
    """Units a second."""

    def __init__(self, unit: str) -> None:
        super().__init__()
        self.unit = unit

    def render(self, task: Task) -> Text:
        """The rate, once it is known."""
        speed = task.finished_speed or task.speed
        return Text(f"{self.unit}/s: …" if speed is None else f"{speed:,.0f} {self.unit}/s")
