"""What ``fit`` computes: held to a loop written out by hand, and to quantities known in advance."""

import math
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from training_samples import Denoiser, Pair, adversarial, denoising, images, seeded, train

from epslab import seeds
from epslab.data import ImageSet
from epslab.runs import Run
from epslab.training import Limits, Machine, Optimisation, Turn, fit
from epslab.types import Batch, Progress

SETS = images(50, 1), images(20, 2)
QUIET: dict[str, Any] = {"progress": False, "machine": Machine("cpu")}
SGD = partial(torch.optim.SGD, lr=1.0)


class Constant(nn.Module):
    """One number w."""

    def __init__(self, value: float = 0.0) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor(value))


def climbing(model: Constant) -> Any:
    """Trained by SGD(1), w rises by 1 a step; validation is best at w = 3."""

    def objective(batch: Batch, progress: Progress) -> dict[str, torch.Tensor]:
        w = model.w.expand(len(batch.labels))
        return {"loss": -w if progress.training else (w - 3.0).square()}

    return objective


def by_hand(model: nn.Module, epochs: int, batch_size: int, seed: int) -> tuple[list[float], list[float]]:
    """The same training as a plain loop: mean losses by epoch, of training and of validation."""
    training, validation = SETS
    optimiser = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    objective = denoising(model)
    losses, validated = [], []

    def validate() -> None:
        model.eval()
        indices = torch.arange(len(validation))
        batch = Batch(validation.images, validation.labels, seeds.of_indices(seed, indices, "validation"))
        with torch.no_grad():
            validated.append(objective(batch, Progress(0, 0, 0, epochs, False))["loss"].double().mean().item())
        model.train()

    validate()
    for epoch in range(epochs):
        order = torch.randperm(len(training), generator=seeds.generator(seed, "loader", epoch))
        total = 0.0
        for own in order.split(batch_size):
            part = training[own]
            batch = Batch(part.images, part.labels, seeds.of_indices(seed, own, "train", epoch))
            loss = objective(batch, Progress(epoch, 0, 0, epochs, True))["loss"]
            total += loss.double().sum().item()
            optimiser.zero_grad()
            loss.mean().backward()
            optimiser.step()
        losses.append(total / len(training))
        validate()
    return losses, validated


@pytest.mark.parametrize("batch_size", [16, 25])
def test_it_is_the_plain_loop(batch_size: int, tmp_path: Path) -> None:
    model, reference = seeded(Denoiser), seeded(Denoiser)
    for each in (model, reference):
        each.dropout = nn.Identity()  # its generator is set anew at every step
        each.first.bias.requires_grad_(False)  # before BatchNorm its gradient is rounding alone, which Adam enlarges
    losses, validated = by_hand(reference, 3, batch_size, seed=7)
    run = fit(
        model, denoising(model), *SETS, out=tmp_path / "run", epochs=3, batch_size=batch_size, seed=7,
        learning_rate=1e-2, **QUIET,
    )  # fmt: skip
    metrics = run.metrics()
    assert list(metrics) == ["epoch", "train/loss", "train/brightness", "val/loss", "val/brightness"]
    assert metrics["epoch"] == [0, 1, 2, 3]
    assert math.isnan(metrics["train/loss"][0])
    assert metrics["train/loss"][1:] == pytest.approx(losses, rel=1e-5)
    assert metrics["val/loss"] == pytest.approx(validated, rel=1e-5)
    # Every example counts once, also those of a short last batch.
    for stage, part in zip(("train", "val"), SETS, strict=True):
        brightness = part.images.double().mean().item()
        assert metrics[f"{stage}/brightness"][1:] == pytest.approx([brightness] * 3, rel=1e-6)
    assert validated[-1] == min(validated)
    for name, value in reference.state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], value, rtol=1e-4, atol=1e-6)


