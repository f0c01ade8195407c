"""The table a running attack fills: accuracy so far with its interval, examples a second, time left."""

import time
from collections.abc import Callable, Sequence
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

Clock = Callable[[], float]


class AttackTable:
    """Rows of attacks, filled batch by batch; on standard error, and only where that is a terminal.

    Call it for every batch; use it as a context manager around the whole evaluation.

    Args:
        names: The attacks, in the order they run.
        examples: How many images each is measured on.
        console: Where the table is drawn; standard error if None.
        clock: Seconds, for the rates.
        shown: Whether the table is drawn at all.
    """

    def __init__(
        self,
        names: Sequence[str],
        examples: int,
        *,
        console: Console | None = None,
        clock: Clock = time.monotonic,
        shown: bool = True,
    ) -> None:
        self._jobs = {name: _Job(examples) for name in ("clean", *names)}
        self._other: tuple[str, int] | None = None
        self._clock = clock
        self._console = console or Console(stderr=True)
        self._shown = shown and self._console.is_terminal
        self._live = Live(console=self._console, get_renderable=self.render, refresh_per_second=4, transient=True)
        self._last = clock()

    def __enter__(self) -> "AttackTable":
        """Start to draw."""
        self._last = self._clock()
        if self._shown:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the table away."""
        if self._shown:
            self._live.stop()

    def __call__(self, job: str, examples: int, right: int | None, fresh: bool) -> None:
        """A batch is done.

        Args:
            job: Which part of the evaluation: "clean", "attacks/NAME", or another (the sweep, a check).
            examples: Its size.
            right: How many of them the model still answers rightly; None if that is not the question.
            fresh: Whether it was computed now, not read from an earlier start.
        """
        now = self._clock()
        job = job.removeprefix("attacks/")
        if job in self._jobs:
            self._other = None
            self._jobs[job].add(examples, right, now - self._last if fresh else 0.0)
        else:
            name, done = self._other or (job, 0)
            self._other = (job, examples + (done if name == job else 0))
        self._last = now

    def render(self) -> Table:
        """The table as it stands."""
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
        table.add_column("attack", no_wrap=True)
        for column in ("accuracy", "95 % interval", "images", "images/s", "left"):
            table.add_column(column, justify="right", no_wrap=True)
        for name, job in self._jobs.items():
            table.add_row(Text(name, style="" if job.done else "dim"), *map(Text, job.cells()))
        if self._other is not None:
            job_name, done = self._other
            table.add_row(Text(job_name, style="italic"), "", "", Text(str(done)), "", "")
        return table


class _Job:
    """How far one attack is."""

    def __init__(self, examples: int) -> None:
        self.examples = examples
        self.done = 0
        self._right = 0
        self._known = 0
        self._fresh = 0
        self._seconds = 0.0

    def add(self, examples: int, right: int | None, seconds: float) -> None:
        self.done += examples
        if right is not None:
            self._right += right
            self._known += examples
        if seconds > 0:
            self._fresh += examples
            self._seconds += seconds

    def cells(self) -> tuple[str, ...]:
        """Accuracy, interval, images, rate, time left."""
        if not self.done:
            return ("", "", f"0/{self.examples}", "", "")
        accuracy, interval = self._accuracy()
        from epslab.runs import number

        rate = self._fresh / self._seconds if self._seconds else 0.0
        left = self.examples - self.done
        return (
            accuracy,
            interval,
            f"{self.done}/{self.examples}",
            number(rate) if rate else "",
            "" if not left or not rate else _duration(left / rate),
        )

    def _accuracy(self) -> tuple[str, str]:
        if not self._known:
            return "", ""
        from epslab.classifiers import Proportion
        from epslab.runs import percent

        share = Proportion(self._right, self._known)
        accuracy, interval = percent(share, share.interval()).split(" % ")
        return f"{accuracy} %", interval


def _duration(seconds: float) -> str:
    """``3:07`` minutes, or ``2:03:07`` hours."""
    whole = round(seconds)
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"
