"""Which weights are kept: the best epoch's, the last one's, averaged ones, those of an interrupted run."""

import math
import os
import signal
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from training_samples import Pair as AdversarialPair
from training_samples import adversarial, images, seeded

from epslab import seeds
from epslab.errors import UserError
from epslab.runs import Column, Run
from epslab.training import Limits, Machine, Optimisation, Turn, fit
from epslab.training.average import decay_at
from epslab.training.trial import declared
from epslab.types import Batch, Progress

SETS = images(50, 1), images(20, 2)
SGD = partial(torch.optim.SGD, lr=1.0)


def trained(
    model: nn.Module, objective: Any, out: Path, *, epochs: int = 3, batch_size: int = 50, **options: Any
) -> Run:
    options = {"optimisation": Optimisation(SGD), "machine": Machine("cpu"), "progress": False, **options}
    return fit(model, objective, *SETS, out=out, epochs=epochs, batch_size=batch_size, **options)


class Climber(nn.Module):
    """One number w that rises by 1 a step; as many buffers count the same."""

    def __init__(self, value: float = 0.0) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor(value))
        self.register_buffer("twice", torch.tensor(2 * value))
        self.register_buffer("steps", torch.tensor(0))


class Climbing:
    """Trained by SGD(1), w rises by 1 a step; validation says what ``value`` makes of w."""

    def __init__(self, model: Climber, value: Any, before: Any = None) -> None:
        self.model, self.value, self.before = model, value, before

    def __call__(self, batch: Batch, progress: Progress) -> dict[str, torch.Tensor]:
        if self.before is not None:
            self.before(progress)
        model, n = self.model, len(batch.labels)
        w = model.w.expand(n)
        if progress.training:
            model.twice.fill_(2 * (progress.step + 1))
            model.steps.add_(1)
            return {"loss": -w, "score": w}
        return {"loss": torch.zeros(n), "score": w.detach() * 0 + self.value(model.w.item())}


def kept(run: Run) -> tuple[float, float, int]:
    model = Climber()
    run.load_weights(model)
    return model.w.item(), model.twice.item(), int(model.steps)


# Which epoch is the best


def test_epoch_0_is_not_a_candidate(tmp_path: Path) -> None:
    model = Climber()
    run = trained(model, Climbing(model, lambda w: w), tmp_path / "run", monitor="val/score")
    assert run.metrics()["val/score"] == [0, 1, 2, 3]
    assert (run.result()["best_epoch"], run.result()["best_value"]) == (1, 1.0)
    assert kept(run)[0] == 1.0
    assert torch.load(run.best_checkpoint, weights_only=True)["state_dict"]["model.w"] == 1.0


def test_of_equal_epochs_the_first_is_kept(tmp_path: Path) -> None:
    model = Climber()
    run = trained(model, Climbing(model, lambda w: max(2.0, 5 - w)), tmp_path / "run", epochs=6, monitor="val/score")
    assert run.metrics()["val/score"] == [5, 4, 3, 2, 2, 2, 2]
    assert run.result()["best_epoch"] == 3
    assert kept(run)[0] == 3.0


def test_without_a_monitor_the_last_weights_are_kept(tmp_path: Path) -> None:
    model = Climber()
    run = trained(model, Climbing(model, lambda w: w), tmp_path / "run", monitor=None)
    result = run.result()
    assert (result["monitor"], result["best_epoch"], result["best_value"]) == (None, 3, None)
    assert kept(run)[0] == model.w.item() == 3.0
    assert run.weights_about() == {"epoch": 3, "monitor": None, "value": None}
    assert run.config["monitor"] is None
    # Resumed for more epochs, it keeps those of the new last one.
    model = Climber()
    run = trained(model, Climbing(model, lambda w: w), tmp_path / "run", epochs=5, monitor=None, resume=True)
    assert kept(run)[0] == 5.0
    with pytest.raises(UserError, match="patience needs a monitor"):
        trained(model, Climbing(model, lambda w: w), tmp_path / "other", monitor=None, limits=Limits(patience=2))
    assert not (tmp_path / "other").exists()


