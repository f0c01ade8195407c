"""Samples drawn from a model and compared with held-out examples, with the pictures of it."""

from typing import Any

import torch
from torch import Tensor

from epslab import figures, seeds
from epslab.data import Modes
from epslab.evaluation.modes import evaluate_modes
from epslab.evaluation.progress import progress_bar
from epslab.evaluation.samples import SampleReport, evaluate_samples
from epslab.recipes.plan import Asked, Sampler
from epslab.runs import Measured, Run

_SHOWN = 16  # samples beside their nearest training images
_POINTS = 2500  # samples in a picture of the plane


def drawn(sample: Sampler, n: int, asked: Asked) -> Tensor:
    """N samples on the CPU, a batch at a time, images as bytes would keep them."""
    own = seeds.generator(asked.seed, "samples")
    parts = []
    with torch.no_grad(), progress_bar("drawing", n, "samples", asked.progress and n > asked.batch_size) as advance:
        for first in range(0, n, asked.batch_size):
            parts.append(sample(min(asked.batch_size, n - first), own).cpu())
            advance(len(parts[-1]))
    return as_bytes(torch.cat(parts))


def as_bytes(images: Tensor) -> Tensor:
    """Images as a file would keep them, 256 levels in [0, 1]; points as they are."""
    return images.mul(255).round().clamp(0, 255).div(255) if images.ndim == 4 else images


def modes_measured(samples: Tensor, modes: Modes, run: Run) -> Measured:
    """Modes found and the share of good samples, for points whose modes are known; a picture goes to the run."""
    report = evaluate_modes(samples, modes)
    run.show(
        "modes",
        figures.planes(
            {"samples": samples[:_POINTS]},
            circles=(modes.centres, report.deviations * modes.std),
            alt=report.statement,
        ),
        f"Samples of the model, and a circle of {report.deviations:g} standard deviations around each of the data's"
        f" modes. {report.statement}",
    )
    lost = len(modes) - report.found
    missing = [f"Mode collapse: {lost} of {len(modes)} modes of the data have no good sample."] if lost else []
    return Measured(report.measurements(), statements=[report.statement], warnings=missing)


def measured(samples: Tensor, images: Any, train: Any, run: Run, asked: Asked) -> Measured:
    """The numbers of ``evaluate_samples``, its tables and sentences; pictures go to the run.

    The values of each held-out example are kept where all of them were compared with.
    """
    assert asked.beside is not None
    report = evaluate_samples(
        samples,
        images.take(len(samples), asked.seed) if len(samples) < len(images) else images,
        asked.beside.features(asked.options.features),
        train=train,
        neighbours=asked.options.neighbours,
        batch_size=asked.batch_size,
        seed=asked.seed,
        progress=asked.progress,
    )
    _show(report, samples, train, run)
    whole = report.reference == len(images)
    return Measured(
        report.measurements(),
        report.tables(),
        report.statements,
        report.warnings,
        per_example={key: values.tolist() for key, values in report.per_reference.items()} if whole else {},
    )


def _show(report: SampleReport, samples: Tensor, train: Any, run: Run) -> None:
    """The samples that lie nearest to a training image, for the distance to the second, above that image."""
    found = report.memorisation
    if found is None or samples.ndim != 4:
        return
    distance = found.samples.distance
    order = (distance[:, 0] / distance[:, 1].clamp(min=1e-12)).argsort()[:_SHOWN]
    copied = train.batch(found.samples.index[order, 0].cpu())[0]
    run.show(
        "nearest-training-images",
        figures.reconstructions(samples[order], copied, names=("sample", "training image")),
        f"Of {len(samples):,} samples, the {len(order)} that are most like a single training image, above that image: a"
        " model that repeats its training images shows pairs of equals here.",
    )
