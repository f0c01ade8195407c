"""The course's variational autoencoder: how it learns, what it draws, what a test image costs."""

from epslab import figures, recipes
from epslab.report import StudyResult, Table
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


def run(context: Context) -> StudyResult:
    """Train it, measure it on the test images, and show its curves and samples."""
    recipe = context.recipe()
    samples = context.pick(100, 50)
    trained = [context.train(recipe, "vae", seed) for seed in context.seeds]
    found = [
        recipes.evaluate(run, data_root=context.data_root, importance_samples=samples, seed=context.seed)
        for run in trained
    ]
    measured = {name: over_seeds([estimate(one[name]) for one in found]) for name in QUANTITIES}
    curves, spread = curves_over_seeds([run.metrics() for run in trained])
    start, end = curves["val/bits_per_dim"][0], measured["bits_per_dim"]
    tighter = measured["bits_per_dim_importance_weighted"]
    gained = end.mean - tighter.mean
    code = measured["kl"].mean
    c, h, w = trained[0].config["provenance"]["image_shape"]
    net = NETS[recipe.net_for((c, h, w))]
    beside = found[0]["bits_per_dim"].published
    return StudyResult(
        name="vae",
        question=QUESTION,
        answer=(
            f"Before training an image costs {start:.2f} bits/dim; after {recipe.epochs} epochs a test image costs"
            f" {text(end)} by the ELBO, its code {code:.1f} nats of that. The importance-weighted bound, K={samples},"
            f" gives {text(tighter)}, {abs(gained):.3f} {'less' if gained > 0 else 'more'}."
            + (f" Published for these settings: {beside}." if beside else "")
        ),
        figures={
            "Training and validation: the bound in bits/dim, and its two terms apart. KL rises as the code is learnt."
            + (f" Bands: standard deviation over {len(trained)} training seeds." if spread else ""): figures.curves(
                curves, spread=spread, quantities=("bits_per_dim", "reconstruction", "kl")
            ),
            **{
                f"Samples {'before training' if epoch == 0 else f'after epoch {epoch}'}: a code drawn from the prior,"
                " then every pixel drawn given the code.": trained[0].figures / f"samples-epoch-{epoch:04d}.png"
                for epoch in sorted({*recipe.sample_epochs, recipe.epochs})
                if epoch <= recipe.epochs
            },
        },
        tables=(
            Table(
                f"{trained[0].result()['images']:,} test images",
                ("quantity", "this run", *(["published"] if beside else [])),
                [
                    (
                        label,
                        text(measured[name]),
                        *([beside if name == "bits_per_dim" else ""] if beside else []),
                    )
                    for name, label in QUANTITIES.items()
                ],
                note=(
                    f"{meaning(context.seeds)} Importance weighting with K={samples}. {net},"
                    f" D={recipe.latent_dim}, {recipe.levels} grey levels, {recipe.epochs} epochs."
                    + ("" if beside else " No number is published for these settings.")
                ),
            ),
        ),
        runs=tuple(run.folder for run in trained),
    )
