"""The progress line: shown on a terminal, with epoch, rate, time left and loss."""

import io
from pathlib import Path

import pytest
from rich.console import Console
from training_samples import Denoiser, denoising, images, seeded

import epslab.training.loop
from epslab.training import Machine, fit
from epslab.training.progress import ProgressLine


@pytest.mark.parametrize("terminal", [True, False])
def test_it_shows_epoch_rate_and_loss_on_a_terminal(
    terminal: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = io.StringIO()
    console = Console(file=drawn, force_terminal=terminal, width=120)
    monkeypatch.setattr("epslab.training.progress._SECONDS", 0.0)
    monkeypatch.setattr(epslab.training.loop, "ProgressLine", lambda batch_size: ProgressLine(batch_size, console))
    model = seeded(Denoiser)
    # Slow enough for the drawing thread to come by.
    fit(
        model,
        denoising(model),
        images(2000, 1),
        images(20, 2),
        out=tmp_path / "run",
        epochs=2,
        batch_size=4,
        machine=Machine("cpu"),
    )
    text = drawn.getvalue()
    if terminal:
        assert "epoch 2/2" in text
        assert "/1000" in text
        assert "images/s" in text
        assert "0:00:0" in text
        assert "loss 3." in text or "loss 2." in text
        assert "nan" not in text
    else:
        assert text == ""
