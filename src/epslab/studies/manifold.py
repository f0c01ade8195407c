"""Two latent dimensions: the whole latent plane can be seen, and its price in bits/dim measured."""

import torch

from epslab import figures, recipes
from epslab.generative.vae import manifold
from epslab.report import StudyResult, Table
from epslab.studies.context import Context
from epslab.studies.spread import count, estimate, meaning, over_seeds, text
from epslab.types import Labels, Latents

QUESTION = "What does a latent space of two dimensions look like, and what does it cost?"

MOST_CODES = 5000


def run(context: Context) -> StudyResult:
    """Train with two latent dimensions and with the course's number, and compare them on the test images."""
    wide = context.recipe()
    trained = {
        2: [context.train(context.recipe(latent_dim=2), "manifold", seed) for seed in context.seeds],
        wide.latent_dim: [context.train(wide, "vae", seed) for seed in context.seeds],
    }
    found = {
        D: [recipes.evaluate(run, data_root=context.data_root, seed=context.seed) for run in runs]
        for D, runs in trained.items()
    }
    bits, rate = (
        {D: over_seeds([estimate(one[name]) for one in measured]) for D, measured in found.items()}
        for name in ("bits_per_dim", "kl")
    )
    grid = context.pick(12, 20)
    vae = recipes.load(trained[2][0])
    test = recipes.splits(trained[2][0], context.data_root).test[:MOST_CODES]
    with torch.no_grad():
        codes = torch.cat([vae.encode(test[i : i + 500].images)[0] for i in range(0, len(test), 500)])
        images = manifold(vae, grid)
    agreement = neighbours_agree(codes, test.labels)
    chance = test.labels.bincount().div(len(test)).square().sum().item()
    reach = torch.special.ndtri(torch.tensor(1 - 0.5 / grid)).item()
    difference = bits[2].mean - bits[wide.latent_dim].mean
    return StudyResult(
        name="manifold",
        question=QUESTION,
        answer=(
            f"{100 * agreement:.0f} % of test images have a nearest neighbour of their own class, by chance it would be"
            f" {100 * chance:.0f} %: codes {'do' if agreement > 2 * chance else 'do not'} lie by class, though the"
            f" model has never seen a label. Two dimensions spend {text(bits[2])} bits/dim on test images against"
            f" {text(bits[wide.latent_dim])} with D={wide.latent_dim}: {abs(difference):.3f}"
            f" {'more' if difference > 0 else 'less'}."
        ),
        figures={
            f"The latent plane: mean images (not samples) decoded at the normal quantiles (i + ½)/{grid}, so that every"
            f" tile has the same prior mass. z₁ runs from left to right, z₂ from top to bottom, from −{reach:.1f} to"
            f" {reach:.1f}.": figures.image_grid(images, columns=grid),
            f"Codes (posterior means) of {len(test):,} test images, by class. The model has never seen a"
            " label.": figures.latent_scatter(codes, test.labels, test.classes),
        },
        tables=(
            Table(
                f"{trained[2][0].result()['images']:,} test images",
                ("latent dimensions", "bits/dim", "KL, nats", "active units"),
                [
                    (
                        D,
                        text(bits[D]),
                        text(rate[D]),
                        count([int(one["active_units"].value) for one in measured]),
                    )
                    for D, measured in found.items()
                ],
                note=f"Bits/dim of the ELBO. {meaning(context.seeds)}",
            ),
        ),
        runs=tuple(run.folder for runs in trained.values() for run in runs),
    )


def neighbours_agree(codes: Latents, labels: Labels) -> float:
    """The share of codes whose nearest other code has their label, from 0 to 1; memory grows with n·500."""
    same = 0
    for first in range(0, len(codes), 500):
        distance = torch.cdist(codes[first : first + 500], codes)
        rows = torch.arange(len(distance))
        distance[rows, first + rows] = torch.inf
        same += int((labels[distance.argmin(1)] == labels[first : first + 500]).sum())
    return same / len(codes)
