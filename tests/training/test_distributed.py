"""Two processes give what one gives at equal global batch."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from distributed_script import main

from epslab.runs import Run

SCRIPT = Path(__file__).with_name("distributed_script.py")


def on_two_processes(kind: str, out: Path, **arguments: Any) -> Run:
    done = subprocess.run(
        [sys.executable, "-W", "error", str(SCRIPT), kind, str(out), json.dumps(arguments)],
        capture_output=True,
        text=True,
        timeout=240,
        cwd=out.parent,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Run.open(out)


@pytest.mark.processes
@pytest.mark.parametrize("kind", ["denoiser", "pair"])
def test_two_processes_give_the_curve_of_one(kind: str, tmp_path: Path) -> None:
    run = on_two_processes(kind, tmp_path / "two")
    main(kind, tmp_path / "one", devices=1)
    expected = Run.open(tmp_path / "one").metrics()
    metrics = run.metrics()
    assert list(metrics) == list(expected)
    for column, values in expected.items():
        assert metrics[column] == pytest.approx(values, rel=2e-5, nan_ok=True), column
    first, other, one = [weights(tmp_path / f"{name}.json") for name in ("two-first", "two-other", "one-first")]
    assert first == other
    assert first == pytest.approx(one, rel=1e-4, abs=1e-6)
    assert run.result()["steps"] == 30
    assert run.timing()["epoch"] == [1, 2]


@pytest.mark.processes
def test_two_processes_stop_together_and_resume_within_an_epoch(tmp_path: Path) -> None:
    options = {"batch_size": 2, "epochs": 1}
    run = on_two_processes("denoiser", tmp_path / "two", stop=20, **options)
    assert (run.result()["status"], run.result()["steps"]) == ("interrupted", 32)
    run = on_two_processes("denoiser", tmp_path / "two", resume=True, **options)
    assert (run.result()["status"], run.result()["steps"]) == ("finished", 50)
    main("denoiser", tmp_path / "one", devices=1, **options)
    expected = Run.open(tmp_path / "one").metrics()
    for column, values in expected.items():
        assert run.metrics()[column] == pytest.approx(values, rel=2e-5, nan_ok=True), column
    assert weights(tmp_path / "two-first.json") == weights(tmp_path / "two-other.json")


def weights(path: Path) -> list[float]:
    return list(json.loads(path.read_text()))
