"""What cannot work is said in one sentence, and nothing is written; what goes wrong within a run names the place."""

import dataclasses
import pickle
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from training_samples import Denoiser, Pair, adversarial, denoising, images, seeded, train

from epslab.errors import UserError
from epslab.runs import Run
from epslab.training import Limits, Machine, Optimisation, Turn, fit
from epslab.types import Batch, Progress

SETS = images(50, 1), images(20, 2)


def attempt(out: Path, **arguments: Any) -> Run:
    model = arguments.pop("model", None) or seeded(Denoiser)
    groups: tuple[tuple[str, Any, dict[str, Any]], ...] = (
        ("optimisation", Optimisation, {}), ("limits", Limits, {}), ("machine", Machine, {"accelerator": "cpu"})
    )  # fmt: skip
    for name, kind, given in groups:
        own = {field.name for field in dataclasses.fields(kind)} & arguments.keys()
        arguments[name] = kind(**given | {field: arguments.pop(field) for field in own})
    options: dict[str, Any] = {
        "objective": denoising(model), "train": SETS[0], "validation": SETS[1], "epochs": 1, "progress": False,
        **arguments,
    }  # fmt: skip
    return fit(model, out=out, **options)


class Broken:
    """Evaluates to what it is given."""

    def __init__(self, values: Any) -> None:
        self.values = values

    def __call__(self, batch: Batch, progress: Progress) -> Any:
        return self.values(batch)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"epochs": 0}, "epochs=0: it must be at least 1"),
        ({"batch_size": 0}, "batch_size=0: it must be at least 1"),
        ({"patience": 0}, "patience=0: it must be at least 1"),
        ({"max_steps": 0}, "max_steps=0: it must be at least 1"),
        ({"learning_rate": 0.0}, "learning_rate=0.0: it must be a positive number"),
        ({"learning_rate": float("nan")}, "learning_rate=nan: it must be a positive number"),
        ({"gradient_clip": -1.0}, "gradient_clip=-1.0: it must be a positive number"),
        ({"average": 1.0}, "average=1.0: the average's decay must lie in"),
        ({"checkpoint_minutes": -1.0}, "checkpoint_minutes=-1.0: it must be 0 or more"),
        ({"train": SETS[0][:0]}, "The training set is empty"),
        ({"validation": SETS[0][:0]}, "The validation set is empty"),
        ({"validation": images(5, 1, side=8)}, "both must have the same shape"),
        ({"monitor": "val/bits"}, "monitor='val/bits' is no column of this run; choose one of: val/loss, val"),
        ({"objective": Broken(lambda batch: {"nll": batch.labels.float()})}, r"\(nll\) have no 'loss'"),
        ({"objective": Broken(lambda batch: {"loss": batch.images.mean()})}, r"of shape \[\] for a batch of 2"),
        ({"objective": Broken(lambda batch: batch.images.mean((1, 2, 3)))}, r"returned a tensor of shape \[2\]; "),
        ({"objective": Broken(lambda batch: (1.0, {}))}, "The objective returned a tuple; return a dictionary"),
        ({"objective": Broken(lambda batch: {"loss": 0.5})}, "'loss' of the objective is a float for a batch of 2"),
        ({"objective": Broken(lambda batch: {"loss": batch.images[:, 0]})}, r"of shape \[2, 6, 6\] for a batch of 2"),
        ({"objective": {}}, "No turns were given"),
        ({"model": nn.Conv2d(3, 1, 3)}, r"does not fit examples of shape \[1, 6, 6\] \(.*channels.*\); build it"),
        ({"model": nn.Identity()}, "There is nothing to train: the model has no parameter"),
        ({"precision": "17-true"}, "Unknown precision '17-true'. Did you mean"),
        ({"accelerator": "tpu"}, r"Unknown accelerator 'tpu'\..* Known: auto, cpu, gpu, mps"),
        ({"devices": 10_000}, r"`devices=10000`: .* this machine has \d+ cores?; ask for at most \d+"),
        ({"strategy": "dpp"}, r"Unknown strategy 'dpp'\. Did you mean 'ddp'\?"),
        ({"accelerator": "abacus"}, "Unknown accelerator 'abacus'"),
        ({"resume": True, "overwrite": True}, "resume and overwrite exclude each other"),
    ],
)  # fmt: skip
def test_what_cannot_work_writes_nothing(arguments: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=sentence):
        attempt(tmp_path / "run", **arguments)
    assert not list(tmp_path.iterdir())


