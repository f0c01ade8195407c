"""A recipe's plan: the model, its objective, and how it is drawn from and measured."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Generator, Tensor, nn

from epslab import figures, seeds
from epslab.runs import Measured, Run
from epslab.training.turns import OptimiserFactory, Turn
from epslab.types import Objective

_SHOWN = 100  # samples in a picture
Sampler = Callable[[int, Generator], Tensor]
"""(n, generator) to n samples: images [n c h w] in [0, 1], or points [n d]."""


@dataclass(frozen=True)
class Beside:
    """What a run's samples are measured beside; both are loaded or trained when they are asked for.

    Args:
        train: The training examples as the model is measured on them.
        features: From the run folder of a classifier, or None, to what images are compared by, [n c h w] to [n d].
    """

    train: Callable[[], Any]
    features: Callable[[str | None], Callable[[Tensor], Tensor]]


@dataclass(frozen=True)
class Asked:
    """How a model is to be measured.

    Args:
        batch_size: Examples at a time; results depend on it by rounding only.
        seed: Seed of every example's noise.
        progress: Show a progress bar.
        options: An instance of the settings' ``options`` class; None if they have no such class.
        beside: What samples are compared with; None where the training examples are not known.
    """

    batch_size: int = 256
    seed: int = 0
    progress: bool = False
    options: Any = None
    beside: Beside | None = None


def nothing_measured(model: Any, run: Run, images: Any, asked: Asked) -> Measured:
    """No numbers; the run has its curves only."""
    return Measured([])


def as_they_are(images: Any, measuring: bool) -> Any:
    """The data unchanged."""
    return images


@dataclass(frozen=True, eq=False)
class Plan:
    """A model and what is done with it; only the first two have no default.

    >>> from epslab.classifiers import ClassifierObjective
    >>> net = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    >>> Plan(net, ClassifierObjective(net)).sample is None  # it has no method .sample
    True

    Args:
        model: Untrained. It may depend on the images by their shape and classes only: to load a trained model, the
            recipe plans again for a single black image.
        turns: An objective, or several that take turns (``epslab.training.Turn``).
        start: Called before training, to load weights from elsewhere.
        optimiser: Makes the optimiser from the parameters; None: Adam. Turns bring their own.
        monitor: The column of ``metrics.csv`` whose smallest value marks the best epoch; None keeps the last weights;
            "auto": "val/loss", or None where there are several turns.
        prepare: The data as the model wants it, from (data, whether it is to be measured or trained on).
        look: Called before training and after every epoch as (model, epochs completed, run), to save pictures. By
            default it draws samples before training and after the last epoch.
        measure: (model, run, test data, ``Asked``) to numbers; saves pictures by ``run.show``.
        sample: Draws samples; by default the model's method ``sample``, if it has one.
        means: Draws the mean of each sample instead; by default the model's ``sample_means``, if it has one.
    """

    model: nn.Module
    turns: Objective | Mapping[str, Turn]
    start: Callable[[], None] | None = None
    optimiser: OptimiserFactory | None = None
    monitor: str | None = "auto"
    prepare: Callable[[Any, bool], Any] = as_they_are
    look: Callable[[Any, int, Run], None] | None = None
    measure: Callable[[Any, Run, Any, Asked], Measured] = nothing_measured
    sample: Sampler | None = None
    means: Sampler | None = None

    def __post_init__(self) -> None:
        """Take the model's own samplers where no others are given."""
        for field, method in (("sample", "sample"), ("means", "sample_means")):
            if getattr(self, field) is None:
                object.__setattr__(self, field, getattr(self.model, method, None))


def draw_samples(sample: Sampler, run: Run, epoch: int, seed: int, n: int = _SHOWN) -> None:
    """A picture of samples after this epoch, drawn from the same noise at every epoch."""
    when = f"after epoch {epoch}" if epoch else "before training"
    caption = f"Samples {when}; the same noise in every such picture."
    run.show(
        f"samples-epoch-{epoch:04d}", picture(sample(n, seeds.generator(seed, "samples"))), caption, order=float(epoch)
    )


def _columns(n: int) -> int:
    """Ten in a row, and a square of more than a hundred."""
    return min(n, max(10, math.ceil(math.sqrt(n))))


def picture(samples: Tensor) -> Figure:
    """Samples as a figure: images on a grid; points by their first two coordinates."""
    if samples.ndim == 4:
        return figures.image_grid(samples.cpu(), columns=_columns(len(samples)))
    points = samples.detach().flatten(1)[:, :2].cpu()
    return figures.latent_scatter(points, torch.zeros(len(points), dtype=torch.int64), ("samples",))
