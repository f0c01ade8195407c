"""How far steps go in diffusion: every sampler at the same cost, where the path is known and on a trained model."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from epslab import figures, recipes, seeds
from epslab.evaluation.estimate import Estimate
from epslab.evaluation.samples import ClassifierFeatures, evaluate_samples
from epslab.generative.diffusion import Diffusion
from epslab.generative.samplers import dpm_solver_2m, euler, heun, karras
from epslab.recipes.sample_quality import as_bytes
from epslab.report import StudyResult, Table, number
from epslab.studies import classifiers, generative
from epslab.studies.context import Context
from epslab.studies.spread import text
from epslab.training import Machine

QUESTION = "How many steps does a diffusion model need, and which sampler makes the most of them?"

EVALUATIONS = {"quick": (5, 9, 19), "full": (5, 9, 19, 49)}
"""Calls of the net for one sample, by scale; odd, because Heun's method takes 2n − 1 for n steps."""
SAMPLERS: Mapping[str, str] = {
    "ancestral": "DDPM",
    "euler-ancestral": "Euler ancestral",
    "ddim": "DDIM",
    "euler": "Euler",
    "heun": "Heun",
    "dpm-solver-2m": "DPM-Solver++",
}
"""Samplers of the model, and what a table calls them; the first two add noise on the way."""
SOLVERS: Mapping[str, tuple[Callable[..., Tensor], int]] = {
    "Euler": (euler, 1),
    "Heun": (heun, 2),
    "DPM-Solver++ (2M)": (dpm_solver_2m, 2),
}
"""Solvers of the probability-flow ODE and their order in theory."""
PATH = (9, 19, 39, 79, 159, 319, 639)  #: evaluations on the path that is known
STD, NOISIEST, CLEANEST = 0.5, 80.0, 0.01  #: of the normal law, and the noise levels between which it is followed
SHOWN = 2  #: samples of each kind in the picture


@dataclass(frozen=True, eq=False)
class Found:
    """Errors on the known path, and samples of the trained model."""

    errors: Mapping[str, tuple[float, ...]]  #: by solver: relative error at the end, for each of ``PATH``
    distance: Mapping[str, tuple[Estimate, ...]]  #: by sampler: kernel distance, for each of ``evaluations``
    evaluations: tuple[int, ...]
    every: Estimate | None  #: kernel distance of the ancestral sampler at all T steps; None: not measured
    steps: int  #: T
    real: Estimate  #: kernel distance of as many training images
    images: int  #: samples of each, and held-out images
    shown: Float[Tensor, "k c h w"]  #: samples from the same noise: by sampler, by evaluations, ``SHOWN`` each

    def order(self, solver: str) -> float:
        """The slope of log error against log step, from the two finest grids."""
        coarse, fine = self.errors[solver][-2:]
        return math.log(coarse / fine) / math.log(steps_for(solver, PATH[-1]) / steps_for(solver, PATH[-2]))


def steps_for(sampler: str, evaluations: int) -> int:
    """Steps that cost this many evaluations of the net."""
    return (evaluations + 1) // 2 if sampler.lower() == "heun" else evaluations


def measure(context: Context) -> Found:
    """Follow the known path, then draw from the trained model."""
    errors = {name: tuple(path_error(name, evaluations) for evaluations in PATH) for name in SOLVERS}
    run = generative.trained(context, "diffusion")
    model: Diffusion = recipes.load(run).to(Machine(context.accelerator).device)
    # The features are those of the classifier that other studies attack.
    classifier = context.train(
        context.pick(classifiers.QUICK, classifiers.FULL)["small-cnn"], "small-cnn", context.seed
    )
    features = ClassifierFeatures(recipes.load(classifier), "the studies' small CNN")
    parts = recipes.splits(run, context.data_root)
    n = min(context.pick(200, 2000), len(parts.test), len(parts.train))
    held_out = parts.test.take(n, context.seed)

    def distance(samples: Tensor) -> Estimate:
        return evaluate_samples(samples, held_out, features, seed=context.seed)["kernel_distance"]

    def drawn(sampler: str, steps: int | None) -> Tensor:
        g = seeds.generator(context.seed, "diffusion")  # the same noise for all
        return as_bytes(model.sample(n, g, sampler=sampler, steps=steps).cpu())

    steps = len(model.schedule)
    evaluations = tuple(sorted({min(count, steps) for count in EVALUATIONS[context.scale]}))
    samples = {name: [drawn(name, steps_for(name, count)) for count in evaluations] for name in SAMPLERS}
    return Found(
        errors=errors,
        distance={name: tuple(distance(own) for own in each) for name, each in samples.items()},
        evaluations=evaluations,
        every=None if context.scale == "quick" else distance(drawn("ancestral", steps)),
        steps=steps,
        real=distance(parts.train.take(n, context.seed).images),
        images=n,
        shown=torch.cat([own[:SHOWN] for each in samples.values() for own in each]),
    )


