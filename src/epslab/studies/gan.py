"""A generative adversarial network: what it draws as it learns, what its discriminator knows, which loss stalls."""

from collections.abc import Mapping
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from epslab import figures, recipes
from epslab.generative.gan import GAN
from epslab.recipes.gan.measure import collapse_of
from epslab.recipes.gan.pictures import paths
from epslab.recipes.gan.plan import build
from epslab.recipes.gan.settings import GANRecipe
from epslab.report import StudyResult, Table, number
from epslab.runs import Column
from epslab.studies.context import Context
from epslab.studies.discriminators import Optimum, Saturation, optimum, saturation
from epslab.studies.generative import settings_for, trained
from epslab.studies.spread import text

QUESTION = "How do a generator and a discriminator learn from each other, and where do they stall?"

STEPS = (500, 3000)  #: of the discriminator between known laws, at quick and at full scale
SHOWN = (0, 1, 2, 5, 10, 20, 50, 100)  #: steps of the discriminator alone at which the gradients are measured
CURVES = ("discriminator/loss", "discriminator/real", "discriminator/fake", "generator/diversity")
_ROWS, _COLUMNS = 8, 9


@dataclass(frozen=True, eq=False)
class Found:
    """The trained model, and two experiments with its parts."""

    epochs: int  #: of training
    statement: str  #: whether the model has collapsed, a sentence
    curves: Mapping[str, list[float]]  #: the columns of ``metrics.csv``
    columns: Mapping[str, Column]  #: what these columns are
    samples: Mapping[int, bytes]  #: PNG of samples, by epoch
    paths: Float[Tensor, "images c h w"]  #: samples along paths between draws of z, row by row
    optimum: Optimum
    saturation: Saturation


def measure(context: Context) -> Found:
    """Train the model, look at its samples and paths; train a discriminator between known laws, and one alone."""
    settings, run = settings_for(context, "gan"), trained(context, "gan")
    assert isinstance(settings, GANRecipe)
    model: GAN = recipes.load(run)
    parts = recipes.splits(run, context.data_root)
    epochs = sorted({epoch for epoch in (*settings.sample_epochs, settings.epochs) if epoch <= settings.epochs})
    fresh = build(settings, parts.train.image_shape, context.seed)
    assert isinstance(fresh, GAN)
    return Found(
        epochs=settings.epochs,
        statement=collapse_of(model, parts.test, parts.train, min(1000, len(parts.test)), context.seed).statement,
        curves={name: list(values) for name, values in run.metrics().items()},
        columns=dict(run.columns()),
        samples={epoch: (run.figures / f"samples-epoch-{epoch:04d}.png").read_bytes() for epoch in epochs},
        paths=paths(model, context.seed, _ROWS, _COLUMNS),
        optimum=optimum(context.pick(*STEPS), context.seed),
        saturation=saturation(
            fresh, parts.train[:2000].images, SHOWN, settings.rate_for(parts.train.image_shape), context.seed
        ),
    )


def tell(found: Found) -> StudyResult:
    """What was drawn, what the discriminator knows, where the minimax loss stalls."""
    best, stall = found.optimum, found.saturation
    when = {epoch: f"after epoch {epoch}" if epoch else "before training" for epoch in found.samples}
    return StudyResult(
        name="gan",
        question=QUESTION,
        answer=_answer(found),
        figures={
            **{f"Samples {when[epoch]}, from the same noise.": picture for epoch, picture in found.samples.items()},
            "Paths between two draws of z on which every point is as likely as its ends: the images change"
            " gradually.": figures.strips(found.paths, columns=_COLUMNS, ends="two samples at the ends of each row"),
            "Training and validation: the discriminator's loss (log 4 ≈ 1.386 where it cannot tell), what it says of"
            " images and of samples, and the spread of samples beside the data's.": figures.curves(
                found.curves, columns=found.columns, quantities=CURVES
            ),
            f"A discriminator after {best.steps:,} steps between two known laws, p (two normals) and q (one wide"
            " normal), beside the best there is, p/(p + q).": figures.lines(
                best.x, {"trained": best.learnt, "p/(p + q)": best.best}, x_label="x", y_label="D(x)"
            ),
            "The length of the untrained generator's gradient while only the discriminator learns: the surer it is, the"
            " less the minimax loss moves the generator.": figures.lines(
                [step + 1 for step in stall.steps],
                {"non-saturating": list(stall.saved), "minimax": list(stall.saturating)},
                x_label="steps of the discriminator + 1",
                y_label="gradient's norm",
                log_x=True,
                log_y=True,
            ),
        },
        tables=(_known(best), _stalled(stall)),
    )


def _answer(found: Found) -> str:
    best, stall = found.optimum, found.saturation
    shorter = stall.saved[-1] / max(stall.saturating[-1], 1e-30)
    return (
        f"After {found.epochs} epochs: {found.statement} A discriminator trained between two known laws is on average"
        f" {number(best.error)} away from p/(p + q), and the game is then worth {text(best.value)} nats; theory says"
        f" 2·JSD − log 4 = {number(best.limit)}. Early in training the discriminator wins: after"
        f" {stall.steps[-1]} steps alone it takes samples for real with probability {number(stall.fooled[-1])}, and the"
        f" gradient of the minimax loss is {number(shorter)} times shorter than that of −log D(G(z)),"
        " which is why GANs are trained with the latter."
    )


def _known(best: Optimum) -> Table:
    return Table(
        "The discriminator's optimum",
        ("quantity", "trained", "theory"),
        [
            ("E log D(x) + E log(1 − D(G(z))), nats", text(best.value), number(best.limit)),
            ("mean distance from p/(p + q)", number(best.error), "0"),
        ],
        note="Theory: Goodfellow et al. (2014), proposition 1 and theorem 1; the divergence by numerical integration. ±"
        " is the standard error over fresh examples.",
    )


def _stalled(stall: Saturation) -> Table:
    rows = zip(stall.steps, stall.fooled, stall.saved, stall.saturating, strict=True)
    return Table(
        "The generator's gradient while only the discriminator learns",
        ("steps", "D(G(z))", "−log D(G(z))", "log(1 − D(G(z)))"),
        [(step, number(fooled), number(saved), number(lost)) for step, fooled, saved, lost in rows],
        note="The last two columns: norms of the gradient with respect to the untrained generator's weights.",
    )
