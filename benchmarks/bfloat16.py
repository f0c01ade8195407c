"""Training in float32 and in bfloat16 (autocast), in turn: time an epoch, and the loss each reaches.

    python benchmarks/bfloat16.py [--data mnist] [--data-root FOLDER] [--images 12800] [--epochs 2] [--clock cpu]

The course's VAE and the small CNN are trained by their recipes, from the same weights and on the same examples: once as
``epslab train`` does by default, once as with ``--precision bf16-mixed``. A round is both of them, in an order that
changes; ratios are taken within a round. Weights, log-densities and losses stay in float32; matrix products and
convolutions are rounded to bfloat16. It wins where the processor multiplies bfloat16 (AVX512-BF16, AMX; any recent
GPU), and only if the loss in the last column is the same up to the spread over seeds.
"""

import argparse
import logging
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from epslab import data
from epslab.data import ImageSet
from epslab.recipes import SmallCNNRecipe, TrainingSettings, VAERecipe
from epslab.recipes.running import planned
from epslab.runs import Run
from epslab.training import Machine, fit

RECIPES: dict[str, tuple[TrainingSettings, str]] = {
    "vae": (VAERecipe(sample_epochs=()), "val/bits_per_dim"),
    "small-cnn": (SmallCNNRecipe(), "val/loss"),
}
PRECISIONS = ("32-true", "bf16-mixed")


def part(split: str, asked: argparse.Namespace) -> ImageSet:
    whole = data.load(asked.data, split, asked.data_root)
    n = asked.images if split == "train" else asked.images // 5
    return whole.take(min(n, len(whole)), 0)


def trained(name: str, precision: str, seed: int, asked: argparse.Namespace, folder: Path) -> tuple[float, float]:
    """Seconds of training an epoch, validation apart, and the last epoch's loss."""
    settings, column = RECIPES[name]
    settings = replace(settings, epochs=asked.epochs)
    _, plan = planned(settings, asked.data, asked.data_root, seed)
    clock: Callable[[], float] = time.perf_counter if asked.clock == "wall" else time.process_time
    spent: list[float] = []

    def objective(batch, progress):  # type: ignore[no-untyped-def]
        # From an epoch's first batch to its last; the shorter end of that last one is left out.
        if progress.training:
            (
                spent.append(clock())
                if progress.step % progress.steps_per_epoch in (0, progress.steps_per_epoch - 1)
                else None
            )
        return plan.turns(batch, progress)

    objective.columns = plan.turns.columns
    run: Run = fit(
        plan.model, objective, part("train", asked), part("test", asked), out=folder / f"{name}-{precision}-{seed}",
        epochs=asked.epochs, batch_size=settings.batch_size, seed=seed, learning_rate=settings.learning_rate or 1e-3,
        machine=Machine(asked.accelerator, precision=precision), progress=False,
    )  # fmt: skip
    epochs = [end - start for start, end in zip(spent[::2], spent[1::2], strict=True)]
    return statistics.median(epochs), run.metrics()[column][-1]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", default="mnist", help="data set of images")
    parser.add_argument("--data-root", default=None, help="folder of all data sets")
    parser.add_argument("--images", type=int, default=12_800, help="training images an epoch")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3, help="trainings of each, with as many seeds")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--accelerator", default="cpu")
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--recipes", nargs="+", choices=RECIPES, default=list(RECIPES))
    asked = parser.parse_args(arguments)
    torch.set_num_threads(asked.threads)
    logging.disable(logging.WARNING)
    warnings.filterwarnings("ignore")
    print(
        f"{asked.images:,} images of {asked.data}, {asked.epochs} epochs, {asked.threads} threads, {asked.clock} clock"
    )
    for name in asked.recipes:
        ratios, losses = [], {precision: [] for precision in PRECISIONS}
        with tempfile.TemporaryDirectory() as folder:
            for seed in range(asked.rounds):
                order = PRECISIONS if seed % 2 == 0 else PRECISIONS[::-1]
                found = {precision: trained(name, precision, seed, asked, Path(folder)) for precision in order}
                for precision in PRECISIONS:
                    losses[precision].append(found[precision][1])
                ratios.append(found["32-true"][0] / found["bf16-mixed"][0])
                told = ", ".join(
                    f"{p} {found[p][0]:6.2f} s an epoch, {RECIPES[name][1]} {found[p][1]:.4f}" for p in order
                )
                print(f"{name}: {told}; {ratios[-1]:.2f}x", flush=True)
        means = [statistics.mean(losses[precision]) for precision in PRECISIONS]
        print(f"{name}: bfloat16 is {statistics.median(ratios):.2f}x as fast; loss {means[1]:.4f} for {means[0]:.4f}")


if __name__ == "__main__":
    main()