def test_auto_is_the_validation_loss_of_one_objective_and_none_of_several(tmp_path: Path) -> None:
    model = Climber()
    run = trained(model, Climbing(model, lambda w: w), tmp_path / "one", epochs=1)
    assert run.result()["monitor"] == "val/loss"
    pair = seeded(AdversarialPair)
    run = fit(pair, adversarial(pair), *SETS, out=tmp_path / "two", epochs=2, machine=Machine("cpu"), progress=False)
    assert run.result()["monitor"] is None
    assert run.result()["best_epoch"] == 2


def test_a_column_declared_to_be_higher_is_monitored_by_its_greatest_value(tmp_path: Path) -> None:
    class Scored(Climbing):
        columns = {"score": Column("score", "points", "higher")}  # noqa: RUF012

    model = Climber()
    run = trained(model, Scored(model, lambda w: -((w - 2) ** 2)), tmp_path / "run", monitor="val/score")
    assert run.metrics()["val/score"] == [-4, -1, 0, -1]
    assert (run.result()["best_epoch"], run.result()["best_value"]) == (2, 0.0)
    assert run.columns() == Scored.columns
    turn = Turn(Scored(model, lambda w: w), model, SGD)
    run = trained(model, {"climb": turn}, tmp_path / "turns", epochs=1, optimisation=Optimisation())
    assert run.columns() == {"climb/score": Scored.columns["score"]}


def test_a_label_that_several_turns_use_gets_the_name_of_the_turn() -> None:
    class Declares:
        def __init__(self, *labels: str) -> None:
            self.columns = {f"value_{i}": Column(label, "nats", "lower") for i, label in enumerate(labels)}

        def __call__(self, batch: Batch, progress: Progress) -> Mapping[str, Tensor]:
            raise AssertionError("only its columns are asked for")

    part = nn.Linear(1, 1)
    turns = {"critic": Turn(Declares("Loss", "Gap"), part), "generator": Turn(Declares("Loss"), part)}
    assert declared(turns) == {
        "critic/value_0": Column("critic: Loss", "nats", "lower"),
        "critic/value_1": Column("Gap", "nats", "lower"),
        "generator/value_0": Column("generator: Loss", "nats", "lower"),
    }


def test_a_monitored_value_that_is_not_a_number_is_never_the_best(tmp_path: Path) -> None:
    model = Climber()
    value = lambda w: math.nan if w < 2 else w  # noqa: E731
    run = trained(model, Climbing(model, value), tmp_path / "run", monitor="val/score")
    assert (run.result()["best_epoch"], kept(run)[0]) == (2, 2.0)
    # Where it never is a number, the first epoch's weights are there all the same.
    model = Climber()
    run = trained(model, Climbing(model, lambda w: math.nan), tmp_path / "never", monitor="val/score")
    assert (run.result()["best_epoch"], run.result()["best_value"], kept(run)[0]) == (0, None, 1.0)