def test_turns_must_be_of_the_model(tmp_path: Path) -> None:
    model, stranger = seeded(Pair), seeded(Pair)
    turns = adversarial(model)
    foreign = {**turns, "critic": Turn(turns["critic"].objective, stranger.discriminator)}
    with pytest.raises(UserError, match="turn 'critic' is not a part of the model"):
        attempt(tmp_path / "run", model=model, objective=foreign)
    with pytest.raises(UserError, match="give them to each Turn, not to fit"):
        attempt(tmp_path / "run", model=model, objective=turns, optimiser=torch.optim.Adam)
    with pytest.raises(UserError, match="every=0: a turn comes at every n-th batch"):
        Turn(turns["critic"].objective, model, every=0)
    assert not list(tmp_path.iterdir())


def test_other_errors_are_not_disguised(tmp_path: Path) -> None:
    def fail(batch: Batch, progress: Progress) -> None:
        raise RuntimeError("the objective's own")

    with pytest.raises(RuntimeError, match="the objective's own"):
        attempt(tmp_path / "run", objective=denoising(seeded(Denoiser), fail))


def test_an_existing_folder_is_not_touched(tmp_path: Path) -> None:
    out = tmp_path / "run"
    first = (attempt(out).folder / "metrics.csv").read_bytes()
    with pytest.raises(
        UserError, match=r"already holds a run; continue it with `resume=True`, replace it with `overwrite=True`"
    ):
        attempt(out, seed=3)
    assert (out / "metrics.csv").read_bytes() == first
    run = attempt(out, seed=3, overwrite=True)
    assert run.config["seed"] == 3
    assert (out / "metrics.csv").read_bytes() != first
    other = tmp_path / "letters"
    other.mkdir()
    (other / "letter.txt").write_text("kept")
    for options in ({"resume": True}, {"overwrite": True}, {}):
        with pytest.raises(UserError, match=r"is not empty and not a run \(it holds 'letter.txt'\)"):
            attempt(other, **options)
    assert [path.name for path in other.iterdir()] == ["letter.txt"]
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"Cannot write .*is not a folder that can be written; choose another `out=`"):
        attempt(tmp_path / "file" / "run")


