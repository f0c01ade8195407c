"""A training that a batch scheduler ends: a sentence, a non-zero exit code, and a run that resumes."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from epslab.runs import Run
from epslab.training.module import TrainingModule

WORDS = ["train", "vae", "--data", "digits", "--accelerator", "cpu", "--out", "run", "--latent-dim", "2"]


@pytest.mark.processes
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT])
def test_a_signal_ends_the_command_with_a_checkpoint_and_a_sentence(number: int, refused: Callable[..., str]) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.endswith("RANK")}
    command = shlex.join([sys.executable, "-m", "epslab", *WORDS, "--epochs", "10000"])
    shell = subprocess.Popen(
        f"{command} && echo went-on",
        shell=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**environment, "OMP_NUM_THREADS": "1"},
    )
    end = time.monotonic() + 120
    while not Path("run/checkpoints/last.ckpt").exists() and shell.poll() is None and time.monotonic() < end:
        time.sleep(0.05)
    (process,) = psutil.Process(shell.pid).children()
    if number == signal.SIGTERM:
        assert_the_folder_is_in_use(process.pid, refused)
    process.send_signal(number)
    out, err = shell.communicate(timeout=60)
    assert shell.returncode == 130, err
    *epochs, where, sentence = err.splitlines()
    assert epochs
    assert all(line.startswith("epoch ") for line in epochs)
    assert re.fullmatch(r"Interrupted in epoch \d+/10000; the whole state is in 'run'\.", where)
    assert sentence == "epslab: Interrupted; `epslab train --out run --resume` goes on where it stopped."
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


@pytest.fixture(autouse=True)
def ctrl_c() -> Iterator[None]:
    """Ctrl-C interrupts, also where a shell started the tests in the background: what it starts there ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT])
def test_outside_training_a_signal_ends_any_verb_with_a_sentence(
    number: int, epslab: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    handlers = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)}
    monkeypatch.setattr("epslab.cli.data.run", lambda words: signal.raise_signal(number))
    outcome = epslab("data", "list")
    sentence = "Interrupted." if number == signal.SIGINT else f"Ended by {signal.Signals(number).name}."
    assert (outcome.code, outcome.out, outcome.err) == (130, "", f"epslab: {sentence}\n")
    assert {each: signal.getsignal(each) for each in handlers} == handlers


def test_a_second_ctrl_c_says_where_training_can_go_on(
    epslab: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    step, calls = TrainingModule.training_step, []

    def interrupted(self: Any, *arguments: Any) -> None:
        calls.append(self)
        if len(calls) == 5:  # of 3 batches an epoch
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
        step(self, *arguments)

    monkeypatch.setattr(TrainingModule, "training_step", interrupted)
    outcome = epslab(*WORDS, "--net", "perceptron", "--hidden", "[8]", "--batch-size", "512")
    assert (outcome.code, outcome.out) == (130, "")
    assert outcome.err.splitlines()[-1] == (
        "epslab: Interrupted at once; `epslab train --out run --resume` goes on from the last checkpoint."
    )
    assert Run("run").result()["status"] == "interrupted"
