"""The weight of the KL term: what β buys in rate and pays in distortion, and when the posterior collapses."""

from dataclasses import dataclass
from itertools import pairwise

from matplotlib.figure import Figure

from epslab import figures, recipes
from epslab.evaluation.estimate import Estimate
from epslab.evaluation.estimators import Elbo
from epslab.evaluation.latents import evaluate_latents
from epslab.evaluation.likelihood import evaluate_likelihood
from epslab.report import StudyResult, Table, number
from epslab.studies.context import Context
from epslab.studies.spread import count, meaning, over_seeds, text

QUESTION = "What does the weight β of the KL term trade off, and when does the posterior collapse?"


@dataclass(frozen=True)
class Model:
    """Models trained with one β; estimates are over training seeds."""

    beta: float  #: weight of the KL term in training
    rate: Estimate  #: KL from posterior to prior, nats
    distortion: Estimate  #: −E log p(x|z), nats
    bits: Estimate  #: bits/dim of the ELBO, with weight 1
    active: tuple[int, ...]  #: active units, one per seed
    statement: str  #: whether the first seed's posterior has collapsed, a sentence


@dataclass(frozen=True)
class Found:
    """Models in rising order of β, the number of their latent dimensions and of the test images."""

    models: tuple[Model, ...]
    latent_dim: int
    images: int


def measure(context: Context) -> Found:
    """Train at each β and measure rate, distortion and active units on the test images."""
    betas = context.pick((0.1, 0.3, 1.0, 3.0, 10.0), (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0))
    course = context.train(context.recipe(), "vae", context.seeds[0])
    return Found(
        models=tuple(context.once(f"beta-{beta:g}", _model, beta, context) for beta in betas),
        latent_dim=context.recipe().latent_dim,
        images=len(recipes.splits(course, context.data_root).test),
    )


def _model(beta: float, context: Context) -> Model:
    # The course's own model has β = 1: it is trained once for all studies.
    name = "vae" if beta == 1 else f"beta-{beta:g}"
    runs = [context.train(context.recipe(beta=beta), name, seed) for seed in context.seeds]
    test = recipes.splits(runs[0], context.data_root).test
    models = [recipes.load(run) for run in runs]
    likelihoods = [evaluate_likelihood(model, test, {"elbo": Elbo()}, seed=context.seed) for model in models]
    latents = [evaluate_latents(model, test, seed=context.seed) for model in models]
    return Model(
        beta,
        rate=over_seeds([report.part("kl") for report in likelihoods]),
        distortion=over_seeds([report.part("reconstruction") for report in likelihoods]),
        bits=over_seeds([report.bits_per_dim() for report in likelihoods]),
        active=tuple(report.active_units for report in latents),
        statement=latents[0].statement,
    )


def tell(found: Found) -> StudyResult:
    """What β trades, and where the posterior collapses."""
    labels = [f"{model.beta:g}" for model in found.models]
    active = [count(model.active) for model in found.models]
    return StudyResult(
        name="beta",
        question=QUESTION,
        answer=_answer(found),
        figures={
            "Rate against distortion: with a small β images are reconstructed faithfully from a costly code; at rate 0"
            " the code says nothing.": _rate_distortion(found),
            f"Active units of {found.latent_dim}: those whose posterior mean has a variance above 0.01 over"
            " images.": figures.bars(active, labels=labels, x_label="β", y_label="active units"),
        },
        tables=(
            _table(found),
            Table(
                "Has the posterior collapsed?",
                ("β", "statement"),
                [(label, model.statement) for label, model in zip(labels, found.models, strict=True)],
            ),
        ),
    )


def _answer(found: Found) -> str:
    low, high = found.models[0], found.models[-1]
    best = min(found.models, key=lambda model: model.bits.mean)
    falls = all(a.rate.mean > b.rate.mean for a, b in pairwise(found.models))
    return (
        f"From β={low.beta:g} to β={high.beta:g} the rate goes from {text(low.rate)} to {text(high.rate)} nats"
        f" ({'it falls' if falls else 'it does not fall'} at every step), the distortion from {text(low.distortion)} to"
        f" {text(high.distortion)} nats, and the active units from {number(count(low.active))} to"
        f" {number(count(high.active))} of {found.latent_dim}. The bound is best at β={best.beta:g}:"
        f" {text(best.bits)} bits/dim. At β={high.beta:g}, {high.statement[:1].lower()}{high.statement[1:]}"
    )


def _rate_distortion(found: Found) -> Figure:
    models = found.models
    return figures.rate_distortion(
        [model.rate.mean for model in models],
        [model.distortion.mean for model in models],
        [f"β={model.beta:g}" for model in models],
        rate_spread=[model.rate.standard_error for model in models],
        distortion_spread=[model.distortion.standard_error for model in models],
    )


def _table(found: Found) -> Table:
    return Table(
        f"{found.images:,} test images",
        ("β", "rate, nats", "distortion, nats", "bits/dim", "active units"),
        [
            (f"{model.beta:g}", text(model.rate), text(model.distortion), text(model.bits), count(model.active))
            for model in found.models
        ],
        note="Rate: KL from posterior to prior. Distortion: −E log p(x|z). Bits/dim of the ELBO, which weighs the KL by"
        f" 1 whatever β was in training. {meaning(len(found.models[0].active))}",
    )
