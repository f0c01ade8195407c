"""``epslab runs``: what is there, how large it is, and what can go."""

import json
import os
from pathlib import Path

import pytest
import torch

from epslab.runs import Measured, Measurement, Run, write_table
from epslab.runs.cleaning import checkpoint_size, drop_checkpoints, size

from .conftest import files_in

MEASURED = Measured([Measurement("accuracy", "accuracy", "fraction", 0.933, interval=(0.9, 0.96), headline=True)])
MB = 1_000_000


def made(name: str, status: str, epochs: int = 3, of: int = 3) -> Run:
    """A run with two checkpoints of 2 MB together, which are one file."""
    run = Run.create(Path("runs") / name, {"recipe": "small-cnn", "data": "/somewhere/digits", "epochs": of})
    rows = [{"epoch": epoch, "val/loss": 1.0 / (epoch + 1)} for epoch in range(epochs + 1)]
    write_table(run.folder / "metrics.csv", ["epoch", "val/loss"], rows)
    run.save_weights({"w": torch.zeros(1)})
    run.last_checkpoint.write_bytes(bytes(2 * MB))
    os.link(run.last_checkpoint, run.best_checkpoint)
    run.update_result(status=status, monitor=None)
    return run


@pytest.fixture
def runs(elsewhere: Path) -> dict[str, Run]:
    names = {"done": "finished", "tour/runs/stale": "finished", "new": "finished"}
    found = {name: made(name, status) for name, status in names.items()}
    found["half"] = made("half", "interrupted", 1)
    for name in ("done", "tour/runs/stale"):
        found[name].record(MEASURED, split="test", images=360)
    found["tour/runs/stale"].save_weights({"w": torch.ones(1)})
    (Path("runs") / "done" / "attacks" / "pgd").mkdir(parents=True)
    (Path("runs") / "done" / "attacks" / "pgd" / "images").write_bytes(bytes(MB))
    return found


def test_runs_are_listed_with_what_is_known_of_them(epslab, runs):
    outcome = epslab("runs")
    assert outcome.code == 0, outcome.err
    lines = {line.split()[0]: " ".join(line.split()) for line in outcome.out.splitlines() if line.strip()}
    assert lines["run"] == "run model data epochs MB result"
    assert lines["done"] == "done small-cnn digits 3 3 Accuracy 93.3 % [90.0, 96.0] on 360 test images"
    assert lines["half"] == "half small-cnn digits 1 of 3 2 stopped, can be resumed; not measured yet"
    assert lines["new"] == "new small-cnn digits 3 2 not measured yet"
    stale = "out of date: measured before its weights or settings changed"
    assert lines["tour/runs/stale"] == f"tour/runs/stale small-cnn digits 3 2 {stale}"
    assert lines["4"] == "4 runs"
    assert lines["size"].startswith("size 9 MB")
    assert lines["to"] == "to spare 6 MB: checkpoints of finished runs"
    assert outcome.out.rstrip().endswith("  epslab runs runs --clean")
    one = epslab("runs", "runs/tour/runs/stale").out
    assert stale in one
    assert "1 run\n" in one


def test_cleaning_deletes_checkpoints_of_finished_runs_and_nothing_else(epslab, runs):
    before = files_in(Path("runs"))
    outcome = epslab("runs", "--clean", "--yes")
    assert outcome.code == 0, outcome.err
    assert "Freed 6 MB: checkpoints of 3 of 3 finished runs" in outcome.out
    gone = before.keys() - files_in(Path("runs")).keys()
    spared = {name for name in gone if not name.endswith((".ckpt", "/checkpoints"))}
    assert spared == set()
    assert len(gone) == 9
    assert runs["half"].last_checkpoint.exists()
    assert runs["done"].measurements()["accuracy"].value == 0.933
    assert "Nothing to clean" in epslab("runs", "--clean", "--yes").out


def test_cleaning_asks_first(epslab, refused, runs, monkeypatch):
    before = files_in(Path("runs"))
    assert "--clean asks before it deletes, and nobody can answer here; give --yes." in refused("runs", "--clean")
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    for answer, freed in (("n", False), ("", False), ("y", True)):
        monkeypatch.setattr("builtins.input", lambda *_, answer=answer: answer)
        outcome = epslab("runs", "--clean")
        assert outcome.code == 0
        assert "Delete the checkpoints of 3 finished runs, 6 MB?" in outcome.err
        assert ("Freed 6 MB" in outcome.out) is freed
        assert (files_in(Path("runs")) == before) is not freed


def test_a_run_that_cannot_be_read_is_listed_and_left_alone(epslab, runs):
    (runs["done"].folder / "result.json").write_text("{")
    (runs["new"].folder / "config.yaml").write_text("- a list")
    outcome = epslab("runs")
    assert outcome.code == 0, outcome.err
    assert "Cannot read 'runs/done/result.json' as JSON" in outcome.out
    assert "'runs/new/config.yaml' holds no settings" in outcome.out
    assert epslab("runs", "--clean", "--yes").code == 0
    assert runs["done"].last_checkpoint.exists()


def test_a_run_in_use_is_not_cleaned(epslab, runs, held):
    with held(runs["new"].folder, "training"):
        outcome = epslab("runs", "--clean", "--yes")
    assert "Freed 4 MB: checkpoints of 2 of 3 finished runs" in outcome.out
    assert "kept new" in outcome.out
    assert "is in use" in outcome.out
    assert runs["new"].last_checkpoint.exists()


def test_there_must_be_runs(refused, elsewhere):
    assert "'runs' is not a folder" in refused("runs")
    Path("empty").mkdir()
    assert "There is no run in 'empty'" in refused("runs", "empty")


def test_sizes_count_a_linked_file_once_and_only_finished_runs_lose_theirs(runs):
    assert checkpoint_size(runs["half"]) == 2 * MB
    assert 2 * MB < size(runs["half"].folder) < 2.01 * MB
    assert drop_checkpoints(runs["half"]) == 0
    runs["new"].weights.unlink()
    assert drop_checkpoints(runs["new"]) == 0
    assert drop_checkpoints(runs["done"]) == 2 * MB
    assert not runs["done"].checkpoints.exists()
    stale = runs["tour/runs/stale"]
    (stale.checkpoints / "mine.txt").touch()
    assert drop_checkpoints(stale) == 2 * MB
    assert [path.name for path in stale.checkpoints.iterdir()] == ["mine.txt"]
    assert json.loads((stale.folder / "result.json").read_text())["status"] == "finished"


def test_a_cleaned_run_is_finished_and_cannot_be_trained_on(epslab, refused):
    words = ("train", "small-cnn", "--width", "4", "--accelerator", "cpu", "--out", "run")
    assert epslab(*words, "--epochs", "1").code == 0
    assert epslab("runs", "run", "--clean", "--yes").code == 0
    before = files_in(Path("run"))
    assert epslab("train", "--out", "run", "--resume").code == 0
    more = refused("train", "--out", "run", "--resume", "--epochs", "2")
    assert "is finished and its checkpoints have been deleted" in more
    assert "train it again with --overwrite, or into another --out." in more
    after = files_in(Path("run"))
    assert {name: after[name] for name in before} == before
    assert Run("run").config["epochs"] == 1
