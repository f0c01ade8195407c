"""The progress of evaluations in a log, where nobody watches a bar; and how a rate and a time left are told."""

import io
import re

import pytest
from rich.console import Console

import epslab.progress
from epslab.evaluation.progress import progress_bar
from epslab.progress import Lines, Report, Standing


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    written = io.StringIO()
    monkeypatch.setattr(epslab.progress, "Console", lambda stderr: Console(file=written, width=40))
    monkeypatch.setattr(epslab.progress, "_DRAWN", 0.0)
    return written


def test_a_log_has_the_end_of_an_evaluation(log: io.StringIO) -> None:
    with progress_bar("attacking", 2048, "examples") as advance:
        advance(1024, "pgd, right 50%")
        assert log.getvalue() == ""
        advance(1024)
    assert re.fullmatch(r"attacking: 2,048/2,048 examples, [\d,.]+ examples/s, pgd, right 50%\n", log.getvalue())


def test_a_log_has_a_line_a_minute(log: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("epslab.progress.time.monotonic", lambda: clock[0])
    with progress_bar("attacking", 1000, "examples") as advance:
        for _ in range(100):
            clock[0] += 3.0  # two examples in three seconds
            advance(2)
    assert log.getvalue().splitlines() == [
        f"attacking: {done}/1,000 examples, 0.667 examples/s, {left} left"
        for done, left in ((40, "0:24:00"), (80, "0:23:00"), (120, "0:22:00"), (160, "0:21:00"), (200, "0:20:00"))
    ]


def test_the_rate_is_that_of_the_last_minute() -> None:
    clock, drawn = [0.0], []

    class Kept(Lines):
        def draw(self, standing: Standing, *, milestone: bool) -> None:
            drawn.append(standing)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("epslab.progress.time.monotonic", lambda: clock[0])
        report = Report(10_000, "batches", Kept(Console(file=io.StringIO())), scale=64, rated="images")
        for step in range(1, 901):
            clock[0] += 1.0 if step <= 100 else 0.1
            report.at(step if step <= 100 else 100 + 10 * (step - 100), "epoch 1/5")
    assert (drawn[50].rate, drawn[50].left) == ("64 images/s", "2:45:49 left")
    # Since then ten times as many in a tenth of the time.
    assert drawn[-1].rate == "6,400 images/s"


def test_nothing_is_written_where_nothing_was_asked_for(log: io.StringIO) -> None:
    with progress_bar("attacking", 2, "examples", shown=False) as advance:
        advance(2)
    assert log.getvalue() == ""
