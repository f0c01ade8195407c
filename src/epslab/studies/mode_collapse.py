"""Mode collapse on laws whose modes are known: which models reach all of them, and how well they hit them."""

import statistics
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from jaxtyping import Float
from torch import Tensor

from epslab import figures, recipes
from epslab.data import Modes, PointSet, load_examples
from epslab.evaluation.modes import DEVIATIONS, ModesReport, evaluate_modes
from epslab.recipes import RECIPES, TrainingSettings
from epslab.report import StudyResult, Table, number
from epslab.runs import percent
from epslab.studies.context import Context

QUESTION = "Which generative models find every mode of a distribution?"

MODELS = {
    "gan": "GAN",
    "wgan": "WGAN",
    "wgan-gp": "WGAN-GP",
    "vae": "VAE",
    "coupling-flow": "coupling flow",
    "diffusion": "diffusion",
}
"""Recipes, and what a table calls their models."""
SETS = {"quick": ("ring",), "full": ("ring", "grid")}
"""Data sets, by scale."""
NAMES = {"ring": "the ring", "grid": "the grid"}
SEEDS = {"quick": 1, "full": 5}
"""Training seeds, by scale."""
SAMPLES = 2500
_ADVERSARIAL: dict[str, Any] = {"batch_size": 128, "latent_dim": 8, "hidden": (128, 128, 128), "sample_epochs": ()}
_VAE: dict[str, Any] = {"likelihood": "normal", "latent_dim": 2, "hidden": (128, 128), "sample_epochs": ()}
FULL: dict[str, dict[str, Any]] = {
    "gan": {**_ADVERSARIAL, "epochs": 85},
    "wgan": {**_ADVERSARIAL, "epochs": 85},
    "wgan-gp": {**_ADVERSARIAL, "epochs": 85},
    "vae": {**_VAE, "batch_size": 128, "epochs": 40},
    "coupling-flow": {"batch_size": 256, "epochs": 60, "sample_epochs": ()},
    "diffusion": {
        "batch_size": 256,
        "epochs": 80,
        "learning_rate": 3e-3,
        "ema_decay": 0.99,
        "sampling_steps": 100,
        "sample_epochs": (),
    },
}
"""By recipe, the settings in which full scale differs from the recipe's defaults: minutes each on one core."""
_FEW = {"gan": 12, "wgan": 12, "wgan-gp": 8, "vae": 8, "coupling-flow": 6, "diffusion": 20}
QUICK: dict[str, dict[str, Any]] = {
    name: {**settings, "batch_size": 256, "epochs": _FEW[name]} for name, settings in FULL.items()
}
"""The same for quick scale: seconds each, far too few steps to be sharp."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """Models of one recipe on one data set; tuples have one number per training seed."""

    found: tuple[int, ...]  #: modes with a good sample
    good: tuple[float, ...]  #: share of good samples
    imbalance: tuple[float | None, ...]  #: KL from the modes' shares to equal shares, nats; None without a good sample
    spread: tuple[float | None, ...]  #: width of a mode, relative to the data's; None without a good sample
    samples: Float[Tensor, "n 2"]  #: of the first seed's model


@dataclass(frozen=True, eq=False)
class Found:
    """What was counted, by data set."""

    seeds: int
    samples: int  #: of each model
    epochs: Mapping[str, int]  #: passes over the 9,000 training points, by recipe
    quick: bool  #: trained for seconds
    modes: Mapping[str, int]  #: of the data
    centres: Mapping[str, Float[Tensor, "k 2"]]
    std: Mapping[str, float]  #: of a mode
    within: Mapping[str, float]  #: mass of the modes within ``DEVIATIONS`` standard deviations
    data: Mapping[str, Outcome]  #: held-out points, in the place of samples
    models: Mapping[str, Mapping[str, Outcome]]  #: by data set, then by recipe


def measure(context: Context) -> Found:
    """Train every model on every data set, and count its samples by mode."""
    sets = SETS[context.scale]
    modes = {name: modes_of(name) for name in sets}
    return Found(
        seeds=SEEDS[context.scale],
        samples=SAMPLES,
        epochs={name: own["epochs"] for name, own in context.pick(QUICK, FULL).items()},
        quick=context.scale == "quick",
        modes={name: len(own) for name, own in modes.items()},
        centres={name: own.centres for name, own in modes.items()},
        std={name: own.std for name, own in modes.items()},
        within={name: own.within(DEVIATIONS) for name, own in modes.items()},
        data={name: _counted([_held_out(name)], modes[name]) for name in sets},
        models={
            name: {recipe: context.once(f"{name}-{recipe}", _outcome, context, recipe, name) for recipe in MODELS}
            for name in sets
        },
    )


def settings_of(context: Context, recipe: str, modes: Modes) -> TrainingSettings:
    """How a recipe is trained on points with these modes; a VAE is told the modes' standard deviation."""
    told: dict[str, Any] = {"std": modes.std} if recipe == "vae" else {}
    return RECIPES[recipe](**context.pick(QUICK, FULL)[recipe], **told)


