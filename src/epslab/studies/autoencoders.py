"""Codes of few numbers: PCA, the linear and the deep autoencoder, and why a plain autoencoder draws nothing."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from epslab import figures, recipes, seeds
from epslab.evaluation.estimate import Estimate
from epslab.evaluation.samples.neighbourhoods import neighbourhoods
from epslab.generative.autoencoder import Autoencoder
from epslab.generative.pca import PCA
from epslab.generative.vae import VAE
from epslab.recipes.autoencoder.settings import AutoencoderRecipe
from epslab.report import StudyResult, Table, number
from epslab.runs import Run, percent
from epslab.studies.context import Context
from epslab.studies.generative import settings_for
from epslab.studies.spread import text
from epslab.types import Images

QUESTION = "How much of an image do a few numbers keep, and can an autoencoder draw new images?"

COMPONENTS = {"quick": (2, 10, 20), "full": (2, 5, 10, 20, 50)}
"""Numbers of components D, by scale; among them the D of the context's VAE."""
LINEAR_EPOCHS = 60
"""Of the linear autoencoder, at any scale: it learns slowly along axes of little variance."""
KINDS = ("PCA", "linear autoencoder", "deep autoencoder")
SOURCES = (
    "decoded codes under a normal law fitted to an autoencoder's codes",
    "means decoded by a VAE from its prior",
    "training images",
)
SHOWN = 8
NEIGHBOURS = 5


class Drawn(NamedTuple):
    """Images that were drawn, compared with held-out images pixel by pixel."""

    precision: Estimate  #: share that lie among held-out images
    coverage: Estimate  #: share of held-out images with one of them near


@dataclass(frozen=True, eq=False)
class Found:
    """What was measured on the test images."""

    images: int
    variance: float  #: of the test images, summed over pixels
    components: tuple[int, ...]
    errors: Mapping[str, tuple[Estimate, ...]]  #: ‖x − x̂‖² by kind, at each of ``components``
    sines: tuple[float, ...]  #: sine of the largest angle between the linear autoencoder's subspace and PCA's
    shown: int  #: D of the pictures
    originals: Images
    reconstructed: Mapping[str, Images]  #: by kind
    drawn: Mapping[str, Drawn]  #: by where the images come from
    samples: Mapping[str, Float[Tensor, "some c h w"]]  #: some of them