def test_too_little_disk_is_said_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 9_000_000})())
    with pytest.raises(UserError, match="Not enough disk: a run's checkpoints needs 10 MB"):
        attempt(tmp_path / "run")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"seed": 4}, "cannot be resumed with another seed"),
        ({"batch_size": 9}, "cannot be resumed with another batch size"),
        ({"train": SETS[1]}, r"cannot be resumed with other training data \(sha256:\w{8} then, sha256"),
        (
            {"model": nn.Sequential(seeded(Denoiser))},
            r"cannot be resumed with another model \(18 entries differ, first",
        ),
    ],
)
def test_another_run_is_not_resumed(change: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    attempt(tmp_path / "run")
    before = (tmp_path / "run/config.yaml").read_bytes()
    with pytest.raises(UserError, match=sentence):
        attempt(tmp_path / "run", epochs=2, resume=True, **change)
    assert (tmp_path / "run/config.yaml").read_bytes() == before


def trap(path: Path) -> None:
    path.write_text("the pickle was run")


class Pickled:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return trap, (self.path,)


@pytest.mark.parametrize("kind", ["text", "cut", "flipped", "empty", "pickle", "torch pickle", "other", "weights"])
def test_a_checkpoint_that_is_none_is_not_opened(kind: str, tmp_path: Path) -> None:
    run = attempt(tmp_path / "run")
    trapped, path = tmp_path / "trapped", run.last_checkpoint
    whole = path.read_bytes()
    if kind == "torch pickle":
        torch.save({**torch.load(path, weights_only=True), "callbacks": Pickled(trapped)}, path)
    elif kind == "other":
        torch.save({"state_dict": {}}, path)
    elif kind == "weights":
        path.write_bytes(run.weights.read_bytes())
    else:
        # One bit of a weight, which torch takes for a number like any other.
        weight = torch.load(path, weights_only=True)["state_dict"]["model.norm.weight"].numpy().tobytes()
        assert whole.count(weight) == 1
        flipped = whole.replace(weight, bytes([weight[0] ^ 1]) + weight[1:])
        content = {"text": b"not a checkpoint", "cut": whole[: len(whole) // 2], "flipped": flipped, "empty": b""}
        path.write_bytes(pickle.dumps(Pickled(trapped)) if kind == "pickle" else content[kind])
    with pytest.raises(UserError, match=r"last\.ckpt' is not a checkpoint.*or start again with `overwrite=True`"):
        attempt(tmp_path / "run", epochs=2, resume=True)
    assert not trapped.exists()


def poisoned(step: int, value: float, training: bool = True) -> Any:
    """The denoiser's objective, whose loss is not finite for one example at one step."""
    model = seeded(Denoiser)
    good = denoising(model)

    def objective(batch: Batch, progress: Progress) -> Any:
        values = dict(good(batch, progress))
        if progress.step == step and progress.training == training:
            spoil = torch.zeros(len(batch.labels))
            spoil[-1] = value
            values["loss"] = values["loss"] + spoil
        return values

    return {"model": model, "objective": objective}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_loss_that_is_not_finite_ends_the_run(value: float, tmp_path: Path) -> None:
    out = tmp_path / "run"
    with pytest.raises(
        UserError, match=r"The loss became NaN or infinite in epoch 2, step 8; the last good checkpoint"
    ):
        attempt(out, epochs=4, batch_size=10, **poisoned(7, value))
    run = Run.open(out)
    assert run.result()["status"] == "failed"
    assert run.metrics()["epoch"] == [0, 1]
    # At every batch a checkpoint is due; the poisoned batch gets none.
    with pytest.raises(UserError, match="in epoch 2, step 8"):
        attempt(out, epochs=4, batch_size=10, overwrite=True, checkpoint_minutes=0.0, **poisoned(7, value))
    checkpoint = torch.load(run.last_checkpoint, weights_only=True)
    assert checkpoint["epslab"]["standing"]["step"] == 7
    assert all(tensor.isfinite().all() for tensor in checkpoint["state_dict"].values())
    # It resumes from there.
    assert attempt(out, epochs=4, batch_size=10, resume=True).result()["epochs"] == 4


def test_a_validation_loss_that_is_not_finite_ends_the_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"val/loss became NaN or infinite in epoch 2, step 10"):
        attempt(tmp_path / "run", epochs=4, batch_size=10, **poisoned(10, float("nan"), training=False))
    with pytest.raises(
        UserError, match=r"val/loss became NaN or infinite in epoch 0, step 0; there is no checkpoint yet"
    ):
        attempt(tmp_path / "first", epochs=4, batch_size=10, **poisoned(0, float("inf"), training=False))


def test_weights_that_are_not_finite_are_not_written(tmp_path: Path) -> None:
    class Root(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.zeros(()))

    model = Root()

    # √0 is finite, its derivative is not; nothing else shows it, as validation looks elsewhere.
    def objective(batch: Batch, progress: Progress) -> Any:
        zero = torch.zeros(len(batch.labels))
        return {"loss": zero + (model.w.abs().sqrt() if progress.training else 0.0)}

    with pytest.raises(
        UserError, match=r"The weights became NaN or infinite in epoch 1, step 1; there is no checkpoint"
    ):
        attempt(tmp_path / "run", model=model, objective=objective, optimiser=partial(torch.optim.SGD, lr=1.0))
    assert not Run.open(tmp_path / "run").last_checkpoint.exists()


def test_resuming_a_finished_run_touches_no_weights(tmp_path: Path) -> None:
    run = train("denoiser", tmp_path / "run")
    before = run.weights.stat().st_mtime_ns
    train("denoiser", tmp_path / "run", resume=True)
    assert run.weights.stat().st_mtime_ns == before
