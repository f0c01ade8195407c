"""Langevin dynamics: what its step size does, why it is annealed, and what a denoising autoencoder's score is worth."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from epslab import figures, recipes, seeds
from epslab.classifiers import Proportion
from epslab.data import PointSet, load_examples
from epslab.evaluation.estimate import Estimate
from epslab.evaluation.modes import evaluate_modes
from epslab.generative.denoising import DenoisingAutoencoder
from epslab.generative.langevin import annealed_langevin, langevin
from epslab.nets.modes import evaluating
from epslab.recipes.denoising_autoencoder.pictures import lattice
from epslab.recipes.denoising_autoencoder.settings import DenoisingRecipe
from epslab.report import StudyResult, Table, number
from epslab.runs import whole_percent
from epslab.studies.context import Context
from epslab.studies.generative import trained
from epslab.studies.mixtures import Mixture
from epslab.studies.spread import text

QUESTION = "What does the step size of Langevin dynamics change, and why are its samples drawn down a ladder of noise?"

STEPS = (0.1, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5)  #: h on a standard normal
SETTLED = 60  #: steps of each chain: the variance is within 1e-5 of where it settles
TWO = Mixture(torch.tensor([[-5.0, -5.0], [5.0, 5.0]]), 1.0, (0.2, 0.8))
"""Song & Ermon (2019), section 3.2.2."""
SMALL, LARGE = map(whole_percent, TWO.weights or ())
PLAIN, PLAIN_STEP = 1000, 0.05  #: steps of plain Langevin dynamics on it, and their h
RUNGS, ON_EACH, SHARE = 20, 50, 0.05  #: levels, from 20 to 0.2, as many steps in all, their h over sigma²
RING = {
    "quick": DenoisingRecipe(epochs=20, batch_size=256, learning_rate=5e-3, layers=2, sample_epochs=()),
    "full": DenoisingRecipe(epochs=60, batch_size=256, learning_rate=5e-3),
}
"""The denoising autoencoder of the ring of 8, by scale."""
LEVELS = (1.0, 0.3)  #: sigma at which its score is shown


@dataclass(frozen=True, eq=False)
class Ring:
    """A denoising autoencoder on the ring of 8."""

    points: Float[Tensor, "n 2"]  #: held out
    places: Float[Tensor, "m 2"]  #: where the arrows of the fields begin
    exact: Mapping[str, Float[Tensor, "m 2"]]  #: sigma²·score by level
    learnt: Mapping[str, Float[Tensor, "m 2"]]  #: likewise
    missed: Mapping[str, float]  #: mean squared error of the learnt score over its mean square, at noisy data
    samples: Float[Tensor, "k 2"]
    found: int  #: modes with a good sample
    good: Proportion  #: samples within 3 standard deviations of a mode


@dataclass(frozen=True, eq=False)
class Found:
    """What was measured."""

    chains: int  #: for each step size
    variance: tuple[Estimate, ...]  #: of the chains on a standard normal, at each of ``STEPS``
    drawn: int  #: points of the two modes
    shares: Mapping[str, Proportion]  #: of points in the large mode, by sampler
    points: Mapping[str, Float[Tensor, "some 2"]]  #: some of them
    ring: Ring
    walk: Float[Tensor, "tiles c h w"]  #: chains of images on their way down the ladder
    stops: int  #: images of each chain


def measure(context: Context) -> Found:
    """Measure the three: step sizes on a normal law, two far modes, denoising autoencoders."""
    chains, drawn = context.pick(20_000, 400_000), context.pick(2000, 20_000)
    points = two_modes(drawn, context.seed)
    model: DenoisingAutoencoder = recipes.load(trained(context, "denoising-autoencoder"))
    own = seeds.draw(8, seeds.generator(context.seed, "langevin", "walk"))
    stops = torch.stack(model.walk(own, 9), dim=1)  # [8 9 c h w]
    return Found(
        chains=chains,
        variance=tuple(settled_variance(h, chains, context.seed) for h in STEPS),
        drawn=drawn,
        shares={name: Proportion(int((x.sum(1) > 0).sum()), drawn) for name, x in points.items()},
        points={name: x[:1000] for name, x in points.items()},
        ring=context.once("ring", on_the_ring, context),
        walk=stops.flatten(0, 1).float(),
        stops=stops.shape[1],
    )


def settled_variance(h: float, chains: int, seed: int) -> Estimate:
    """The variance of chains on N(0, 1) with step size h, and its standard error √(2/n)·variance."""
    generator = seeds.generator(seed, "langevin", str(h))
    x = langevin(lambda x: -x, torch.zeros(chains, 1), step=h, steps=SETTLED, generator=generator)
    variance = float(x.double().var())
    return Estimate(variance, variance * math.sqrt(2 / chains), chains)


def exact_variance(h: float) -> float:
    """1/(1 − h/2): where the variance of x ← (1 − h)·x + √(2h)·xi settles."""
    return 1 / (1 - h / 2)


def two_modes(n: int, seed: int) -> dict[str, Float[Tensor, "n 2"]]:
    """Draws of ``TWO``, exact and by its exact score: plain and annealed, from the same start, in as many steps."""
    generator = seeds.generator(seed, "langevin", "two modes")
    start = 16 * torch.rand(n, 2, generator=generator) - 8
    zero = torch.zeros(n)
    sigmas = [20 * 100 ** (-i / (RUNGS - 1)) for i in range(RUNGS)]
    return {
        "exact": TWO.sample(n, generator),
        "plain": langevin(lambda x: TWO.score(x, zero), start, step=PLAIN_STEP, steps=PLAIN, generator=generator),
        "annealed": annealed_langevin(TWO.score, start, sigmas, step=SHARE, steps=ON_EACH, generator=generator),
    }


def on_the_ring(context: Context) -> Ring:
    """Train on the ring, compare the score with the exact one, draw samples."""
    run = replace(context, data="ring").train(RING[context.scale], "denoising-autoencoder-ring", context.seed)
    model: DenoisingAutoencoder = recipes.load(run)
    test = load_examples("ring", "test", context.data_root)
    assert isinstance(test, PointSet)
    assert test.modes is not None
    law = Mixture(test.modes.centres, test.modes.std)
    places = lattice(test.points, 17)
    exact, learnt, missed = {}, {}, {}
    generator = seeds.generator(context.seed, "langevin", "ring")
    with torch.no_grad(), evaluating(model):
        for sigma in LEVELS:
            name, at = f"σ = {number(sigma)}", places.new_full((len(places),), sigma)
            exact[name], learnt[name] = sigma**2 * law.score(places, at), sigma**2 * model.score(places, at)
            noisy = test.points + sigma * torch.randn(test.points.shape, generator=generator)
            every = noisy.new_full((len(noisy),), sigma)
            truth = law.score(noisy, every)
            missed[name] = float((model.score(noisy, every) - truth).square().mean() / truth.square().mean())
    samples = model.sample(2500, generator)
    report = evaluate_modes(samples, test.modes)
    return Ring(test.points[:500], places, exact, learnt, missed, samples[:1000], report.found, report.good)


def tell(found: Found) -> StudyResult:
    """What the step size and the ladder do."""
    law = [exact_variance(h) for h in STEPS]
    measured = ([one.mean for one in found.variance], [2 * one.standard_error for one in found.variance])
    ring = found.ring
    return StudyResult(
        name="langevin",
        question=QUESTION,
        answer=_answer(found),
        figures={
            "Variance of chains on a standard normal against the step size h: it settles at 1/(1 − h/2), not at 1."
            " Bands: two standard errors.": figures.lines(
                STEPS,
                {"measured": measured, "1/(1 − h/2)": law},
                x_label="step size h",
                y_label="variance",
                reference=("of the law itself", 1.0),
            ),
            f"Two modes that hold {SMALL} and {LARGE} of the points, drawn exactly and by Langevin dynamics"
            " with the exact score, from the same uniform start. Circles: three standard deviations.": figures.planes(
                dict(found.points),
                circles=(TWO.centres, 3 * TWO.std),
            ),
            "The score of the ring of 8 smoothed by noise sigma, times sigma²: exact, and by a denoising autoencoder."
            " Arrows point to where denoising moves a point; long ones are shortened.": figures.vector_fields(
                ring.points,
                ring.places,
                {
                    **{f"exact, {name}": arrows for name, arrows in ring.exact.items()},
                    **{f"learnt, {name}": arrows for name, arrows in ring.learnt.items()},
                },
            ),
            "The ring of 8, and samples of the denoising autoencoder by annealed Langevin dynamics.": figures.planes(
                {"data": ring.points, "samples": ring.samples}
            ),
            "Images on their way down the ladder of noise levels, one chain a row: what the denoising autoencoder sees"
            " through the noise; the last column is the samples.": figures.strips(
                found.walk, columns=found.stops, ends="from broad to narrow noise"
            ),
        },
        tables=_tables(found),
    )


def _answer(found: Found) -> str:
    off = [abs(one.mean - exact_variance(h)) / one.standard_error for h, one in zip(STEPS, found.variance, strict=True)]
    largest, ring = found.variance[-1], found.ring
    agrees = max(off) < 4
    return (
        "A step of size h leaves a bias: on a standard normal the variance settles at 1/(1 − h/2), which is"
        f" {number(exact_variance(STEPS[-1]))} at h={STEPS[-1]:g} ({text(largest)} measured); the measured variances"
        f" {'agree with it' if agrees else 'do not all agree with it'} within their errors. Of two far modes with"
        f" {SMALL} and {LARGE} of the points, plain Langevin dynamics puts {found.shares['plain']} into the large one,"
        f" whatever their weights, because no chain crosses between them; annealed down a ladder of noise levels, as"
        f" many steps put {found.shares['annealed']} there. On the ring of 8, samples by a denoising autoencoder's"
        f" score reach {ring.found} modes, and {ring.good} of them lie in one."
    )


def _tables(found: Found) -> tuple[Table, ...]:
    ring = found.ring
    return (
        Table(
            f"Variance of {found.chains:,} chains on a standard normal after {SETTLED} steps",
            ("step size h", "measured", "1/(1 − h/2)"),
            [(h, text(one), exact_variance(h)) for h, one in zip(STEPS, found.variance, strict=True)],
            note="± is the standard error, √(2/n) of the variance. From h = 2 on, chains diverge.",
        ),
        Table(
            f"{found.drawn:,} points of two modes, exact score",
            ("drawn", "in the large mode", "steps"),
            [
                ("independently", str(found.shares["exact"]), ""),
                ("by plain Langevin dynamics", str(found.shares["plain"]), f"{PLAIN:,} with h={PLAIN_STEP:g}"),
                (
                    "annealed",
                    str(found.shares["annealed"]),
                    f"{RUNGS} levels from sigma 20 to 0.2, {ON_EACH} each with h={SHARE:g}·sigma²",
                ),
            ],
            note=f"The large mode holds {LARGE}. Shares with 95 % intervals. Centres (−5, −5) and (5, 5), standard"
            " deviation 1 (Song & Ermon, 2019, section 3.2.2).",
        ),
        Table(
            "Denoising autoencoder on the ring of 8",
            ("quantity", "value"),
            [
                *((f"error of its score at {name}, share of the score's square, %", 100 * value)
                  for name, value in ring.missed.items()),
                ("modes found, of 8", ring.found),
                ("samples within 3 standard deviations of a mode", str(ring.good)),
            ],
            note="The error is averaged over held-out points with noise of that level. Of the data itself, 98.9 % lie"
            " within 3 standard deviations.",
        ),
    )  # fmt: skip