def measure(context: Context) -> Found:
    """Fit and train at each D; then draw codes from a normal law fitted to the deep autoencoder's."""
    components = COMPONENTS[context.scale]
    runs = {D: {kind: _train(context, kind, D) for kind in KINDS[1:]} for D in components}
    parts = recipes.splits(runs[components[0]][KINDS[1]], context.data_root)
    train, test = parts.train.images, parts.test.images
    models = {
        D: {"PCA": PCA(D).fit(train), **{k: recipes.load(run) for k, run in own.items()}} for D, own in runs.items()
    }
    errors = {kind: tuple(_error(models[D][kind], test) for D in components) for kind in KINDS}
    shown, latent_dim = components[len(components) // 2], context.recipe().latent_dim
    vae = recipes.load(context.train(context.recipe(), "vae", context.seed))
    deep = models[min(components, key=lambda D: abs(D - latent_dim))][KINDS[2]]
    samples = _samples(deep, vae, train, min(len(test), 1000), context.seed)
    return Found(
        images=len(test),
        variance=float((test - test.mean(0)).double().square().flatten(1).sum(1).mean()),
        components=components,
        errors=errors,
        sines=tuple(sine_of_largest_angle(models[D][KINDS[1]], models[D]["PCA"]) for D in components),
        shown=shown,
        originals=test[:SHOWN],
        reconstructed={kind: _reconstructed(models[shown][kind], test[:SHOWN]) for kind in KINDS},
        drawn={name: _compared(test, x) for name, x in samples.items()},
        samples={name: x[:30] for name, x in samples.items()},
    )


def _train(context: Context, kind: str, D: int) -> Run:
    settings = settings_for(context, "autoencoder")
    assert isinstance(settings, AutoencoderRecipe)
    net = replace(settings, latent_dim=D)
    if kind == KINDS[1]:
        linear = replace(net, net="linear", epochs=LINEAR_EPOCHS, learning_rate=None)
        return context.train(linear, f"autoencoder-linear-{D}", context.seed)
    return context.train(net, f"autoencoder-{D}", context.seed)


@torch.no_grad()
def _reconstructed(model: PCA | Autoencoder, images: Images) -> Images:
    return torch.cat([model.reconstruct(images[i : i + 500]) for i in range(0, len(images), 500)]).float()


def _error(model: PCA | Autoencoder, images: Images) -> Estimate:
    """‖x − x̂‖² with its standard error over images."""
    return Estimate.of((_reconstructed(model, images) - images).double().square().flatten(1).sum(1))


def sine_of_largest_angle(model: Autoencoder, pca: PCA) -> float:
    """Between the subspace that a linear decoder spans and PCA's: 0 where they are one, 1 at a right angle."""
    weight = next(layer.weight for layer in model.decoder.modules() if isinstance(layer, nn.Linear))  # type: ignore[attr-defined]
    U, V = torch.linalg.qr(weight.detach().double()).Q, pca.axes.double()
    return float(torch.linalg.matrix_norm(V - U @ (U.T @ V), ord=2))


@torch.no_grad()
def _samples(deep: Autoencoder, vae: VAE, train: Images, n: int, seed: int) -> dict[str, Float[Tensor, "k c h w"]]:
    """N images: decoded from codes under a fitted normal law, a VAE's from its prior, and training images."""
    codes = torch.cat([deep.encode(train[i : i + 500]) for i in range(0, len(train), 500)]).double()
    centred = codes - codes.mean(0)
    # The Cholesky factor of the triangle of a QR decomposition: a covariance without full rank has one, too.
    spread = torch.linalg.qr(centred / len(codes) ** 0.5, mode="r").R
    eps = torch.randn(n, len(spread), dtype=torch.float64, generator=seeds.generator(seed, "autoencoders", "codes"))
    z = codes.mean(0) + eps @ spread
    return {
        SOURCES[0]: deep.decode(z.to(train)).clamp(0, 1),
        SOURCES[1]: vae.sample_means(n, seeds.generator(seed, "autoencoders", "vae")),
        SOURCES[2]: train[:n],
    }


def _compared(data: Images, samples: Images) -> Drawn:
    found = neighbourhoods(data.flatten(1).double(), samples.flatten(1).double(), NEIGHBOURS)
    return Drawn(Estimate.of(found.precision), Estimate.of(found.coverage))


def tell(found: Found) -> StudyResult:
    """What D components keep, and what decoded random codes look like."""
    D = found.shown
    return StudyResult(
        name="autoencoders",
        question=QUESTION,
        answer=_answer(found),
        figures={
            "Squared error of reconstructed test images against the number of components D. Bands: two standard"
            " errors.": figures.lines(
                found.components,
                {
                    kind: ([one.mean for one in own], [2 * one.standard_error for one in own])
                    for kind, own in found.errors.items()
                },
                x_label="components D",
                y_label="squared error ‖x − x̂‖²",
                log_x=True,
                log_y=True,
            ),
            f"Test images, and their reconstructions from D={D} components.": figures.strips(
                torch.cat([found.originals, *found.reconstructed.values()]).clamp(0, 1),
                columns=len(found.originals),
                row_labels=["original", *(kind.partition(" ")[0] for kind in found.reconstructed)],
            ),
            **{
                f"{name[0].upper()}{name[1:]}.": figures.image_grid(samples, columns=10)
                for name, samples in found.samples.items()
            },
        },
        tables=(_table(found), _table_of_draws(found)),
    )


def _answer(found: Found) -> str:
    i = found.components.index(found.shown)
    pca, linear, deep = (found.errors[kind][i] for kind in KINDS)
    kept = [1 - one.mean / found.variance for one in (pca, linear, deep)]
    ours, vae, real = (found.drawn[name] for name in SOURCES)
    above = linear.mean / pca.mean - 1
    return (
        f"With D={found.shown} components PCA keeps {percent(kept[0])} of the test images' variance, the deep"
        f" autoencoder {percent(kept[2])}. The linear one can only find PCA's subspace: it keeps {percent(kept[1])},"
        f" its error is {percent(abs(above))} {'above' if above >= 0 else 'below'} PCA's, and the sine of the largest"
        f" angle between the two subspaces is {number(found.sines[i])}. A plain autoencoder has no"
        " samples, because training gives its codes no law to draw from: images decoded from a normal law fitted to"
        f" them have {_beside(ours)}; a VAE's, whose codes are trained to be normal, {_beside(vae)}; training images"
        f" {_beside(real)}."
    )


def _beside(drawn: Drawn) -> str:
    return f"precision {percent(drawn.precision.mean)} and coverage {percent(drawn.coverage.mean)}"


def _table(found: Found) -> Table:
    return Table(
        f"Squared error of {found.images:,} test images",
        ("D", *KINDS, "largest angle, its sine"),
        [(D, *(text(found.errors[kind][i]) for kind in KINDS), found.sines[i]) for i, D in enumerate(found.components)],
        note=f"‖x − x̂‖² summed over pixels, ± its standard error over images; their variance is"
        f" {number(found.variance)}. The angle lies between the linear autoencoder's subspace and PCA's.",
    )


def _table_of_draws(found: Found) -> Table:
    rows = [(name, *(percent(one.mean) for one in drawn)) for name, drawn in found.drawn.items()]
    return Table(
        f"Images drawn, beside {found.images:,} test images",
        ("images", "precision", "coverage"),
        rows,
        note=f"Pixel by pixel, k={NEIGHBOURS} neighbours. Precision: the share that lie no further from some test image"
        " than its k-th nearest neighbour does (Kynkäänniemi et al., 2019). Coverage: the share of test images with one"
        " of them as near (Naeem et al., 2020).",
    )
