"""The measurements of a trained GAN: whether it has collapsed, and how good its samples are."""

import torch
from torch import Tensor

from epslab import seeds
from epslab.data import ImageSet, PointSet
from epslab.evaluation.collapse import CollapseReport, evaluate_collapse
from epslab.evaluation.samples import nearest
from epslab.generative.gan import Implicit
from epslab.recipes.gan.pictures import draw_all, draw_classes
from epslab.recipes.plan import Asked
from epslab.recipes.quality import Samples, joined, measure_samples
from epslab.runs import Measured, Run

_MOST = 2000  # samples looked at for collapse
_FEWEST = 4


def measure(model: Implicit, run: Run, images: ImageSet | PointSet, asked: Asked) -> Measured:
    """Spread and classes of the samples, a warning where the model has collapsed, pictures; then their quality."""
    draw_all(model, run, images, asked.seed)
    return joined(_collapse(model, run, images, asked), measure_samples(model.sample, run, images, asked))


def _collapse(model: Implicit, run: Run, images: ImageSet | PointSet, asked: Asked) -> Measured:
    wanted = asked.options.generated if isinstance(asked.options, Samples) else None
    if wanted == 0 or len(images) < _FEWEST:
        return Measured([])
    train = None if asked.beside is None else asked.beside.train()
    report = collapse_of(model, images, train, min(_MOST, wanted or len(images)), asked.seed)
    draw_classes(report, run)
    told = [report.statement]
    return Measured(
        report.measurements(),
        statements=[] if report.collapsed else told,
        warnings=told if report.collapsed else [],
    )


def collapse_of(
    model: Implicit, images: ImageSet | PointSet, train: ImageSet | PointSet | None, n: int, seed: int
) -> CollapseReport:
    """The report of n samples beside held-out examples, with the classes of their nearest training examples if any.

    Args:
        model: Draws the samples.
        images: Held-out examples, at least 4.
        train: Training examples; None: classes are not looked at.
        n: Number of samples; 4 are drawn at least.
        seed: Of the samples.
    """
    samples = model.sample(max(_FEWEST, n), seeds.generator(seed, "collapse")).cpu()
    most = min(_MOST, len(images))
    real = images.take(most, seed).batch(torch.arange(most))[0]
    counted = isinstance(images, PointSet) and images.modes is not None  # by measure_samples, against their centres
    if counted or train is None or train.labels is None or len(names := _names(train)) < 2:
        return evaluate_collapse(samples, real)
    like = nearest(samples, train).index[:, 0]
    return evaluate_collapse(samples, real, (train.labels[like], train.labels), names)


def _names(train: ImageSet | PointSet) -> tuple[str, ...]:
    if isinstance(train, ImageSet):
        return tuple(train.classes)
    labels: Tensor | None = train.labels
    return () if labels is None else tuple(f"mode {i + 1}" for i in range(int(labels.max()) + 1))
