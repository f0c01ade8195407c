"""A run that was killed or interrupted ends as if it never had been."""

import multiprocessing
import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from training_samples import Denoiser, denoising, images, seeded, train, train_and_die

from epslab.runs import Run
from epslab.training import Machine, fit


@pytest.fixture(autouse=True)
def handled() -> Iterator[None]:
    """This process has handlers of its own; a script without them is ended by these signals after ``fit``."""
    numbers = (signal.SIGTERM, signal.SIGUSR1)
    before = [signal.signal(number, lambda *_: None) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


@pytest.fixture
def context(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Starts processes to kill: a server that has imported torch once forks them."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["training_samples"])
    return context


def curves(run: Run) -> dict[str, list[tuple[int, float]]]:
    """TensorBoard's points by column, without those within an epoch, whose places depend on the clock."""
    events = EventAccumulator(str(run.tensorboard), size_guidance={"scalars": 0})
    events.Reload()
    return {
        tag: [(point.step, point.value) for point in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
        if not tag.startswith("timing/") and not tag.endswith("loss_step")
    }


def assert_same(run: Run, reference: Run) -> None:
    assert (run.folder / "metrics.csv").read_bytes() == (reference.folder / "metrics.csv").read_bytes()
    assert run.weights.read_bytes() == reference.weights.read_bytes()
    assert run.timing()["epoch"] == reference.timing()["epoch"]
    assert curves(run) == curves(reference)
    keys = ("status", "epochs", "steps", "best_epoch", "best_value", "monitor")
    assert {k: run.result()[k] for k in keys} == {k: reference.result()[k] for k in keys}
    assert not [path for path in run.folder.rglob(".*") if path.is_file()]


def interrupted_at(count: int, number: int = signal.SIGINT) -> Any:
    """A hook that sends a signal, Ctrl-C's, at the count-th training batch."""
    calls = 0

    def before(batch: Any, progress: Any) -> None:
        nonlocal calls
        calls += progress.training
        if progress.training and calls == count:
            os.kill(os.getpid(), number)

    return before


@pytest.mark.parametrize("kind", ["denoiser", "pair"])
def test_ctrl_c_leaves_a_run_that_resumes_to_the_same_end(kind: str, tmp_path: Path) -> None:
    reference = train(kind, tmp_path / "whole")
    # Within the first epoch; at the end of an epoch; within the last.
    for count, epochs, steps in ((5, 0, 5), (8, 1, 13), (20, 2, 33)):
        run = train(kind, tmp_path / "parts", interrupted_at(count), resume=True)
        result = run.result()
        assert (result["status"], result["epochs"], result["steps"]) == ("interrupted", epochs, steps)
        assert run.weights.exists()
    assert_same(train(kind, tmp_path / "parts", resume=True), reference)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_batch_schedulers_signals_end_training_as_ctrl_c_does(number: int, tmp_path: Path) -> None:
    handlers = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)}
    # Within the first epoch; after a resume, where no validation comes first.
    for count, epochs, steps in ((5, 0, 5), (4, 0, 9)):
        run = train("denoiser", tmp_path / "parts", interrupted_at(count, number), resume=True)
        result = run.result()
        assert (result["status"], result["epochs"], result["steps"]) == ("interrupted", epochs, steps)
        assert {each: signal.getsignal(each) for each in handlers} == handlers
    assert_same(train("denoiser", tmp_path / "parts", resume=True), train("denoiser", tmp_path / "whole"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_during_the_first_validation_ends_training_after_the_first_batch(number: int, tmp_path: Path) -> None:
    calls = 0

    def before(batch: Any, progress: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:  # the trial is the first
            os.kill(os.getpid(), number)

    run = train("denoiser", tmp_path / "parts", before)
    assert (run.result()["status"], run.result()["steps"]) == ("interrupted", 1)


def test_repeated_signals_of_a_scheduler_do_not_break_off_the_checkpoint(tmp_path: Path) -> None:
    def before(batch: Any, progress: Any) -> None:
        if progress.training and progress.step == 15:
            for number in (signal.SIGUSR1, signal.SIGTERM, signal.SIGTERM):
                os.kill(os.getpid(), number)

    run = train("denoiser", tmp_path / "parts", before)
    assert (run.result()["status"], run.result()["steps"]) == ("interrupted", 16)


def test_a_second_ctrl_c_ends_at_once(tmp_path: Path) -> None:
    def before(batch: Any, progress: Any) -> None:
        if progress.training and progress.step == 15:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(5)

    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        train("denoiser", tmp_path / "parts", before)
    assert signal.getsignal(signal.SIGINT) is handler
    assert Run.open(tmp_path / "parts").result()["status"] == "interrupted"
    assert_same(train("denoiser", tmp_path / "parts", resume=True), train("denoiser", tmp_path / "whole"))


@pytest.mark.parametrize("kind", ["denoiser", "pair"])
@pytest.mark.processes
def test_kills_at_any_moment_change_nothing(kind: str, context: Any, tmp_path: Path) -> None:
    reference = train(kind, tmp_path / "whole")
    choose = random.Random(kind)
    moments = [
        # Before there is anything to resume from: without settings; with one or two rows of curves.
        ("fsync", 1, 5.0),
        ("batch", 6, 5.0),
        ("save", 1, 5.0),
        # After an epoch's rows, before its checkpoint.
        ("save", 2, 5.0),
        ("replace", 3, 0.0005),
        ("batch", 12, 0.0005),
        ("save", 2, 0.0005),
        ("replaced", 2, 0.0005),
    ]
    events = ["batch", "save", "fsync", "replace", "replaced"]
    moments += [(choose.choice(events), choose.randint(2, 9), 0.0005) for _ in range(4)]
    kills = 0
    for moment in [*moments, ("never", 0, 5.0)]:
        child = context.Process(target=train_and_die, args=(kind, tmp_path / "parts", *moment))
        child.start()
        child.join()
        assert child.exitcode in (0, -signal.SIGKILL)
        kills += child.exitcode != 0
    assert child.exitcode == 0
    assert kills >= 8
    assert_same(Run.open(tmp_path / "parts"), reference)


@pytest.mark.processes
def test_a_kill_from_outside_changes_nothing(context: Any, tmp_path: Path) -> None:
    reference = train("denoiser", tmp_path / "whole")
    choose = random.Random(1)
    for _ in range(20):
        child = context.Process(target=train_and_die, args=("denoiser", tmp_path / "parts", "never", 0, 0.0005))
        child.start()
        before = _stamp(tmp_path / "parts")
        while child.is_alive() and _stamp(tmp_path / "parts") == before:
            time.sleep(0.01)
        child.join(choose.uniform(0.0, 0.3))
        child.kill()
        child.join()
        if child.exitcode == 0:
            break
    assert_same(train("denoiser", tmp_path / "parts", resume=True), reference)


def _stamp(folder: Path) -> float:
    checkpoint = folder / "checkpoints" / "last.ckpt"
    return checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0


def test_a_finished_run_returns_at_once_and_trains_on_for_more_epochs(tmp_path: Path) -> None:
    model = seeded(Denoiser)
    calls = 0

    def count(batch: Any, progress: Any) -> None:
        nonlocal calls
        calls += progress.training

    options: dict[str, Any] = {"batch_size": 16, "progress": False, "resume": True, "machine": Machine("cpu")}
    sets = images(64, 1), images(20, 2)
    fit(model, denoising(model, count), *sets, out=tmp_path / "a", epochs=2, **options)
    assert calls == 8
    best = {name: value.clone() for name, value in model.state_dict().items()}
    model = seeded(Denoiser, seed=1)
    run = fit(model, denoising(model, count), *sets, out=tmp_path / "a", epochs=2, **options)
    assert calls == 8
    assert run.result()["status"] == "finished"
    assert all(torch.equal(best[name], value) for name, value in model.state_dict().items())
    run = fit(model, denoising(model, count), *sets, out=tmp_path / "a", epochs=4, **options)
    assert calls == 16
    assert run.config["epochs"] == 4
    model = seeded(Denoiser)
    assert_same(run, fit(model, denoising(model), *sets, out=tmp_path / "b", epochs=4, **options))


def test_a_kill_after_the_last_checkpoint_is_made_good(tmp_path: Path) -> None:
    run = train("denoiser", tmp_path / "run")
    expected = run.result()
    (run.folder / "result.json").write_text('{"status": "running", "monitor": "val/loss", "parameters": 85}')
    assert train("denoiser", tmp_path / "run", resume=True).result() == expected
