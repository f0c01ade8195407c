"""The full-scale numbers epslab claims, on a GPU: one command, a table with the time of each.

    make gpu [MINUTES=60]
    python benchmarks/full_scale.py [--minutes 60] [--out runs/gpu] [--data-root FOLDER] [--only vae flow …]

Stages: the course's VAE on MNIST (80 epochs); a ResNet-18 on CIFAR-10, trained against FGSM and attacked by PGD-50 at
8/255; a coupling flow and a diffusion model on MNIST; the throughput of PGD-40. Each is a run folder: after the minutes
are over, the stage that trains writes its state and the table shows what is there; the same command goes on from it.
A stage that is finished is not trained or measured again. Data sets that are not here are named, and their stages are
left out. On a machine without a GPU nothing runs.
"""

import argparse
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from epslab import recipes, seeds
from epslab.attacks import FGSM, PGD
from epslab.errors import UserError
from epslab.evaluation import evaluate_robustness
from epslab.files import write_atomic
from epslab.geometry import Linf
from epslab.recipes import RECIPES, TrainingSettings
from epslab.runs import Run
from epslab.runs.text import number
from epslab.training import Machine

RADIUS = 8 / 255
NO_GPU = "This machine has no GPU, so there is nothing to measure at full scale: run `make gpu` on one that has."
Rows = dict[str, str]
"""What was measured: quantity to its value, as text."""


@dataclass(frozen=True)
class Stage:
    """A model that is trained and measured.

    Args:
        title: What the table calls it.
        data: The data set.
        settings: Of the recipe.
        measure: (run, data root) to what is shown.
        precision: Of the training.
    """

    title: str
    data: str
    settings: TrainingSettings
    measure: Callable[[Run, str | None], Rows]
    precision: str = "bf16-mixed"


def by_recipe(*keys: str, **options: Any) -> Callable[[Run, str | None], Rows]:
    """What ``epslab evaluate`` measures: these of its numbers."""

    def measure(run: Run, root: str | None) -> Rows:
        found = recipes.evaluate(run, data_root=root, batch_size=500, **options)
        return {found[key].name: found[key].text for key in keys if key in found}

    return measure


def robustness(run: Run, root: str | None, images: int = 10_000, batch_size: int = 500) -> Rows:
    """Accuracy on test images, and under FGSM and PGD-50."""
    ball, test = Linf(RADIUS), recipes.splits(run, root).test
    test = test.take(min(images, len(test)), 0)
    model = recipes.load(run).to(device())
    attacks = {"FGSM": FGSM(ball), "PGD-50": PGD(ball, steps=50)}
    report = evaluate_robustness(model, test.images, test.labels, attacks, batch_size=batch_size, findings=False)
    return {
        "accuracy": str(report.clean_accuracy),
        **{f"under {name} at 8/255": str(report.robust_accuracy[name]) for name in attacks},
    }


def throughput(run: Run, root: str | None, images: int = 2048, steps: int = 40) -> Rows:
    """Images a second through PGD, every step taken; the first pass, which warms up, is not counted."""
    test = recipes.splits(run, root).test
    test = test.take(min(images, len(test)), 0)
    model, x, y = recipes.load(run).to(device()), test.images.to(device()), test.labels.to(device())
    attack = PGD(Linf(RADIUS), steps=steps, leave_early=False)
    seconds = 0.0
    for _ in range(2):
        start = time.perf_counter()
        attack(model, x, y, generator=seeds.generator(0, "throughput"))
        if x.is_cuda:
            torch.cuda.synchronize()
        seconds = time.perf_counter() - start
    return {f"images a second, PGD-{steps}": number(len(x) / seconds)}


def device() -> torch.device:
    return Machine().device


def both(*measures: Callable[[Run, str | None], Rows]) -> Callable[[Run, str | None], Rows]:
    return lambda run, root: {key: value for measure in measures for key, value in measure(run, root).items()}


