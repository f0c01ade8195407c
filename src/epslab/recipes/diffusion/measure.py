"""The measurements of a trained diffusion model: the bound on its likelihood, and its samples."""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from epslab.data import ImageSet, PointSet
from epslab.errors import UserError
from epslab.evaluation.estimators import Estimated, Kind
from epslab.evaluation.likelihood import evaluate_likelihood
from epslab.generative.diffusion import Diffusion
from epslab.probability.bounds import OnDraws
from epslab.recipes.diffusion.exact import exact_measured
from epslab.recipes.diffusion.pictures import draw_all
from epslab.recipes.diffusion.settings import DiffusionRecipe, Measures
from epslab.recipes.plan import Asked
from epslab.recipes.quality import joined, measure_samples
from epslab.runs import Measured, Run
from epslab.types import Seeds


def measure(
    settings: DiffusionRecipe, model: Diffusion, run: Run, examples: ImageSet | PointSet, asked: Asked
) -> Measured:
    """The bound in nats and bits/dim with its standard error, pictures, and the samples beside held-out examples."""
    draw_all(model, run, examples, asked.seed)
    sample = partial(model.sample, sampler=settings.sampler_for(tuple(examples.shape)), steps=settings.sampling_steps)
    exact = asked.options.exact if isinstance(asked.options, Measures) else 0
    return joined(
        _likelihood(model, examples, asked),
        exact_measured(model, examples, exact, asked) if exact else Measured([]),
        measure_samples(sample, run, examples, asked),
    )


def _likelihood(model: Diffusion, examples: ImageSet | PointSet, asked: Asked) -> Measured:
    if model.predicts == "flow":
        return Measured([])
    draws = asked.options.draws if isinstance(asked.options, Measures) else Measures().draws
    report = evaluate_likelihood(
        model,
        examples,
        {"bound": VariationalBound(len(model.schedule) if draws is None else draws)},
        batch_size=asked.batch_size,
        seed=asked.seed,
        progress=asked.progress,
    )
    return Measured(
        report.measurements(),
        conditions=f"{model.levels} grey levels" if model.of_images else "",
        per_example=report.by_measurement,
    )


@dataclass(frozen=True)
class VariationalBound:
    """Diffusion's bound on log p(x), Ho et al. (2020), eq. 5, for ``evaluate_likelihood``.

    Args:
        draws: Times per example at which the sum over all times is estimated, without bias.
    """

    draws: int
    kind: ClassVar[Kind] = "lower bound"
    stream: ClassVar[str] = "diffusion"
    label: ClassVar[str] = "variational bound"

    def __call__(
        self, model: object, images: Float[Tensor, "n *shape"], *, seeds: Seeds, on_draws: OnDraws
    ) -> Estimated:
        """The bound of each example."""
        if not isinstance(model, Diffusion):
            raise UserError(f"{type(model).__name__} is no diffusion model: choose another estimator, such as Elbo().")
        with torch.no_grad():
            terms = model.terms(images, self.draws, seeds=seeds)
        on_draws(len(images) * self.draws)
        return Estimated(-terms.negative_elbo, terms._asdict())