def modes_of(name: str) -> Modes:
    """The modes of a data set that has some."""
    points = load_examples(name)
    assert isinstance(points, PointSet)
    assert points.modes is not None
    return points.modes


def _outcome(context: Context, recipe: str, name: str) -> Outcome:
    own, modes = replace(context, data=name), modes_of(name)
    settings = settings_of(context, recipe, modes)
    first = context.seed
    runs = [own.train(settings, f"{name}-{recipe}", seed) for seed in range(first, first + SEEDS[context.scale])]
    return _counted([recipes.sample(run, SAMPLES, seed=first) for run in runs], modes)


def _held_out(name: str) -> Tensor:
    points = load_examples(name, "test")
    assert isinstance(points, PointSet)
    return points.points[:SAMPLES]


def _counted(samples: list[Tensor], modes: Modes) -> Outcome:
    reports = [evaluate_modes(own, modes) for own in samples]
    return Outcome(
        found=tuple(report.found for report in reports),
        good=tuple(float(report.good) for report in reports),
        imbalance=tuple(_or_none(report, report.imbalance) for report in reports),
        spread=tuple(_or_none(report, report.spread) for report in reports),
        samples=samples[0].float(),
    )


def _or_none(report: ModesReport, value: float) -> float | None:
    return value if report.found else None


def tell(found: Found) -> StudyResult:
    """Modes found and good samples, with the samples themselves."""
    short = " These models were trained for seconds each: at full scale they are sharper." if found.quick else ""
    return StudyResult(
        name="mode-collapse",
        question=QUESTION,
        answer=" ".join(_answer(found, name) for name in found.models) + short,
        figures={
            f"Held-out points of {NAMES[name]} and samples of each model of the first seed. Circles:"
            f" {DEVIATIONS:g} standard deviations around each mode of the data.": figures.planes(
                {"data": found.data[name].samples, **{MODELS[r]: one.samples for r, one in models.items()}},
                circles=(found.centres[name], DEVIATIONS * found.std[name]),
                alt=_answer(found, name),
            )
            for name, models in found.models.items()
        },
        tables=tuple(_table(found, name) for name in found.models),
    )


def _answer(found: Found, name: str) -> str:
    models, all_of_them = found.models[name], found.modes[name]
    whole = [MODELS[recipe] for recipe, one in models.items() if min(one.found) == all_of_them]
    rest = [
        f"{MODELS[recipe]} {number(statistics.mean(one.found))}"
        for recipe, one in models.items()
        if min(one.found) < all_of_them
    ]
    with_seeds = f" with each of {found.seeds} training seeds" if found.seeds > 1 else ""
    reach = f"{_and(whole)} find{'s' if len(whole) == 1 else ''} all" if whole else "no model finds all"
    mean = " on average" if found.seeds > 1 else ""
    missing = f"; modes found by the others{mean}: {', '.join(rest)}" if rest else ""
    best = max(models, key=lambda recipe: statistics.mean(models[recipe].good))
    return (
        f"On {NAMES[name]} of {all_of_them} modes, {reach}{with_seeds}{missing}. {MODELS[best][:1].upper()}"
        f"{MODELS[best][1:]} puts most samples into modes: {percent(statistics.mean(models[best].good))} lie within"
        f" {DEVIATIONS:g} standard deviations, where {percent(found.within[name])} of the data do."
    )


def _and(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _table(found: Found, name: str) -> Table:
    data = [("held-out points", found.data[name])]
    models = [(MODELS[recipe], one) for recipe, one in found.models[name].items()]
    several = f" ± is the standard deviation over {found.seeds} training seeds." if found.seeds > 1 else ""
    return Table(
        f"{NAMES[name][:1].upper()}{NAMES[name][1:]}: {found.samples:,} samples of each model",
        (
            "model",
            f"modes found, of {found.modes[name]}",
            "fewest",
            "good samples, %",
            "width",
            "imbalance, nats",
        ),
        [
            (
                model,
                _over(one.found),
                min(one.found),
                _over([100 * share for share in one.good]),
                _over(one.spread),
                _over(one.imbalance),
            )
            for model, one in data + models
        ],
        note=f"Good: within {DEVIATIONS:g} standard deviations of a mode's centre. Found: a mode with a good sample;"
        " fewest: with the worst training seed. Width: of the good samples, 1 is the data's, 0 a point. Imbalance: KL"
        " from the modes' shares of the good samples to equal shares. The VAE is told the modes' standard deviation."
        " A flow maps the plane one-to-one, so that samples lie between modes that it cannot tear apart. Epochs:"
        f" {', '.join(f'{MODELS[recipe]} {epochs}' for recipe, epochs in found.epochs.items())}.{several}",
    )


def _over(values: Any) -> str:
    """The mean over training seeds with its standard deviation; — without a number."""
    known = [value for value in values if value is not None]
    if not known:
        return "—"
    if len(known) == 1:
        return number(known[0])
    return f"{number(statistics.mean(known))} ± {number(statistics.stdev(known))}"