def test_better_weights_on_disk_are_not_forgotten_after_a_kill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second epoch's weights are written, its checkpoint is not; repeated, the epoch is not as good (a GPU's)."""
    model = Climber()
    save, calls = torch.save, []

    def killed(*arguments: Any) -> None:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        save(*arguments)

    monkeypatch.setattr(torch, "save", killed)
    with pytest.raises(KeyboardInterrupt):
        trained(model, Climbing(model, lambda w: 10 - w), tmp_path / "run", monitor="val/score")
    monkeypatch.undo()
    run = Run.open(tmp_path / "run")
    assert run.weights_about()["epoch"] == 2
    model = Climber()
    run = trained(model, Climbing(model, lambda w: 8.5 + w / 10), tmp_path / "run", monitor="val/score", resume=True)
    assert run.metrics()["val/score"] == pytest.approx([10, 9, 8.7, 8.8])
    assert (run.result()["best_epoch"], run.result()["best_value"]) == (2, 8.0)
    assert run.weights_about() == {"epoch": 2, "monitor": "val/score", "value": 8.0}


# When training ends


@pytest.mark.parametrize(("steps", "epochs"), [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3)])
def test_training_ends_after_exactly_so_many_steps(steps: int, epochs: int, tmp_path: Path) -> None:
    model, limits = Climber(), Limits(max_steps=steps)
    options: dict[str, Any] = {"epochs": 9, "batch_size": 25, "limits": limits, "monitor": None}
    run = trained(model, Climbing(model, lambda w: w), tmp_path / "run", **options)
    assert (run.result()["steps"], run.result()["epochs"], model.w.item()) == (steps, epochs, steps)
    run = trained(Climber(), Climbing(model, lambda w: w), tmp_path / "run", resume=True, **options)
    assert run.result()["steps"] == steps


# Averages


def averages(decay: float, steps: int) -> list[float]:
    """w = n after step n, and its average by the definition."""
    values = [0.0]
    for n in range(steps):
        d = min(decay, (1 + n) / (10 + n))
        values.append(d * values[-1] + (1 - d) * (n + 1))
    return values


def test_the_average_warms_up(tmp_path: Path) -> None:
    # The share of the initial weights after 200 steps is the product of the decays: 82 % without a warm-up.
    share = math.prod(decay_at(n, 0.999) for n in range(200))
    assert share == pytest.approx(math.prod((1 + n) / (10 + n) for n in range(200)))
    assert share < 1e-9
    assert decay_at(0, 0.999) == pytest.approx(0.1)
    assert decay_at(100_000, 0.999) == 0.999
    assert decay_at(5, 0.0) == 0.0
    model = Climber()
    options: dict[str, Any] = {"batch_size": 5, "epochs": 20, "monitor": None}
    run = trained(
        model, Climbing(model, lambda w: w), tmp_path / "run", **options,
        optimisation=Optimisation(SGD, average=0.9),
    )  # fmt: skip
    expected = averages(0.9, 200)
    assert run.metrics()["val/score"] == pytest.approx(expected[::10], rel=1e-5)
    assert decay_at(199, 0.9) == 0.9  # past the warm-up, the decay is the one asked for
    # Floating buffers are averaged as the parameters are, counts are not; the checkpoint goes on from both.
    w, twice, steps = kept(run)
    assert w == pytest.approx(expected[-1], rel=1e-5)
    assert twice == pytest.approx(2 * expected[-1], rel=1e-5)
    assert steps == 200
    checkpoint = torch.load(run.last_checkpoint, weights_only=True)
    assert checkpoint["state_dict"]["model.w"] == 200.0
    assert checkpoint["state_dict"]["model.twice"] == 400.0
    assert [value.item() for value in checkpoint["epslab"]["average"]] == pytest.approx([w, twice])


def test_the_first_validation_leaves_the_weights_and_the_average_apart(tmp_path: Path) -> None:
    drawn = []
    model = Climber(7.0)

    def draw(model: Any, epoch: int, run: Run) -> None:
        drawn.append((model.w.item(), model.w.requires_grad))

    run = trained(
        model, Climbing(model, lambda w: w), tmp_path / "run", epochs=2, on_epoch=draw, monitor=None,
        optimisation=Optimisation(SGD, average=0.5),
    )  # fmt: skip
    expected = [7.0, 0.1 * 7 + 0.9 * 8]
    expected.append(2 / 11 * expected[1] + 9 / 11 * 9)
    assert drawn == [(pytest.approx(value, rel=1e-6), True) for value in expected]
    assert run.metrics()["train/score"][1:] == [7, 8]  # trained from the weights themselves, not from their average
    assert kept(run)[0] == pytest.approx(expected[-1], rel=1e-6)


def test_an_interruption_before_the_first_epoch_ends_saves_the_averaged_weights(tmp_path: Path) -> None:
    def interrupt(progress: Progress) -> None:
        if progress.training and progress.step == 2:
            os.kill(os.getpid(), signal.SIGINT)

    options: dict[str, Any] = {"epochs": 1, "batch_size": 10}
    for average, saved in ((None, 3.0), (0.5, averages(0.5, 3)[-1])):
        out = tmp_path / str(average)
        model = Climber()
        optimisation = Optimisation(SGD, average=average)
        objective = Climbing(model, lambda w: w, interrupt)
        run = trained(model, objective, out, optimisation=optimisation, monitor="val/score", **options)
        assert (run.result()["status"], run.result()["steps"]) == ("interrupted", 3)
        assert kept(run)[0] == pytest.approx(saved, rel=1e-6)
        assert run.weights_about() == {"epoch": 0, "monitor": "val/score", "value": None}
        last = torch.load(run.last_checkpoint, weights_only=True)["state_dict"]["model.w"]
        assert last.item() == pytest.approx(3.0, rel=1e-6)
        model = Climber()
        objective = Climbing(model, lambda w: w)
        run = trained(model, objective, out, optimisation=optimisation, monitor="val/score", resume=True, **options)
        assert (run.result()["status"], run.result()["best_epoch"]) == ("finished", 1)
        assert kept(run)[0] == pytest.approx(5.0 if average is None else averages(0.5, 5)[-1], rel=1e-6)


def test_another_monitor_or_average_is_not_resumed(tmp_path: Path) -> None:
    model = Climber()
    objective = Climbing(model, lambda w: w)
    trained(model, objective, tmp_path / "run", epochs=1)
    with pytest.raises(UserError, match=r"another monitor \(val/loss then, val/score now\)"):
        trained(model, objective, tmp_path / "run", resume=True, monitor="val/score")
    with pytest.raises(UserError, match=r"another average \(None then, 0.9 now\)"):
        trained(model, objective, tmp_path / "run", resume=True, optimisation=Optimisation(SGD, average=0.9))


# What a step is


def test_the_global_generators_are_set_by_seed_and_step(tmp_path: Path) -> None:
    met: list[tuple[bool, int, float]] = []

    def draw(progress: Progress) -> None:
        met.append((progress.training, progress.step, torch.rand(()).item()))

    model = Climber()
    trained(model, Climbing(model, lambda w: w, draw), tmp_path / "run", batch_size=10, epochs=2, seed=3)
    expected = [torch.rand((), generator=seeds.generator(3, "train", step, 0)).item() for step in range(10)]
    assert [value for training, _, value in met if training] == expected
    assert len(set(expected)) == 10
    # Every validation has the same noise, batch by batch.
    validated = [value for training, _, value in met[1:] if not training]
    assert validated[:2] == validated[2:4] == validated[4:]
    assert validated[0] != validated[1]


def test_a_gradient_is_clipped_as_a_whole(tmp_path: Path) -> None:
    class Pair(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Parameter(torch.zeros(())), nn.Parameter(torch.zeros(2))

    model = Pair()

    def objective(batch: Batch, progress: Progress) -> dict[str, torch.Tensor]:
        value = -(2 * model.a + 3 * model.b[0] + 6 * model.b[1])  # a gradient of norm 7
        return {"loss": value.expand(len(batch.labels))}

    trained(model, objective, tmp_path / "run", epochs=1, optimisation=Optimisation(SGD, gradient_clip=3.5))
    assert [model.a.item(), *model.b.tolist()] == pytest.approx([1.0, 1.5, 3.0], rel=1e-5)
    model = Pair()
    trained(model, objective, tmp_path / "less", epochs=1, optimisation=Optimisation(SGD, gradient_clip=8.0))
    assert [model.a.item(), *model.b.tolist()] == pytest.approx([2.0, 3.0, 6.0], rel=1e-5)


def test_the_callers_gradients_are_no_part_of_the_first_step(tmp_path: Path) -> None:
    model = Climber()
    model.w.grad = torch.tensor(5.0)
    trained(model, Climbing(model, lambda w: w), tmp_path / "run", epochs=1)
    # Resumed, no validation comes first that would clear them.
    model = Climber()
    mine = model.w.grad = torch.tensor(5.0)
    trained(model, Climbing(model, lambda w: w), tmp_path / "run", epochs=2, resume=True, monitor="val/loss")
    assert model.w.grad is mine
    assert mine == 5.0
    assert torch.load(tmp_path / "run/checkpoints/last.ckpt", weights_only=True)["state_dict"]["model.w"] == 2.0
