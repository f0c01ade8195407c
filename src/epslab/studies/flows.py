"""What flows buy: a posterior that bends, a prior that fits the codes, noise that fits the levels, an exact density."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from epslab import figures, recipes, seeds
from epslab.evaluation.dequantised import Dequantised
from epslab.evaluation.estimate import Estimate
from epslab.evaluation.likelihood import evaluate_likelihood
from epslab.recipes import CouplingFlowRecipe
from epslab.report import StudyResult, Table, number
from epslab.studies import banana, generative
from epslab.studies.context import COURSE, Context
from epslab.studies.spread import estimate, text

QUESTION = "What do flows add: to a VAE's posterior and prior, to the noise of dequantisation, and as a model?"

FLOWS: Mapping[str, dict[str, str]] = {
    "normal posterior, normal prior": {},
    "planar posterior": {"posterior": "planar"},
    "radial posterior": {"posterior": "radial"},
    "flow prior": {"prior": "flow"},
}
"""The VAEs that are compared: settings in which they differ from the plain one."""
BANANA: Mapping[str, tuple[int, int]] = {"normal": (1, 150), "planar": (8, 200), "radial": (12, 200)}
"""By posterior: flows one after the other, and updates of Adam, on the posterior that is known."""
LATENT_DIM = 2
QUICK_EPOCHS = 10
"""Of the VAEs at quick scale."""
_DRAWS = 4000
_SHOWN = 1000


@dataclass(frozen=True, eq=False)
class Found:
    """Bounds where log p(x) is known, bounds on images, and bits of the coupling flow."""

    log_p: float  #: nats, log p(x) of the banana
    gaps: Mapping[str, Estimate]  #: by posterior: log p(x) − ELBO there, nats
    drawn: Mapping[str, Float[Tensor, "n 2"]]  #: draws from the exact posterior and from each
    elbo: Mapping[str, Estimate]  #: by VAE: ELBO of test images, nats
    tighter: Mapping[str, Estimate]  #: by VAE: importance-weighted bound, nats
    weights: int  #: K of that bound
    bits: Mapping[str, Estimate]  #: bits/dim of the coupling flow by its noise, and by more draws of it
    levels: int  #: grey levels of the coupling flow
    images: int  #: test images


def measure(context: Context) -> Found:
    """Fit the banana; train the VAEs and the coupling flows; measure them on the test images."""
    posteriors = {kind: banana.fitted(kind, steps, updates) for kind, (steps, updates) in BANANA.items()}
    own, log_p = seeds.draw(_DRAWS, seeds.generator(context.seed, "flows")), banana.log_evidence()
    gaps, drawn = {}, {"exact": banana.exact_draws(_SHOWN, seeds.generator(context.seed, "exact"))}
    with torch.no_grad():
        for kind, vae in posteriors.items():
            gaps[kind] = Estimate.of(log_p + vae.terms(banana.X.expand(_DRAWS, -1), seeds=own).negative_elbo)
            drawn[kind] = vae.posterior.draw(*vae.encode(banana.X.expand(_SHOWN, -1)), 1, own[:_SHOWN])[0][0]
    elbo, tighter, weights = {}, {}, context.pick(20, 100)
    for label, changes in FLOWS.items():
        recipe = context.recipe(latent_dim=LATENT_DIM, epochs=context.pick(QUICK_EPOCHS, COURSE.epochs), **changes)
        name = f"vae-{LATENT_DIM}-" + ("-".join(changes.values()) + "-" + "-".join(changes) if changes else "plain")
        numbers = recipes.evaluate(
            context.train(recipe, name, context.seed),
            data_root=context.data_root,
            seed=context.seed,
            importance_samples=weights,
            generated=0,
        )
        elbo[label], tighter[label] = estimate(numbers["elbo"]), estimate(numbers["importance_weighted"])
    bits, levels, images = _coupling(context)
    return Found(log_p, gaps, drawn, elbo, tighter, weights, bits, levels, images)


def _coupling(context: Context) -> tuple[dict[str, Estimate], int, int]:
    """Bits/dim of the coupling flow with learnt and with uniform noise; its levels, and the number of test images."""
    settings = generative.settings_for(context, "coupling-flow")
    assert isinstance(settings, CouplingFlowRecipe)
    learnt = generative.trained(context, "coupling-flow")
    plain = context.train(replace(settings, dequantisation="uniform"), "coupling-flow-uniform", context.seed)
    test = recipes.splits(learnt, context.data_root).test
    found = {}
    for label, run, draws in (
        ("uniform noise", plain, 1),
        ("learnt noise", learnt, 1),
        ("learnt noise, 10 draws", learnt, 10),
    ):
        report = evaluate_likelihood(recipes.load(run), test, {"bound": Dequantised(draws)}, seed=context.seed)
        found[label] = report.bits_per_dim()
    return found, settings.levels, len(test)


def tell(found: Found) -> StudyResult:
    """What each flow gained, where the answer is known and on images."""
    return StudyResult(
        name="flows",
        question=QUESTION,
        answer=_answer(found),
        figures={
            "A posterior that is known, and what three families make of it: z ~ N(0, I), x = z₂ + z₁² + noise, given"
            " x = 0. A normal must choose a part of the bend or cover it all.": figures.planes(
                found.drawn, axes=("z₁", "z₂"), alt=_answer(found)
            ),
            "What each family misses of log p(x) on that model, in nats: 0 would be the exact posterior.": figures.bars(
                [gap.mean for gap in found.gaps.values()],
                labels=list(found.gaps),
                x_label="posterior",
                y_label="log p(x) − ELBO (nats)",
            ),
        },
        tables=(_vaes(found), _flows(found)),
    )


def _answer(found: Found) -> str:
    gaps = {kind: number(gap.mean) for kind, gap in found.gaps.items()}
    plain, *others = found.elbo
    best = max(others, key=lambda label: found.elbo[label].mean)
    gain = found.elbo[best].mean - found.elbo[plain].mean
    error = math.hypot(found.elbo[best].standard_error, found.elbo[plain].standard_error)
    sure = "" if abs(gain) > 2 * error else f", within twice its standard error of {number(error)}"
    uniform, learnt = found.bits["uniform noise"], found.bits["learnt noise"]
    return (
        f"Where log p(x) is known, the best normal posterior misses {gaps['normal']} nats of it, planar flows miss"
        f" {gaps['planar']} and radial flows {gaps['radial']}. On images, the VAE with {LATENT_DIM} latent dimensions"
        f" and a {best} has an ELBO {number(abs(gain))} nats {'above' if gain > 0 else 'below'} the plain one's{sure}."
        f" A coupling flow needs {text(uniform)} bits/dim with uniform noise and {text(learnt)} with learnt noise."
    )


def _vaes(found: Found) -> Table:
    return Table(
        f"VAEs with {LATENT_DIM} latent dimensions, {found.images:,} test images",
        ("VAE", "ELBO, nats", f"importance-weighted, K={found.weights}, nats", "difference, nats"),
        [
            (label, text(elbo), text(found.tighter[label]), number(found.tighter[label].mean - elbo.mean))
            for label, elbo in found.elbo.items()
        ],
        note="The difference is what the ELBO misses at least: the smaller, the closer q is to the posterior. All are"
        " lower bounds of log p(x).",
    )


def _flows(found: Found) -> Table:
    return Table(
        f"The coupling flow, {found.images:,} test images at {found.levels} grey levels",
        ("dequantisation", "bits/dim"),
        [(label, text(bits)) for label, bits in found.bits.items()],
        note="Upper bounds on −log₂ P(k) per pixel, from an exact density of x = (k + u)/K.",
    )
