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
    """Models trained with one β, one per training seed."""

    beta: float  #: weight of the KL term in training
    rates: tuple[Estimate, ...]  #: KL from posterior to prior, nats
    distortions: tuple[Estimate, ...]  #: −E log p(x|z), nats
    bits: tuple[Estimate, ...]  #: bits/dim of the ELBO, with weight 1
    active: tuple[int, ...]  #: active units
    statement: str  #: whether the first seed's posterior has collapsed, a sentence

    @property
    def rate(self) -> Estimate:
        """Over training seeds."""
        return over_seeds(self.rates)

    @property
    def distortion(self) -> Estimate:
        """Over training seeds."""
        return over_seeds(self.distortions)

    @property
    def bits_per_dim(self) -> Estimate:
        """Over training seeds."""
        return over_seeds(self.bits)


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


def tell(found: Found) -> StudyResult:
    """What β trades, and where the posterior collapses."""
    return StudyResult(
        name="beta",
        question=QUESTION,
        answer=" ".join([_trade(found), _best(found), _at_last(found)]),
        figures={
            "Rate against distortion: with a small β images are reconstructed faithfully from a costly code; at rate 0"
            " the code says nothing.": _rate_distortion(found),
            f"Active units of {found.latent_dim}: those whose posterior mean has a variance above 0.01 over"
            " images.": figures.bars(
                [count(model.active) for model in found.models],
                labels=[f"{model.beta:g}" for model in found.models],
                x_label="β",
                y_label="active units",
            ),
        },
        tables=(_table(found), _statements(found)),
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
        beta=beta,
        rates=tuple(report.part("kl") for report in likelihoods),
        distortions=tuple(report.part("reconstruction") for report in likelihoods),
        bits=tuple(report.bits_per_dim() for report in likelihoods),
        active=tuple(report.active_units for report in latents),
        statement=latents[0].statement,
    )


def _trade(found: Found) -> str:
    low, high = found.models[0], found.models[-1]
    falls = all(a.rate.mean > b.rate.mean for a, b in pairwise(found.models))
    return (
        f"From β={low.beta:g} to β={high.beta:g} the rate goes from {text(low.rate)} to {text(high.rate)} nats"
        f" ({'it falls' if falls else 'it does not fall'} at every step), the distortion from {text(low.distortion)} to"
        f" {text(high.distortion)} nats, and the active units from {number(count(low.active))} to"
        f" {number(count(high.active))} of {found.latent_dim}."
    )


def _best(found: Found) -> str:
    best = min(found.models, key=lambda model: model.bits_per_dim.mean)
    return f"The bound is best at β={best.beta:g}: {text(best.bits_per_dim)} bits/dim."


def _at_last(found: Found) -> str:
    last = found.models[-1]
    return f"At β={last.beta:g}, {last.statement[:1].lower()}{last.statement[1:]}"


def _rate_distortion(found: Found) -> Figure:
    rates, distortions = ([getattr(model, name) for model in found.models] for name in ("rate", "distortion"))
    return figures.rate_distortion(
        [rate.mean for rate in rates],
        [distortion.mean for distortion in distortions],
        [f"β={model.beta:g}" for model in found.models],
        rate_spread=[rate.standard_error for rate in rates],
        distortion_spread=[distortion.standard_error for distortion in distortions],
    )


def _table(found: Found) -> Table:
    return Table(
        f"{found.images:,} test images",
        ("β", "rate, nats", "distortion, nats", "bits/dim", "active units"),
        [
            (f"{model.beta:g}", text(model.rate), text(model.distortion), text(model.bits_per_dim), count(model.active))
            for model in found.models
        ],
        note="Rate: KL from posterior to prior. Distortion: −E log p(x|z). Bits/dim of the ELBO, which weighs the KL by"
        f" 1 whatever β was in training. {meaning(len(found.models[0].rates))}",
    )


def _statements(found: Found) -> Table:
    rows = [(f"{model.beta:g}", model.statement) for model in found.models]
    return Table("Has the posterior collapsed?", ("β", "statement"), rows)
