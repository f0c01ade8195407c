"""Training's progress: a bar on a terminal or in a notebook, plain lines in a log."""

import io
import re
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from rich.console import Console
from training_samples import Denoiser, denoising, images, seeded, train

import epslab.progress
from epslab.training import Machine, fit


def stderr(monkeypatch: pytest.MonkeyPatch, *, terminal: bool) -> io.StringIO:
    """What is written to standard error, which is a terminal or a file."""
    drawn = io.StringIO()
    console = Console(file=drawn, force_terminal=terminal, width=160)
    monkeypatch.setattr(epslab.progress, "Console", lambda stderr: console)
    return drawn


def fitted(out: Path, **options: Any) -> None:
    model = seeded(Denoiser)
    settings = {"epochs": 2, "batch_size": 4, "machine": Machine("cpu"), **options}
    fit(model, denoising(model), images(400, 1), images(20, 2), out=out, **settings)


def test_a_terminal_has_a_bar_with_epoch_rate_time_left_and_loss(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(epslab.progress, "_DRAWN", 0.0)
    drawn = stderr(monkeypatch, terminal=True)
    fitted(tmp_path / "run")
    text = drawn.getvalue()
    assert "epoch 2/2" in text
    assert "/200" in text
    assert "images/s" in text
    assert "0:00:0" in text
    assert "loss 3." in text or "loss 2." in text
    assert "nan" not in text


def test_a_log_has_one_line_an_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(epslab.progress, "_SPACING", 0.0)
    drawn = stderr(monkeypatch, terminal=False)
    fitted(tmp_path / "run", epochs=3)
    lines = drawn.getvalue().splitlines()
    assert len(lines) == 3
    for number, line in enumerate(lines, start=1):
        left = r" 0:\d\d:\d\d left," if number < 3 else ""
        assert re.fullmatch(
            rf"epoch {number}/3: {100 * number}/300 batches, [\d.,]+ images/s,{left}"
            r" train/loss [\d.]+, val/loss [\d.]+",
            line,
        ), line


def test_a_log_of_short_epochs_keeps_the_first_and_the_last_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(epslab.progress, "_SPACING", float("inf"))
    drawn = stderr(monkeypatch, terminal=False)
    fitted(tmp_path / "run", epochs=5, batch_size=100)
    assert [line.partition(":")[0] for line in drawn.getvalue().splitlines()] == ["epoch 1/5", "epoch 5/5"]


def test_a_log_of_long_epochs_has_lines_within_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(epslab.progress, "_DRAWN", 0.0)
    monkeypatch.setattr(epslab.progress, "_SILENCE", 0.0)
    drawn = stderr(monkeypatch, terminal=False)
    fitted(tmp_path / "run", epochs=1, batch_size=100)
    assert [line.partition(",")[0] for line in drawn.getvalue().splitlines()] == [
        f"epoch 1/1: {done}/4 batches" for done in (1, 2, 3, 4, 4)
    ]


def test_a_notebook_has_a_bar_below_the_cell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []

    class Handle:
        update = staticmethod(shown.append)

    def display(content: str, display_id: bool) -> Handle:
        shown.append(content)
        return Handle()

    package, module = ModuleType("IPython"), ModuleType("IPython.display")
    package.get_ipython = lambda: SimpleNamespace(kernel=object())  # type: ignore[attr-defined]
    module.display, module.HTML = display, str  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", package)
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    drawn = stderr(monkeypatch, terminal=False)
    fitted(tmp_path / "run")
    assert '<progress value="200" max="200"' in shown[-1]
    assert "epoch 2/2: 200/200 batches" in shown[-1]
    assert drawn.getvalue() == ""


def test_nothing_is_shown_where_nothing_was_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for terminal in (True, False):
        drawn = stderr(monkeypatch, terminal=terminal)
        fitted(tmp_path / str(terminal), progress=False)
        assert drawn.getvalue() == ""


def test_a_finished_run_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train("denoiser", tmp_path / "run")
    drawn = stderr(monkeypatch, terminal=False)
    train("denoiser", tmp_path / "run", resume=True, progress=True)
    assert drawn.getvalue() == f"Nothing to train: '{tmp_path / 'run'}' is finished, with 3 epochs.\n"


def test_a_log_is_written_in_what_letters_its_encoding_has(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    console = Console(file=io.TextIOWrapper(raw, encoding="cp1252", write_through=True))
    epslab.progress.Lines(console).say("loss −3.1 of 'Übung ≤ 2'")
    assert raw.getvalue().decode("cp1252") == "loss -3.1 of 'Übung ? 2'\n"
