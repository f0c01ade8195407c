"""Every generative model beside every other: likelihood where there is one, samples, time and size."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import hypot, inf

import torch
from jaxtyping import Float
from torch import Tensor

from epslab import figures, recipes
from epslab.evaluation.estimate import Estimate
from epslab.evaluation.samples import ClassifierFeatures, SampleEntry, evaluate_samples
from epslab.evaluation.samples.report import MEASURES, SAMPLES, cell
from epslab.evaluation.samples.yardsticks import GAUSSIAN
from epslab.recipes import Splits
from epslab.report import StudyResult, Table
from epslab.runs import Cell, Run, percent
from epslab.studies import classifiers, generative
from epslab.studies.context import Context
from epslab.studies.spread import estimate, text

QUESTION = "Which generative model is best, and best at what?"

MODELS: Mapping[str, str] = {
    "vae": "VAE",
    "adversarial-autoencoder": "adversarial AE",
    "gan": "GAN",
    "wgan": "WGAN",
    "wgan-gp": "WGAN-GP",
    "coupling-flow": "coupling flow",
    "denoising-autoencoder": "denoising AE",
    "diffusion": "diffusion model",
}
"""Recipes of models that draw samples, and what a table calls them."""
PLOTTED = ("kernel_distance", "precision", "recall", "coverage")
SHOWN = 10  # samples of each in the picture
TIMED = 50  # samples of each whose drawing is timed


@dataclass(frozen=True, eq=False)
class Model:
    """One trained model."""

    recipe: str
    bits: Estimate | None  #: bits/dim; None where the model has no likelihood
    kind: str  #: what it is: "exact", "upper bound"
    sees: str  #: how the likelihood sees an image: "16 grey levels"
    samples: SampleEntry
    copies: float  #: share of samples that are copies of a training image
    training: float  #: seconds
    sampling: float  #: seconds for 1,000 samples
    parameters: int
    shown: Float[Tensor, "k c h w"]  #: samples, not chosen


@dataclass(frozen=True, eq=False)
class Yardsticks:
    """What anybody could have drawn, and what all are compared by."""

    entries: Mapping[str, SampleEntry]
    note: str  #: what the measures mean
    images: int  #: held-out images, and samples of each
    real: Float[Tensor, "k c h w"]  #: held-out images


@dataclass(frozen=True, eq=False)
class Found:
    """The models in the order of ``MODELS``, and the yardsticks."""

    models: tuple[Model, ...]
    yardsticks: Yardsticks


def measure(context: Context) -> Found:
    """Train every model, or take its run, and measure all by the same code."""
    # All are compared by the features of one classifier, the one that other studies attack.
    settings = context.pick(classifiers.QUICK, classifiers.FULL)["small-cnn"]
    classifier = context.train(settings, "small-cnn", context.seed)
    parts = recipes.splits(classifier, context.data_root)
    n = min(context.pick(200, 10_000), len(parts.test), len(parts.train))
    return Found(
        models=tuple(context.once(f"model-{name}", _model, name, classifier, n, context) for name in MODELS),
        yardsticks=context.once("yardsticks", _yardsticks, parts, classifier, n, context),
    )


def _yardsticks(parts: Splits, classifier: Run, n: int, context: Context) -> Yardsticks:
    test = parts.test.take(n, context.seed) if n < len(parts.test) else parts.test
    features = ClassifierFeatures(recipes.load(classifier), "the studies' small CNN")
    report = evaluate_samples(test.images, test, features, train=parts.train, seed=context.seed)
    entries = {name: entry for name, entry in report.entries.items() if name != SAMPLES}
    return Yardsticks(entries, report.note, n, test.images[:SHOWN])


def _model(name: str, classifier: Run, n: int, context: Context) -> Model:
    run = _run(name, context)
    numbers = recipes.evaluate(
        run, data_root=context.data_root, seed=context.seed, generated=n, features=str(classifier.folder)
    )
    start = time.perf_counter()
    samples = recipes.sample(run, TIMED, context.seed)
    seconds = time.perf_counter() - start
    bits = numbers.get("bits_per_dim")
    return Model(
        recipe=name,
        bits=None if bits is None else estimate(bits),
        kind="" if bits is None else bits.note,
        sees="" if bits is None else run.measured().conditions,
        samples=SampleEntry(
            numbers["frechet_distance"].value,
            **{key: estimate(numbers[key]) for key in MEASURES if key != "frechet_distance"},
        ),
        copies=numbers["copies"].value,
        training=sum(run.timing().get("seconds", [])),
        sampling=seconds * 1000 / TIMED,
        parameters=sum(parameter.numel() for parameter in recipes.load(run).parameters()),
        shown=samples[:SHOWN].cpu(),
    )


def _run(name: str, context: Context) -> Run:
    """The run that the studies share; of the VAE, one that tells 256 grey levels apart, as the other models do."""
    if name == "vae":
        return context.train(context.recipe(likelihood="logistic-mixture"), "vae-256-levels", context.seed)
    return generative.trained(context, name)


def tell(found: Found) -> StudyResult:
    """The models by every measure, and which is best by each."""
    models, yardsticks = found.models, found.yardsticks
    names = [MODELS[model.recipe] for model in models]
    rows = [*(model.shown for model in models), yardsticks.real]
    entries = [*(model.samples for model in models), *yardsticks.entries.values()]
    look = f"The first {len(yardsticks.real)} samples that each model drew; at the bottom held-out images."
    plotted = {MEASURES[key][0]: [entry[key].mean for entry in entries] for key in PLOTTED}
    return StudyResult(
        name="compare",
        question=QUESTION,
        answer=_answer(found),
        figures={
            look: figures.strips(torch.cat(rows), columns=len(yardsticks.real), row_labels=[*names, "real"]),
            "The models (blue) and the yardsticks (grey). The kernel distance is good near 0, the others near"
            " 1.": figures.side_by_side([*names, *yardsticks.entries], plotted, yardsticks=len(yardsticks.entries)),
        },
        tables=(_table(found), _costs(found)),
    )


def _answer(found: Found) -> str:
    models, gaussian = found.models, found.yardsticks.entries[GAUSSIAN]
    nearest = min(models, key=lambda model: model.samples.kernel_distance.mean)
    covering = max(models, key=lambda model: model.samples.coverage.mean)
    quick = min(models, key=lambda model: model.sampling)
    better = [model for model in models if _beats(model.samples, gaussian)]
    likely = [model for model in models if model.bits is not None]
    told = (
        f"The samples nearest to held-out images are those of the {_name(nearest)} (kernel distance"
        f" {nearest.samples.kernel_distance}{_no_farther(nearest, models)}); the {_name(covering)} covers most of them"
        f" ({percent(covering.samples.coverage.mean)}); the {_name(quick)} draws fastest. "
    )
    if better:
        told += f"Better than a Gaussian per class by kernel distance and coverage: {', '.join(map(_name, better))}."
    else:
        told += "None is better than a Gaussian per class by kernel distance and coverage."
    sees = {model.sees for model in likely}
    if len(likely) > 1 and len(sees) == 1:
        best = min(likely, key=lambda model: model.bits.mean if model.bits else inf)
        told += f" Of those with a likelihood, the {_name(best)} has the best: {_bits(best)} bits/dim."
    return told


def _no_farther(nearest: Model, models: Sequence[Model]) -> str:
    """The others that the errors do not tell apart from the nearest."""
    best = nearest.samples.kernel_distance
    alike = [
        _name(model)
        for model in models
        if model is not nearest
        and (other := model.samples.kernel_distance).mean - best.mean
        < 2 * hypot(other.standard_error, best.standard_error)
    ]
    return f"; not told apart: {', '.join(alike)}" if alike else ""


def _beats(samples: SampleEntry, yardstick: SampleEntry) -> bool:
    return (
        samples.kernel_distance.mean < yardstick.kernel_distance.mean
        and samples.coverage.mean > yardstick.coverage.mean
    )


def _name(model: Model) -> str:
    return MODELS[model.recipe]


def _bits(model: Model) -> str:
    return "" if model.bits is None else f"{text(model.bits)} ({model.kind})"


def _table(found: Found) -> Table:
    """Likelihood and samples."""
    rows: list[tuple[Cell, ...]] = [
        (_name(model), _bits(model), *(cell(key, model.samples[key]) for key in MEASURES), percent(model.copies))
        for model in found.models
    ]
    rows += [
        (name, "", *(cell(key, entry[key]) for key in MEASURES), "") for name, entry in found.yardsticks.entries.items()
    ]
    sees = sorted({model.sees for model in found.models if model.sees})
    return Table(
        f"{found.yardsticks.images:,} samples of each beside as many held-out images",
        ("samples of", "bits/dim", *(name for name, _ in MEASURES.values()), "copies"),
        rows,
        f"Bits/dim of held-out images: the negative logarithm of the likelihood that the model gives them, where it has"
        f" one; exact, or an upper bound. They compare only where the model sees the same values ({', '.join(sees)})."
        f" {found.yardsticks.note} Copies: samples three times nearer to one training image than to any other. AE:"
        " autoencoder.",
    )


def _costs(found: Found) -> Table:
    return Table(
        "What each costs",
        ("model", "training, seconds", "1,000 samples, seconds", "parameters"),
        [(_name(model), model.training, model.sampling, model.parameters) for model in found.models],
        "Seconds on the machine that made this page. Parameters: of all nets that are trained, also those that samples"
        " do not need (encoder, discriminator).",
    )
