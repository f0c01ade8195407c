"""A disk that fills up at any write of training gets one sentence; with room again, the run goes on to the same end."""

import errno
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
from tensorboard.summary.writer.record_writer import RecordWriter
from test_resume import assert_same
from training_samples import train

from epslab.errors import UserError
from epslab.runs import Run

FULL = Path("/dev/full")  # a file of Linux's, on which every write fails as on a full disk


@pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full")
@pytest.mark.parametrize(
    "written", ["last.ckpt", "model.safetensors", "metrics.csv", "timing.csv", "result.json", "tensorboard"]
)
@pytest.mark.parametrize("step", [0, 15])
def test_a_full_disk_gets_a_sentence_and_the_run_goes_on(
    written: str, step: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    full = False

    def before(batch: Any, progress: Any) -> None:
        nonlocal full
        full = full or (progress.training and progress.step == step)

    mkstemp, record = tempfile.mkstemp, RecordWriter.write

    def limited(prefix: str, dir: Path) -> tuple[int, str]:
        handle, path = mkstemp(prefix=prefix, dir=dir)
        if full and written in prefix:
            os.dup2(os.open(FULL, os.O_WRONLY), handle)
        return handle, path

    def refuse(writer: RecordWriter, data: bytes) -> None:
        if full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        record(writer, data)

    with monkeypatch.context() as patch:
        patch.setattr(tempfile, "mkstemp", limited)
        if written == "tensorboard":
            patch.setattr(RecordWriter, "write", refuse)
        with pytest.raises(UserError, match=r"The disk of '.*run' is full, and training stopped; .* with `resume=T"):
            train("denoiser", tmp_path / "run", before)
    assert full
    assert capfd.readouterr() == ("", "")
    run = Run.open(tmp_path / "run")
    assert run.result()["status"] in ("failed", "running")
    assert_same(train("denoiser", tmp_path / "run", resume=True), train("denoiser", tmp_path / "whole"))


def test_no_room_for_a_lock_or_settings_is_said_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path, *arguments: Any, **options: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("epslab.runs.folder.write_atomic", fail)
        with pytest.raises(UserError, match="No space left on device"):
            train("denoiser", tmp_path / "a")
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", fail)
        with pytest.raises(UserError, match="No space left on device"):
            train("denoiser", tmp_path / "b")
    assert not list(tmp_path.rglob(".*"))


def test_other_errors_of_the_disk_are_not_disguised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def before(batch: Any, progress: Any) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with pytest.raises(OSError, match="Input/output error"):
        train("denoiser", tmp_path / "run", before)
