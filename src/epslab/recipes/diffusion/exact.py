"""The likelihood of a diffusion model by its ODE, for ``epslab evaluate``."""

import torch
from torch import Tensor

from epslab import seeds
from epslab.data import ImageSet, PointSet
from epslab.evaluation.estimate import Estimate
from epslab.evaluation.progress import progress_bar
from epslab.generative.diffusion import Diffusion, OdeLikelihood, log_density, log_probability
from epslab.probability.bounds import bits_per_dim
from epslab.recipes.plan import Asked
from epslab.runs import Measured, Measurement


def exact_measured(model: Diffusion, examples: ImageSet | PointSet, n: int, asked: Asked) -> Measured:
    """The cost of n test examples by the ODE: of images the bound on their grey levels, of points their density.

    The solver's own error stands beside it. Images take one random probe for the trace, points the exact trace.
    """
    chosen = examples.take(min(n, len(examples)), asked.seed)
    own = seeds.of_indices(asked.seed, torch.arange(len(chosen)), "ode")
    costs: list[Tensor] = []
    errors: list[Tensor] = []
    with progress_bar("solving ODEs", len(chosen), model_noun(model), asked.progress) as advance:
        for first in range(0, len(chosen), asked.batch_size):
            index = torch.arange(first, min(first + asked.batch_size, len(chosen)))
            batch = chosen.batch(index)[0].to(model.centre.device)
            found = _solved(model, batch, own[index].to(batch.device))
            costs.append(-found.log_prob.cpu().double())
            errors.append(found.solver_error.cpu().double())
            advance(len(batch))
    cost, error = torch.cat(costs), torch.cat(errors)
    key, unit, name = "nll_ode", "nats", "negative log density by the ODE"
    if model.of_images:
        cost, error = bits_per_dim(cost, model.shape), bits_per_dim(error, model.shape)
        key, unit, name = "bits_per_dim_ode", "bits/dim", "likelihood of dequantised images by the ODE"
    mean = Estimate.of(cost)
    note = "upper bound: dequantised; trace by one probe" if model.of_images else "exact"
    return Measured(
        [
            Measurement(key, name, unit, mean.mean, standard_error=mean.standard_error, better="lower", note=note),
            Measurement("ode_solver_error", "error of the ODE's solver", unit, error.mean().item(), better="lower"),
        ],
        statements=[f"The ODE was solved for {len(chosen):,} test {model_noun(model)}."],
    )


def model_noun(model: Diffusion) -> str:
    """What the model's examples are called."""
    return "images" if model.of_images else "points"


def _solved(model: Diffusion, batch: Tensor, own: Tensor) -> OdeLikelihood:
    if model.of_images:
        return log_probability(model, batch, probes=1, tolerance=1e-3, seeds=own)
    return log_density(model, batch, tolerance=1e-4)
