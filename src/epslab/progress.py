"""The progress of a long job, shown to whoever watches: a bar in a terminal or a notebook, plain lines in a log."""

import html
import sys
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol, runtime_checkable

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

_DRAWN = 0.25
"""Seconds between two drawings of a bar: one at every step costs more than a small model's step."""
_SPACING = 1.0
"""Least seconds between two lines of a log."""
_SILENCE = 60.0
"""Most seconds between two lines of a log, as long as there is progress."""

_WINDOW = 60
"""Seconds over which the rate is taken, about."""


@dataclass(frozen=True)
class Standing:
    """How far a job is.

    Args:
        what: What is being done: "epoch 3/20".
        done: Steps done.
        total: Steps in all.
        unit: Their name, in the plural.
        rate: "5,432 images/s", or "" while it is not known.
        left: "0:01:12 left", likewise.
        note: What else is known: "loss 21.3".
    """

    what: str
    done: int
    total: int
    unit: str
    rate: str
    left: str
    note: str

    @property
    def line(self) -> str:
        """All of it in one line."""
        known = (f"{self.done:,}/{self.total:,} {self.unit}", self.rate, self.left, self.note)
        return f"{self.what}: {', '.join(part for part in known if part)}"


@runtime_checkable
class Display(Protocol):
    """Where progress is shown."""

    def draw(self, standing: Standing, *, milestone: bool) -> None:
        """Show how far it is; a milestone is the end of a part."""

    def say(self, sentence: str) -> None:
        """Show a sentence."""

    def close(self) -> None:
        """Leave the place tidy."""


class Bar:
    """A bar in a terminal.

    Args:
        console: The terminal.
        kept: Leave the full bar there at the end.
    """

    def __init__(self, console: Console, *, kept: bool = False) -> None:
        columns = ("[bold]{task.description}", "{task.fields[rate]}", "{task.fields[left]}", "{task.fields[note]}")
        what, *facts = (TextColumn(column) for column in columns)
        self._console = console
        self._bar = Progress(
            what, BarColumn(), MofNCompleteColumn(), *facts, console=console, transient=not kept, refresh_per_second=4
        )
        self._task = self._bar.add_task("", rate="", left="", note="")

    def draw(self, standing: Standing, *, milestone: bool) -> None:
        """Redraw the bar."""
        self._bar.update(
            self._task,
            completed=standing.done,
            total=standing.total,
            description=standing.what,
            rate=standing.rate,
            left=standing.left,
            note=standing.note,
        )
        self._bar.start()

    def say(self, sentence: str) -> None:
        """Print a line, above the bar."""
        _print(self._console, sentence)

    def close(self) -> None:
        """Stop drawing."""
        self._bar.stop()


class NotebookBar:
    """A bar below a notebook's cell. Rich's needs ipywidgets; this one needs nothing."""

    def __init__(self) -> None:
        self._handle: Any = None

    def draw(self, standing: Standing, *, milestone: bool) -> None:
        """Replace what the cell shows."""
        bar = f'<progress value="{standing.done}" max="{standing.total}" style="width: 16em"></progress> '
        self._show(bar + html.escape(standing.line))

    def say(self, sentence: str) -> None:
        """Show a sentence below the cell."""
        self._handle = None
        self._show(html.escape(sentence))

    def close(self) -> None:
        """The last drawing stays."""

    def _show(self, content: str) -> None:
        from IPython.display import HTML, display

        if self._handle is None:
            self._handle = display(HTML(content), display_id=True)
        else:
            self._handle.update(HTML(content))


class Lines:
    """Plain lines for a log: one a milestone or a minute.

    Args:
        console: Standard error.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last: float | None = None
        self._started = time.monotonic()

    def draw(self, standing: Standing, *, milestone: bool) -> None:
        """Write a line if one is due."""
        now = time.monotonic()
        silent = now - (self._started if self._last is None else self._last)
        finished = milestone and standing.done >= standing.total
        if finished or silent >= _SILENCE or (milestone and (self._last is None or silent >= _SPACING)):
            self._last = now
            self.say(standing.line)

    def say(self, sentence: str) -> None:
        """Write a line."""
        _print(self._console, sentence)

    def close(self) -> None:
        """Nothing is left to tidy."""


class Report:
    """Tells a display how far a job is, how fast it goes and how long is left.

    >>> report = Report(4, "batches", Lines(Console(file=sys.stdout)), scale=64, rated="images")
    >>> report.at(0, "epoch 1/2")
    >>> report.say("Nothing to train.")
    Nothing to train.

    Args:
        total: Steps in all.
        unit: Their name, in the plural.
        display: Where it is shown; None: where somebody watches, or in the log.
        first: Steps that were done before.
        scale: What is rated, per step.
        rated: Its name, in the plural; None: the steps themselves.
        kept: Leave a terminal's full bar there at the end.
    """

    def __init__(
        self,
        total: int,
        unit: str,
        display: Display | None = None,
        *,
        first: int = 0,
        scale: int = 1,
        rated: str | None = None,
        kept: bool = False,
    ) -> None:
        self._total, self._unit, self._scale, self._rated = total, unit, scale, rated or unit
        self._display = display or display_here(kept=kept)
        self._marks = [(time.monotonic(), first)]
        self._next = 0.0

    def at(self, done: int, what: str, note: str = "", *, milestone: bool = False) -> None:
        """Show that this many steps are done; drawn a few times a second at most, and at every milestone."""
        now = time.monotonic()
        if not milestone and now < self._next:
            return
        self._next = now + _DRAWN
        speed = self._speed(now, done)
        rate, left = "", ""
        if speed is not None:
            pace = float(f"{speed * self._scale:.3g}")
            rate = f"{pace:,.0f} {self._rated}/s" if pace >= 100 else f"{pace:g} {self._rated}/s"
            seconds = timedelta(seconds=max(0, round((self._total - done) / speed)))
            left = f"{seconds} left" if done < self._total else ""
        self._display.draw(Standing(what, done, self._total, self._unit, rate, left, note), milestone=milestone)

    def say(self, sentence: str) -> None:
        """Show a sentence."""
        self._display.say(sentence)

    def close(self) -> None:
        """Leave the place tidy."""
        self._display.close()

    def _speed(self, now: float, done: int) -> float | None:
        """Steps a second over about the last minute; None until it is known."""
        then, before = self._marks[0]
        if now - self._marks[-1][0] >= 1.0:
            self._marks = [*self._marks[-_WINDOW:], (now, done)]
        return (done - before) / (now - then) if done > before and now > then else None


def display_here(*, kept: bool = False) -> Display:
    """A bar in a notebook or a terminal, plain lines where standard error is neither."""
    console = Console(stderr=True)
    if in_notebook():
        return NotebookBar()
    return Bar(console, kept=kept) if console.is_terminal else Lines(console)


def in_notebook() -> bool:
    """Whether this is a notebook's kernel."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return shell is not None and hasattr(shell, "kernel")


def _print(console: Console, sentence: str) -> None:
    """Print a line whole; what the stream's encoding lacks is written as "-" or "?"."""
    plain = sentence.replace("\N{MINUS SIGN}", "-").encode(console.encoding, "replace").decode(console.encoding)
    console.print(plain, highlight=False, markup=False, soft_wrap=True)