def stages() -> dict[str, Stage]:
    """By name, in the order they run: the shorter ones first."""
    fgsm = RECIPES["resnet18"](
        epochs=30, batch_size=128, defence="adversarial-batch", attack="fgsm", radius="8/255", augment="flip-crop"
    )
    return {
        "vae": Stage("VAE, 80 epochs", "mnist", RECIPES["vae"](), by_recipe("bits_per_dim", "active_units"), "32-true"),
        "resnet18": Stage("ResNet-18 against FGSM", "cifar10", fgsm, both(robustness, throughput)),
        "flow": Stage(
            "coupling flow", "mnist", RECIPES["coupling-flow"](), by_recipe("bits_per_dim", generated=0), "32-true"
        ),
        "diffusion": Stage(
            "diffusion", "mnist", RECIPES["diffusion"](),
            by_recipe("bits_per_dim", "kernel_distance", "precision", "recall", "density", "coverage"),
        ),
    }  # fmt: skip


@contextmanager
def ended_at(deadline: float) -> Iterator[None]:
    """Ctrl-C at the deadline: a training then writes its state."""
    left = deadline - time.monotonic()
    if left <= 0:  # no stage begins, and there is nothing to stop
        yield
        return
    timer = threading.Timer(left, os.kill, (os.getpid(), signal.SIGINT))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def run_stage(name: str, stage: Stage, out: Path, root: str | None, deadline: float) -> dict[str, Any]:
    """Train and measure one stage as far as the deadline lets it; what is known of it, as it was kept."""
    folder, kept = out / name, out / f"{name}.json"
    if kept.exists():
        return dict(json.loads(kept.read_text()))
    if time.monotonic() >= deadline:
        return told(name, stage, Run(folder), {}, "not begun" if not Run(folder).exists() else "to be carried on")
    run = recipes.train(
        stage.settings, data=stage.data, data_root=root, out=folder, machine=Machine(precision=stage.precision),
        resume=True,
    )  # fmt: skip
    if run.result()["status"] != "finished":
        return told(name, stage, run, {}, "to be carried on")
    start = time.perf_counter()
    rows = stage.measure(run, root)
    found = told(name, stage, run, rows, "finished", time.perf_counter() - start)
    write_atomic(kept, json.dumps(found, indent=1, ensure_ascii=False))
    return found


def told(name: str, stage: Stage, run: Run, rows: Rows, status: str, measuring: float = 0.0) -> dict[str, Any]:
    """A stage's entry in the table."""
    trained = sum(run.timing()["seconds"]) if (run.folder / "timing.csv").exists() else 0.0
    epochs = run.result().get("epochs", 0) if run.exists() else 0
    return {
        "stage": f"{stage.title} ({stage.data})", "status": status, "epochs": f"{epochs} of {stage.settings.epochs}",
        "training": trained, "measuring": measuring, "rows": rows,
    }  # fmt: skip


def show(found: Sequence[dict[str, Any]]) -> None:
    """The table, a line for each quantity."""
    print(f"\n{'stage':<34}{'epochs':>10}{'training':>12}{'measuring':>12}   result")
    for entry in found:
        times = [f"{entry[part]:.0f} s" for part in ("training", "measuring")]
        results = [f"{quantity}: {value}" for quantity, value in entry["rows"].items()] or [entry["status"]]
        print(f"{entry['stage']:<34}{entry['epochs']:>10}{times[0]:>12}{times[1]:>12}   {results[0]}")
        for result in results[1:]:
            print(" " * 71 + result)


def measured(asked: argparse.Namespace, chosen: dict[str, Stage]) -> list[dict[str, Any]]:
    """Every stage, until the minutes are over."""
    deadline, found = time.monotonic() + 60 * asked.minutes, []
    try:
        with ended_at(deadline):
            for name, stage in chosen.items():
                try:
                    found.append(run_stage(name, stage, asked.out, asked.data_root, deadline))
                except UserError as error:
                    print(f"{name} is left out: {error}")
    except KeyboardInterrupt:
        print("Stopped while it measured; the same command measures again.")
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60.0, help="training and measuring end after so long")
    parser.add_argument("--out", type=Path, default=Path("runs/gpu"), help="folder of the runs")
    parser.add_argument("--data-root", default=None, help="folder of all data sets")
    parser.add_argument("--only", nargs="+", choices=[*stages()], default=[*stages()], help="stages to run")
    asked = parser.parse_args(arguments)
    if not torch.cuda.is_available():
        print(NO_GPU)
        return
    torch.set_float32_matmul_precision("high")
    print(f"{torch.cuda.get_device_name()}, {asked.minutes:g} minutes, runs in {asked.out}")
    show(measured(asked, {name: stages()[name] for name in asked.only}))


if __name__ == "__main__":
    main()