def test_objectives_are_told_where_training_stands(tmp_path: Path) -> None:
    model, told = seeded(Denoiser), []
    fit(
        model, denoising(model, lambda batch, progress: told.append(progress)), *SETS, out=tmp_path / "run",
        epochs=2, batch_size=20, **QUIET,
    )  # fmt: skip
    told = told[1:]  # the trial before anything is written
    assert [p for p in told if p.training] == [Progress(s // 3, s, 3, 2, True) for s in range(6)]
    assert [p for p in told if not p.training] == [Progress(e, s, 3, 2, False) for e, s in ((0, 0), (0, 3), (1, 6))]


def test_noise_is_fresh_in_training_and_fixed_in_validation(tmp_path: Path) -> None:
    model = seeded(Denoiser)
    met: dict[bool, list[torch.Tensor]] = {True: [], False: []}
    fit(
        model, denoising(model, lambda batch, progress: met[progress.training].append(batch.seeds)), *SETS,
        out=tmp_path / "run", epochs=2, batch_size=64, **QUIET,
    )  # fmt: skip
    first, second = met[True]
    assert not set(first.tolist()) & set(second.tolist())
    assert set(first.tolist()) == set(seeds.of_indices(0, torch.arange(50), "train", 0).tolist())
    for validation in met[False][1:]:
        assert torch.equal(validation, seeds.of_indices(0, torch.arange(20), "validation"))


def test_turns_move_their_own_module_alone(tmp_path: Path) -> None:
    model = seeded(Pair)
    turns = adversarial(model)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    required: dict[str, set[tuple[bool, bool]]] = {"critic": set(), "generator": set()}
    steps: dict[str, list[int]] = {"critic": [], "generator": []}

    def watched(name: str, objective: Any) -> Any:
        def wrapper(batch: Batch, progress: Progress) -> Any:
            if progress.training:
                steps[name].append(progress.step)
                of = (model.discriminator[0].weight.requires_grad, model.generator.weight.requires_grad)
                required[name].add(of)
            return objective(batch, progress)

        return wrapper

    watching = {
        name: Turn(watched(name, turn.objective), turn.module, turn.optimiser, turn.schedule, turn.every)
        for name, turn in turns.items()
    }
    run = fit(
        model, watching, *SETS, out=tmp_path / "run", epochs=1, batch_size=10, monitor="val/generator/loss", **QUIET
    )
    assert steps == {"critic": [0, 1, 2, 3, 4], "generator": [1, 3]}
    assert required == {"critic": {(True, False)}, "generator": {(False, True)}}
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert all(not torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert {"train/critic/loss", "val/generator/loss"} < run.metrics().keys()

    # A turn that never comes leaves its module as it was.
    model = seeded(Pair)
    turns = adversarial(model)
    turns["generator"] = Turn(turns["generator"].objective, model.generator, every=1000)
    fit(model, turns, *SETS, out=tmp_path / "idle", epochs=1, batch_size=10, monitor="val/critic/loss", **QUIET)
    for name, value in model.state_dict().items():
        assert torch.equal(before[name], value) == name.startswith("generator")


def test_the_schedule_is_stepped_at_every_batch(tmp_path: Path) -> None:
    model = Constant()
    asked: list[int] = []

    def schedule(optimiser: torch.optim.Optimizer, steps: int) -> Any:
        asked.append(steps)
        return torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 1.0 / (1 + step))

    run = fit(
        model, climbing(model), *SETS, out=tmp_path / "run", epochs=2, batch_size=25,
        optimisation=Optimisation(SGD, schedule), **QUIET,
    )  # fmt: skip
    assert asked == [4]
    # w = 1 + 1/2 + 1/3 + 1/4, and validation is (w − 3)².
    assert run.metrics()["val/loss"][-1] == pytest.approx((25 / 12 - 3) ** 2)


def test_gradients_are_clipped_by_their_norm(tmp_path: Path) -> None:
    model = Constant()
    run = fit(
        model, climbing(model), *SETS, out=tmp_path / "run", epochs=1, batch_size=50,
        optimisation=Optimisation(SGD, gradient_clip=0.25), **QUIET,
    )  # fmt: skip
    assert run.metrics()["val/loss"][-1] == pytest.approx((0.25 - 3) ** 2, rel=1e-5)


def test_the_best_epoch_is_kept_and_patience_ends_training(tmp_path: Path) -> None:
    model = Constant()
    run = fit(
        model, climbing(model), *SETS, out=tmp_path / "run", epochs=20, batch_size=50, limits=Limits(patience=2),
        optimisation=Optimisation(SGD), **QUIET,
    )  # fmt: skip
    assert run.metrics()["val/loss"] == [9, 4, 1, 0, 1, 4]
    result = run.result()
    assert (result["best_epoch"], result["best_value"], result["epochs"], result["steps"]) == (3, 0.0, 5, 5)
    assert (result["status"], result["monitor"], result["parameters"]) == ("finished", "val/loss", 1)
    assert model.w.item() == 3.0
    other = Constant()
    run.load_weights(other)
    assert other.w.item() == 3.0
    best = torch.load(run.best_checkpoint, weights_only=True)
    last = torch.load(run.last_checkpoint, weights_only=True)
    assert best["state_dict"]["model.w"] == 3.0
    assert last["state_dict"]["model.w"] == 5.0


def test_the_average_is_what_is_validated_drawn_and_kept(tmp_path: Path) -> None:
    model, drawn = Constant(), []

    def draw(model: nn.Module, epoch: int, run: Run) -> None:
        drawn.append((epoch, model.w.item(), model.training, torch.is_grad_enabled(), len(run.metrics()["epoch"])))

    run = fit(
        model, climbing(model), *SETS, out=tmp_path / "run", epochs=3, batch_size=50, on_epoch=draw,
        optimisation=Optimisation(SGD, average=0.5), **QUIET,
    )  # fmt: skip
    # w = 0, 1, 2, 3; decays 1/10, 2/11, 3/12.
    averages = [0.0]
    for w, decay in ((1, 1 / 10), (2, 2 / 11), (3, 3 / 12)):
        averages.append(decay * averages[-1] + (1 - decay) * w)
    assert [w for _, w, *_ in drawn] == pytest.approx(averages, rel=1e-6)
    assert [(epoch, *rest) for epoch, _, *rest in drawn] == [(epoch, False, False, epoch + 1) for epoch in range(4)]
    assert run.metrics()["val/loss"] == pytest.approx([(average - 3) ** 2 for average in averages], rel=1e-5)
    assert model.w.item() == pytest.approx(averages[-1], rel=1e-6)
    assert torch.load(run.last_checkpoint, weights_only=True)["state_dict"]["model.w"] == 3.0


def test_steps_can_be_limited(tmp_path: Path) -> None:
    model = Constant()
    run = fit(
        model, climbing(model), *SETS, out=tmp_path / "run", epochs=9, batch_size=25, limits=Limits(max_steps=3),
        optimisation=Optimisation(SGD), **QUIET,
    )  # fmt: skip
    assert run.result()["steps"] == 3
    assert run.result()["status"] == "finished"
    assert run.metrics()["val/loss"] == [9, 1, 0]
    assert run.metrics()["train/loss"][1:] == [-0.5, -2.0]


def test_the_callers_things_come_back_as_they_were(tmp_path: Path) -> None:
    model = seeded(Denoiser)
    model.norm.eval()
    model.last.bias.requires_grad_(False)
    kept = model.last.bias.clone()
    model.first.weight.grad = torch.ones_like(model.first.weight)
    torch_state, modes = torch.get_rng_state(), {name: module.training for name, module in model.named_modules()}
    with torch.no_grad():
        draws = denoising(model, lambda batch, progress: torch.rand(2))
        fit(model, draws, *SETS, out=tmp_path / "run", epochs=1, **QUIET)
        assert not torch.is_grad_enabled()

    def check() -> None:
        assert torch.equal(torch.get_rng_state(), torch_state)
        assert {name: module.training for name, module in model.named_modules()} == modes
        assert not model.last.bias.requires_grad
        assert model.first.weight.requires_grad
        assert torch.equal(model.first.weight.grad, torch.ones_like(model.first.weight))
        assert model.last.weight.grad is None

    check()
    assert torch.equal(model.last.bias, kept)
    assert torch.equal(torch.load(tmp_path / "run/checkpoints/last.ckpt")["state_dict"]["model.last.bias"], kept)

    def fail(batch: Batch, progress: Progress) -> None:
        if progress.step == 1:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fit(model, denoising(model, fail), *SETS, out=tmp_path / "fails", epochs=1, batch_size=10, **QUIET)
    check()
    assert Run.open(tmp_path / "fails").result()["status"] == "failed"


def test_the_same_seed_gives_the_same_run_whatever_the_global_generator(tmp_path: Path) -> None:
    runs = []
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        torch.rand(3)
        runs.append(train("denoiser", tmp_path / name, seed=seed))
    a, b, c = [(run.folder / "metrics.csv").read_bytes() + run.weights.read_bytes() for run in runs]
    assert a == b
    assert a != c


def test_reduced_precision_trains(tmp_path: Path) -> None:
    model = seeded(Denoiser)
    run = fit(
        model,
        denoising(model),
        *SETS,
        out=tmp_path / "run",
        epochs=2,
        progress=False,
        machine=Machine("cpu", precision="bf16-mixed"),
    )
    full = seeded(Denoiser)
    reference = fit(full, denoising(full), *SETS, out=tmp_path / "full", epochs=2, **QUIET)
    assert run.metrics()["val/loss"] == pytest.approx(reference.metrics()["val/loss"], rel=0.05)
    assert run.metrics()["val/loss"] != reference.metrics()["val/loss"]


def test_timing_and_settings_are_written(tmp_path: Path) -> None:
    model = seeded(Denoiser)
    run = fit(
        model, denoising(model), *SETS, out=tmp_path / "run", epochs=2, settings={"recipe": "x", "seed": 0}, **QUIET
    )
    timing = run.timing()
    assert timing["epoch"] == [1, 2]
    for seconds, rate in zip(timing["seconds"], timing["images_per_second"], strict=True):
        assert seconds > 0
        assert rate == pytest.approx(50 / seconds)
    config = run.config
    assert {key: value for key, value in config.items() if key != "provenance"} == {"recipe": "x", "seed": 0}
    assert config["provenance"]["data"] == {"train": SETS[0].checksum(), "validation": SETS[1].checksum()}
    run = fit(model, denoising(model), *SETS, out=tmp_path / "plain", epochs=2, learning_rate=0.5, **QUIET)
    assert (run.config["epochs"], run.config["learning_rate"], run.config["seed"]) == (2, 0.5, 0)


def test_standard_output_is_left_to_the_caller(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    model = seeded(Denoiser)
    fit(model, denoising(model), *SETS, out=tmp_path / "run", epochs=1, machine=Machine("cpu"))
    out, err = capfd.readouterr()
    assert out == ""
    assert [line.partition(":")[0] for line in err.splitlines()] == ["epoch 1/1"]


def test_float_data_is_never_made_of_the_whole_set(tmp_path: Path) -> None:
    big = ImageSet(torch.zeros(4_000, 1, 16, 16, dtype=torch.uint8), torch.zeros(4_000, dtype=torch.int64), ("a",))
    model = seeded(Denoiser)
    largest = 0

    class Largest(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            nonlocal largest
            result = function(*args, **(kwargs or {}))
            if isinstance(result, torch.Tensor) and result.is_floating_point():
                largest = max(largest, result.numel())
            return result

    with Largest():
        fit(
            model, denoising(model), big, big[:100], out=tmp_path / "run", epochs=1, limits=Limits(max_steps=2), **QUIET
        )
    assert 0 < largest <= 128 * 4 * 16 * 16
