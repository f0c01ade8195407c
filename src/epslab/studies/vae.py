"""The course's variational autoencoder: how it learns, what it draws, what a test image costs."""

from collections.abc import Mapping
from dataclasses import dataclass

from epslab import figures, recipes
from epslab.evaluation.estimate import Estimate
from epslab.report import StudyResult, Table
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
    measured: Mapping[str, tuple[Estimate, ...]]  #: test means of ``QUANTITIES``, one per seed
    metrics: tuple[Mapping[str, tuple[float, ...]], ...]  #: the columns of each run's ``metrics.csv``
    columns: Mapping[str, Column]  #: what these columns are
    samples: Mapping[int, bytes]  #: PNG of the first seed's samples, by epoch
    published: str  #: what others report for the same settings, with sources; may be empty

    def mean(self, quantity: str) -> Estimate:
        """A quantity over training seeds."""
        return over_seeds(self.measured[quantity])


def measure(context: Context) -> Found:
    """Train one model for each seed and measure it on the test images."""
    recipe = context.recipe()
    draws = context.pick(100, 50)
    runs = [context.train(recipe, "vae", seed) for seed in context.seeds]
    numbers = [
        recipes.evaluate(run, data_root=context.data_root, importance_samples=draws, seed=context.seed) for run in runs
    ]
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
        measured={name: tuple(estimate(one[name]) for one in numbers) for name in QUANTITIES},
        metrics=tuple({name: tuple(column) for name, column in run.metrics().items()} for run in runs),
        columns=dict(first.columns()),
        samples={epoch: (first.figures / f"samples-epoch-{epoch:04d}.png").read_bytes() for epoch in epochs},
        published=numbers[0]["bits_per_dim"].published,
    )


def tell(found: Found) -> StudyResult:
    """What an image costs, before and after; the curves and the samples."""
    curves, spread = curves_over_seeds(found.metrics)
    return StudyResult(
        name="vae",
        question=QUESTION,
        answer=" ".join([_cost(found, before=curves["val/bits_per_dim"][0]), _tighter(found), *_elsewhere(found)]),
        figures={
            _caption_of_curves(len(found.metrics)): figures.curves(
                curves, columns=found.columns, spread=spread, quantities=("bits_per_dim", "reconstruction", "kl")
            ),
            **{_caption_of_samples(epoch): picture for epoch, picture in found.samples.items()},
        },
        tables=(_table(found),),
    )


def _cost(found: Found, before: float) -> str:
    return (
        f"Before training an image costs {before:.2f} bits/dim. After {found.epochs} epochs the ELBO puts a test image"
        f" at {text(found.mean('bits_per_dim'))} bits/dim; {found.mean('kl').mean:.1f} nats of that encode z."
    )


def _tighter(found: Found) -> str:
    tighter = found.mean("bits_per_dim_importance_weighted")
    gained = found.mean("bits_per_dim").mean - tighter.mean
    return (
        f"The importance-weighted bound with K={found.draws} gives {text(tighter)} bits/dim,"
        f" {abs(gained):.3f} {'less' if gained > 0 else 'more'}."
    )


def _elsewhere(found: Found) -> list[str]:
    return [f"Published for these settings: {found.published}."] if found.published else []


def _caption_of_curves(seeds: int) -> str:
    bands = f" Bands: standard deviation over {seeds} training seeds." if seeds > 1 else ""
    return (
        "Training and validation: the bound in bits/dim, then its two terms. The KL rises as the model learns to use z."
        + bands
    )


def _caption_of_samples(epoch: int) -> str:
    when = f"after epoch {epoch}" if epoch else "before training"
    return f"Samples {when}: z is drawn from the prior, then every pixel from p(x|z)."


def _table(found: Found) -> Table:
    columns: tuple[str, ...] = ("quantity", "this run")
    rows = [(label, text(found.mean(name))) for name, label in QUANTITIES.items()]
    settings = f"{NETS[found.net]}, D={found.latent_dim}, {found.levels} grey levels, {found.epochs} epochs."
    note = f"{meaning(len(found.metrics))} Importance weighting with K={found.draws} draws of z. {settings}"
    if not found.published:
        return Table(
            f"{found.images:,} test images", columns, rows, f"{note} No number is published for these settings."
        )
    beside = {QUANTITIES["bits_per_dim"]: found.published}
    return Table(
        f"{found.images:,} test images", (*columns, "published"), [(*row, beside.get(row[0], "")) for row in rows], note
    )
