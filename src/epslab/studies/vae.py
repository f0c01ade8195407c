"""The course's variational autoencoder: how it learns, what it draws, what a test image costs."""

from collections.abc import Mapping
from dataclasses import dataclass

from epslab import figures, recipes
from epslab.evaluation.estimate import Estimate
from epslab.report import StudyResult, Table, number
from epslab.runs import Column
from epslab.studies.context import Context
from epslab.studies.spread import curves_over_seeds, estimate, meaning, over_seeds, text

QUESTION = "How well does a variational autoencoder learn a set of images, and what does it draw?"

NETS = {"conv": "The course's convolutional nets", "perceptron": "Perceptrons"}
QUANTITIES = {
    "bits_per_dim": "bits/dim, from the ELBO",
    "bits_per_dim_importance_weighted": "bits/dim, importance-weighted",
    "elbo": "ELBO, nats",
    "reconstruction": "reconstruction −E log p(x|z), nats",
    "kl": "KL from posterior to prior, nats",
}


@dataclass(frozen=True)
class Found:
    """The models of all training seeds, in that order."""

    net: str  #: "conv" or "perceptron"
    latent_dim: int  #: D
    levels: int  #: grey levels of a pixel
    epochs: int  #: of training
    images: int  #: test images
    draws: int  #: K of the importance-weighted bound
    seeds: int  #: training seeds
    measured: Mapping[str, Estimate]  #: ``QUANTITIES`` on the test images, over training seeds
    curves: Mapping[str, list[float]]  #: the columns of ``metrics.csv``, means over training seeds
    spread: Mapping[str, list[float]] | None  #: their standard deviations; None for one seed
    columns: Mapping[str, Column]  #: what these columns are
    samples: Mapping[int, bytes]  #: PNG of the first seed's samples, by epoch
    published: str  #: what others report for the same settings, with sources; may be empty


def measure(context: Context) -> Found:
    """Train one model for each seed and measure it on the test images."""
    recipe = context.recipe()
    draws = context.pick(100, 50)
    runs = [context.train(recipe, "vae", seed) for seed in context.seeds]
    numbers = [
        recipes.evaluate(run, data_root=context.data_root, importance_samples=draws, seed=context.seed) for run in runs
    ]
    curves, spread = curves_over_seeds([run.metrics() for run in runs])
    first = runs[0]
    c, h, w = first.config["provenance"]["image_shape"]
    epochs = sorted({epoch for epoch in (*recipe.sample_epochs, recipe.epochs) if epoch <= recipe.epochs})
    return Found(
        net=recipe.net_for((c, h, w)),
        latent_dim=recipe.latent_dim,
        levels=recipe.levels,
        epochs=recipe.epochs,
        images=int(first.result()["images"]),
        draws=draws,
        seeds=len(runs),
        measured={name: over_seeds([estimate(one[name]) for one in numbers]) for name in QUANTITIES},
        curves=curves,
        spread=spread,
        columns=dict(first.columns()),
        samples={epoch: (first.figures / f"samples-epoch-{epoch:04d}.png").read_bytes() for epoch in epochs},
        published=numbers[0]["bits_per_dim"].published,
    )


def tell(found: Found) -> StudyResult:
    """What an image costs, before and after; the curves and the samples."""
    bands = f" Bands: standard deviation over {found.seeds} training seeds." if found.seeds > 1 else ""
    quantities = ("bits_per_dim", "reconstruction", "kl")
    when = {epoch: f"after epoch {epoch}" if epoch else "before training" for epoch in found.samples}
    return StudyResult(
        name="vae",
        question=QUESTION,
        answer=_answer(found),
        figures={
            "Training and validation: the bound in bits/dim, then its two terms. The KL rises as the model learns to"
            f" use z.{bands}": figures.curves(
                found.curves, columns=found.columns, spread=found.spread, quantities=quantities
            ),
            **{
                f"Samples {when[epoch]}: z is drawn from the prior, then every pixel from p(x|z).": picture
                for epoch, picture in found.samples.items()
            },
        },
        tables=(_table(found),),
    )


def _answer(found: Found) -> str:
    bits, tighter, kl = (found.measured[name] for name in (*list(QUANTITIES)[:2], "kl"))
    gained = bits.mean - tighter.mean
    published = f" Published for these settings: {found.published}." if found.published else ""
    return (
        f"Before training an image costs {number(found.curves['val/bits_per_dim'][0])} bits/dim. After {found.epochs}"
        f" epochs the ELBO puts a test image at {text(bits)} bits/dim; {number(kl.mean)} nats of that encode z. The"
        f" importance-weighted bound with K={found.draws} gives {text(tighter)} bits/dim, {number(abs(gained))}"
        f" {'less' if gained > 0 else 'more'}.{published}"
    )


def _table(found: Found) -> Table:
    beside = {"bits_per_dim": found.published} if found.published else {}
    missing = "" if beside else " No number is published for these settings."
    return Table(
        f"{found.images:,} test images",
        ("quantity", "this run", *["published"] * len(beside)),
        [
            (label, text(found.measured[name]), *[beside.get(name, "")] * len(beside))
            for name, label in QUANTITIES.items()
        ],
        note=f"{meaning(found.seeds)} Importance weighting with K={found.draws} draws of z. {NETS[found.net]},"
        f" D={found.latent_dim}, {found.levels} grey levels, {found.epochs} epochs.{missing}",
    )
