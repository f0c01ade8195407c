"""A run's curves on disk."""

from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.summary.writer import event_file_writer

from epslab.runs import Run
from epslab.training.curves import Curves
from epslab.training.limits import Standing


def test_tensorboard_reads_a_resumed_run_in_order_within_one_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tenth file that a process opens sorts before the ninth, as text."""
    run = Run(tmp_path)
    monkeypatch.setattr(event_file_writer, "_global_uid", event_file_writer.AtomicCounter(9))
    for standing, step, value in ((None, 0, 3.0), (Standing(epoch=0, step=0), 13, 2.0), (Standing(1, 13), 26, 1.0)):
        curves = Curves(run, standing)
        curves.add(step // 13, step, {"val/loss": value})
        curves.close()
    events = EventAccumulator(str(run.tensorboard), size_guidance={"scalars": 0})
    events.Reload()
    assert [(point.step, point.value) for point in events.Scalars("val/loss")] == [(0, 3.0), (13, 2.0), (26, 1.0)]
