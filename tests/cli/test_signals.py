"""A training that a batch scheduler ends: a sentence, a non-zero exit code, and a run that resumes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from epslab.runs import Run

WORDS = ["train", "vae", "--data", "digits", "--accelerator", "cpu", "--out", "run", "--latent-dim", "2"]


@pytest.mark.processes
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT])
def test_a_signal_ends_the_command_with_a_checkpoint_and_a_sentence(number: int, refused: Callable[..., str]) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.endswith("RANK")}
    process = subprocess.Popen(
        [sys.executable, "-m", "epslab", *WORDS, "--epochs", "10000"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**environment, "OMP_NUM_THREADS": "1"},
    )
    end = time.monotonic() + 120
    while not Path("run/checkpoints/last.ckpt").exists() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.05)
    if number == signal.SIGTERM:
        assert_the_folder_is_in_use(process.pid, refused)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert err == "epslab: Interrupted; `epslab train --out run --resume` goes on where it stopped.\n"
    assert out == ""
    run = Run.open("run")
    result = run.result()
    assert result["status"] == "interrupted"
    assert run.weights.exists()
    assert run.last_checkpoint.exists()
    assert result["steps"] > 0
    again = subprocess.run(
        [sys.executable, "-m", "epslab", *WORDS, "--resume", "--epochs", str(result["epochs"] + 1)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**environment, "OMP_NUM_THREADS": "1"},
    )
    assert again.returncode == 0, again.stderr
    assert (run.result()["status"], run.result()["epochs"]) == ("finished", result["epochs"] + 1)


def assert_the_folder_is_in_use(process: int, refused: Callable[..., str]) -> None:
    """A second training into the folder is refused whichever way it is asked for, and changes nothing."""
    config = Path("run/config.yaml").read_bytes()
    for words in (["--resume"], ["--overwrite"], ["--resume", "--epochs", "9"]):
        said = refused(*WORDS, *words)
        assert f"'run' is in use: process {process} on host" in said
        assert "has been training in it since" in said
        assert said.endswith("wait, or choose another --out.\n")
    assert Path("run/config.yaml").read_bytes() == config
