"""Two latent dimensions: the whole latent plane can be seen, and its price in bits/dim measured."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from epslab import figures, recipes
from epslab.evaluation.estimate import Estimate
from epslab.generative.vae import VAE, manifold
from epslab.report import StudyResult, Table, number
from epslab.runs import Run, whole_percent
from epslab.studies.context import Context
from epslab.studies.spread import count, estimate, meaning, over_seeds, text
from epslab.types import Images, Labels, Latents

QUESTION = "What does a latent space of two dimensions look like, and what does it cost?"

MOST_CODES = 5000


@dataclass(frozen=True)
class Model:
    """Models with the same number of latent dimensions; estimates are over training seeds."""

    latent_dim: int
    bits: Estimate  #: bits/dim of the ELBO
    kl: Estimate  #: nats
    active: tuple[int, ...]  #: units, one per seed


@dataclass(frozen=True, eq=False)
class Found:
    """Both models, and the latent plane of the narrow one."""

    images: int  #: test images that costs are averaged over
    narrow: Model  #: with D=2
    wide: Model  #: with the course's D
    plane: Float[Tensor, "tiles c h w"]  #: mean images at a grid of codes, [grid² c h w]
    codes: Float[Tensor, "n 2"]  #: posterior means of test images, [n 2]
    labels: Int[Tensor, " n"]  #: their classes, [n]
    classes: tuple[str, ...]  #: the classes' names
    agreement: float  #: share of codes whose nearest neighbour has their class
    chance: float  #: that share for codes placed without regard to class


def measure(context: Context) -> Found:
    """Train with two latent dimensions and with the course's number; measure both, and look at the plane."""
    course = context.recipe()
    narrow = [context.train(context.recipe(latent_dim=2), "manifold", seed) for seed in context.seeds]
    wide = [context.train(course, "vae", seed) for seed in context.seeds]
    test = recipes.splits(narrow[0], context.data_root).test
    shown = test[:MOST_CODES]
    vae = recipes.load(narrow[0])
    with torch.no_grad():
        plane = manifold(vae, context.pick(12, 20))
    codes = _codes(vae, shown.images)
    return Found(
        images=len(test),
        narrow=_measured(narrow, 2, context),
        wide=_measured(wide, course.latent_dim, context),
        plane=plane,
        codes=codes,
        labels=shown.labels,
        classes=shown.classes,
        agreement=neighbours_agree(codes, shown.labels),
        chance=shown.labels.bincount().div(len(shown)).square().sum().item(),
    )


def neighbours_agree(codes: Latents, labels: Labels) -> float:
    """The share of codes whose nearest other code has their label, from 0 to 1; memory grows with 500·n."""
    same = 0
    for first in range(0, len(codes), 500):
        distance = torch.cdist(codes[first : first + 500], codes)
        rows = torch.arange(len(distance))
        distance[rows, first + rows] = torch.inf
        same += int((labels[distance.argmin(1)] == labels[first : first + 500]).sum())
    return same / len(codes)


def _measured(runs: Sequence[Run], latent_dim: int, context: Context) -> Model:
    numbers = [recipes.evaluate(run, data_root=context.data_root, seed=context.seed) for run in runs]
    bits, kl = (over_seeds([estimate(one[name]) for one in numbers]) for name in ("bits_per_dim", "kl"))
    return Model(latent_dim, bits, kl, tuple(int(one["active_units"].value) for one in numbers))


@torch.no_grad()
def _codes(vae: VAE, images: Images) -> Float[Tensor, "n 2"]:
    return torch.cat([vae.encode(images[i : i + 500])[0] for i in range(0, len(images), 500)])


def tell(found: Found) -> StudyResult:
    """Whether codes lie by class, and what two dimensions cost."""
    grid = math.isqrt(len(found.plane))
    quantiles = torch.special.ndtri((torch.arange(grid) + 0.5) / grid).tolist()
    return StudyResult(
        name="manifold",
        question=QUESTION,
        answer=_answer(found),
        figures={
            "The latent plane: mean images (not samples), decoded at the normal quantiles"
            f" (i + ½)/{grid}, so that every tile has the same prior mass.": figures.manifold(
                found.plane, quantiles=quantiles
            ),
            f"Codes (posterior means) of {len(found.codes):,} test images, coloured by class, in the same plane. The"
            " model has never seen a label.": figures.latent_scatter(found.codes, found.labels, found.classes),
        },
        tables=(_table(found),),
    )


def _answer(found: Found) -> str:
    by_class = found.agreement > 2 * found.chance
    narrow, wide = found.narrow.bits, found.wide.bits
    difference = narrow.mean - wide.mean
    return (
        f"{whole_percent(found.agreement)} of test images have a nearest neighbour of their own class; by chance it"
        f" would be {whole_percent(found.chance)}. So codes {'do' if by_class else 'do not'} lie by class, though the"
        f" model has never seen a label. A test image costs {text(narrow)} bits/dim with two dimensions and"
        f" {text(wide)} with D={found.wide.latent_dim}: {number(abs(difference))}"
        f" {'more' if difference > 0 else 'less'} with two."
    )


def _table(found: Found) -> Table:
    models = (found.narrow, found.wide)
    return Table(
        f"{found.images:,} test images",
        ("latent dimensions", "bits/dim", "KL, nats", "active units"),
        [(model.latent_dim, text(model.bits), text(model.kl), count(model.active)) for model in models],
        note=f"Bits/dim of the ELBO. {meaning(len(found.narrow.active))}",
    )
