"""Flow matching as an objective of the diffusion model, and its samplers, with the exact field for a net."""

import math

import pytest
import torch
from torch import Tensor

from epslab import seeds
from epslab.errors import UserError
from epslab.generative.diffusion import Diffusion, DiffusionObjective, FlowMatchingObjective
from epslab.generative.diffusion.sampling import SAMPLERS
from epslab.probability.schedules import cosine
from epslab.types import Batch, Progress

MEAN, STD = 0.3, 0.5
PROGRESS = Progress(0, 0, 1, 1, True)


def exact(x_t: Tensor, time: Tensor) -> Tensor:
    """E[ε − x_0 given x_t] for N(MEAN, STD²); the net gets 1000·t."""
    t = (time / 1000).view(-1, *[1] * (x_t.ndim - 1)).to(x_t)
    slope = (t - (1 - t) * STD**2) / ((1 - t) ** 2 * STD**2 + t**2)
    return slope * (x_t - (1 - t) * MEAN) - MEAN


def model(*shape: int, predicts: str = "flow") -> Diffusion:
    return Diffusion(exact, cosine(200), shape, predicts=predicts).double()  # type: ignore[arg-type]


def batch(n: int, *shape: int) -> Batch:
    own = seeds.draw(n, seeds.generator(0, "batch"))
    points = MEAN + STD * seeds.noise(own, 7, shape, torch.float64)
    return Batch(points, torch.zeros(n, dtype=torch.int64), own)


def test_the_loss_of_the_exact_field_is_the_least_there_is() -> None:
    """π·s/2 for each dimension (``tests/theory/test_ode_likelihood.py``), summed over them."""
    loss = FlowMatchingObjective(model(2))(batch(30_000, 2), PROGRESS)["loss"]
    assert abs(loss.mean() - 2 * math.pi * STD / 2) < 4 * loss.std() / math.sqrt(len(loss))
    worse = Diffusion(lambda x, t: exact(x, t) + 0.1, cosine(200), (2,), predicts="flow").double()
    more = FlowMatchingObjective(worse)(batch(30_000, 2), PROGRESS)["loss"]
    assert (more - loss).mean().item() == pytest.approx(2 * 0.1**2, abs=4 * (more - loss).std().item() / 173)


def test_the_loss_is_a_function_of_the_example_and_its_seed() -> None:
    objective, whole = FlowMatchingObjective(model(1, 2, 2)), batch(6, 1, 2, 2)
    together = objective(whole, PROGRESS)["loss"]
    assert together.shape == (6,)
    parts = [objective(Batch(*(field[i : i + 2] for field in whole)), PROGRESS)["loss"] for i in (0, 2, 4)]
    torch.testing.assert_close(torch.cat(parts), together, rtol=1e-12, atol=0.0)
    assert set(objective.columns) == {"loss"}


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_draws_from_a_flow(sampler: str) -> None:
    n = 4000
    points = model(1).sample(n, seeds.generator(0, "flow"), sampler=sampler, steps=100)
    slack = 0.02 if sampler in ("ancestral", "euler", "ddim", "euler-ancestral") else 0.003  # first order, second order
    assert abs(points.mean() - MEAN) < 4 * STD / math.sqrt(n) + slack
    assert abs(points.std() - STD) < 4 * STD / math.sqrt(2 * n) + slack


def test_images_from_a_flow_are_clamped() -> None:
    images = model(1, 4, 4).sample(20, seeds.generator(0, "flow"), sampler="heun", steps=10)
    assert images.min() >= 0
    assert images.max() == 1


def test_each_objective_trains_its_own_kind_of_model() -> None:
    with pytest.raises(UserError, match="Flow matching trains a model that predicts 'flow', not 'v'"):
        FlowMatchingObjective(model(2, predicts="v"))
    with pytest.raises(UserError, match="trained by the objective of flow matching"):
        DiffusionObjective(model(2))