def path_error(solver: str, evaluations: int) -> float:
    """The relative error with which a solver follows N(0, STD²) from the noisiest level to the cleanest.

    There D(x; sigma) = x·s²/(s² + sigma²), and x(sigma) is proportional to √(s² + sigma²).
    """
    grid = karras(steps_for(solver, evaluations) + 1, CLEANEST, NOISIEST)[:-1]
    start = torch.full((1, 1), NOISIEST, dtype=torch.float64)
    end = SOLVERS[solver][0](lambda x, sigma: x * STD**2 / (STD**2 + sigma[:, None] ** 2), start, grid)
    exact = NOISIEST * math.sqrt((STD**2 + CLEANEST**2) / (STD**2 + NOISIEST**2))
    return abs(end.item() / exact - 1)


def tell(found: Found) -> StudyResult:
    """Where steps stop to matter, and for whom."""
    columns = len(found.evaluations) * SHOWN
    counts = ", ".join(map(str, found.evaluations))
    return StudyResult(
        name="diffusion",
        question=QUESTION,
        answer=_answer(found),
        figures={
            f"Samples of the trained model after {counts} evaluations of the net, {SHOWN} of each from left to right;"
            " every row starts from the same noise.": figures.strips(
                found.shown, columns=columns, row_labels=list(SAMPLERS.values())
            ),
            "Kernel distance to held-out images against the cost of a sample; the lower the better. The dashed line is"
            " that of training images.": figures.lines(
                found.evaluations,
                {
                    label: ([e.mean for e in found.distance[name]], [e.standard_error for e in found.distance[name]])
                    for name, label in SAMPLERS.items()
                },
                x_label="evaluations of the net",
                y_label="kernel distance",
                log_x=True,
                reference=("training images", found.real.mean),
            ),
            "Where the path is known, the error falls with the order of the method: a straight line of slope 1 or 2 on"
            " these scales.": figures.lines(
                PATH,
                found.errors,
                x_label="evaluations",
                y_label="relative error",
                log_x=True,
                log_y=True,
            ),
        },
        tables=(_distances(found), _orders(found)),
    )


def _answer(found: Found) -> str:
    fewest, most = found.evaluations[0], found.evaluations[-1]
    first, last = (min(SAMPLERS, key=lambda name: found.distance[name][i].mean) for i in (0, -1))
    orders = ", ".join(f"{solver} {number(found.order(solver))}" for solver in SOLVERS)
    return (
        f"At {fewest} evaluations of the net {SAMPLERS[first]} is nearest to held-out images (kernel distance"
        f" {text(found.distance[first][0])}), at {most} {SAMPLERS[last]} ({text(found.distance[last][-1])}); training"
        f" images reach {text(found.real)}. {_enough(found)} On a normal law, whose path is known, the measured orders"
        f" are: {orders}."
    )


def _enough(found: Found) -> str:
    """From where on more evaluations change less than the error of the estimate."""
    best = [
        min((own[i] for own in found.distance.values()), key=lambda e: e.mean) for i in range(len(found.evaluations))
    ]
    enough = next(
        count
        for count, here in zip(found.evaluations, best, strict=True)
        if here.mean - best[-1].mean < 2 * math.hypot(here.standard_error, best[-1].standard_error)
    )
    if enough == found.evaluations[-1]:
        return "Even the last of them still improve the best sampler."
    return f"With the best sampler more than {enough} evaluations gain nothing that {found.images:,} samples can show."


def _distances(found: Found) -> Table:
    every = "" if found.every is None else f" DDPM at all {found.steps:,} steps: {text(found.every)}."
    return Table(
        f"Kernel distance of {found.images:,} samples to as many held-out images",
        ("sampler", *(f"{count} evaluations" for count in found.evaluations)),
        [(label, *(text(e) for e in found.distance[name])) for name, label in SAMPLERS.items()],
        note="Between features of the studies' small CNN; ± is the standard error. Training images:"
        f" {text(found.real)}.{every} Heun's method evaluates the net twice a step. DDPM and DDIM"
        " visit equally spaced times, the others the noise levels of Karras et al. (2022).",
    )


def _orders(found: Found) -> Table:
    return Table(
        "Order of convergence on a normal law",
        ("solver", "order in theory", "order measured", f"error after {PATH[0]} evaluations", f"after {PATH[-1]}"),
        [
            (solver, order, found.order(solver), found.errors[solver][0], found.errors[solver][-1])
            for solver, (_, order) in SOLVERS.items()
        ],
        note=f"N(0, {number(STD)}²) from noise {number(NOISIEST)} to {number(CLEANEST)} on the grid of Karras et al."
        " (2022); relative error at the end, order from the two finest grids.",
    )
