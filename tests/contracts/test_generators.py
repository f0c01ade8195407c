"""What every generative model keeps to: its samples, its objectives, its densities."""

import math
from typing import Any

import pytest
import torch
from torch import nn

from epslab import seeds
from epslab.errors import UserError
from epslab.types import Batch, Progress

from .generators import CASES, Case, Shape, examples

SHAPED = [
    pytest.param(case, shape, id=f"{case.name}-{'x'.join(map(str, shape))}") for case in CASES for shape in case.shapes
]
DRAWN = [each for each in SHAPED if each.values[0].draws]  # type: ignore[attr-defined]
DENSE = [each for each in SHAPED if each.values[0].densities]  # type: ignore[attr-defined]


def generator(seed: int = 0) -> torch.Generator:
    return seeds.generator(seed, "contract")


def state(model: nn.Module) -> list[Any]:
    """What sampling must leave alone, in plain values."""
    values = {name: value.tolist() for name, value in model.state_dict().items()}
    gradients = [(p.requires_grad, None if p.grad is None else p.grad.tolist()) for p in model.parameters()]
    return [values, gradients, [module.training for module in model.modules()]]


@pytest.mark.parametrize(("case", "shape"), DRAWN)
def test_samples_are_like_the_data(case: Case, shape: Shape) -> None:
    drawn = case.model(shape).sample(6, generator())
    assert drawn.shape == (6, *shape)
    assert drawn.dtype == torch.float32
    assert drawn.isfinite().all()
    assert not drawn.requires_grad
    assert not torch.equal(drawn[0], drawn[1])
    if len(shape) == 3:
        assert drawn.min() >= 0
        assert drawn.max() <= 1


@pytest.mark.parametrize(("case", "shape"), DRAWN)
def test_a_sample_depends_on_the_generator_alone(case: Case, shape: Shape) -> None:
    """Not on the batch: five of ten, or three and then seven, are the ten; and another generator gives others."""
    model = case.model(shape)
    ten = model.sample(10, generator())
    assert torch.equal(model.sample(10, generator()), ten)
    assert not torch.equal(model.sample(10, generator(1)), ten)
    torch.testing.assert_close(model.sample(5, generator()), ten[:5], atol=case.atol, rtol=1e-5)
    one = generator()
    parts = torch.cat([model.sample(3, one), model.sample(7, one)])
    torch.testing.assert_close(parts, ten, atol=case.atol, rtol=1e-5)


@pytest.mark.parametrize(("case", "shape"), DRAWN)
@pytest.mark.parametrize("training", [True, False])
def test_sampling_leaves_the_model_and_the_generators_as_they_were(case: Case, shape: Shape, training: bool) -> None:
    model = case.model(shape).train(training)
    *_, last = model.modules()
    last.training = not training  # a part in another mode than the whole
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    before, globally = state(model), torch.get_rng_state()
    drawn = model.sample(4, generator())
    assert state(model) == before
    assert torch.equal(torch.get_rng_state(), globally)
    assert torch.is_grad_enabled()
    assert torch.equal(model.eval().sample(4, generator()), drawn)  # it is drawn from as it is used


@pytest.mark.parametrize(("case", "shape"), DRAWN)
def test_weights_are_all_that_a_sample_depends_on(case: Case, shape: Shape) -> None:
    """Loaded into a model that was built by another seed, they draw the same bits."""
    model, other = case.model(shape), case.plan(shape, seed=1).model
    other.load_state_dict(model.state_dict())
    assert torch.equal(other.sample(3, generator()), model.sample(3, generator()))


@pytest.mark.parametrize(("case", "shape"), DRAWN)
def test_without_a_generator_torchs_own_is_used_and_moves_on(case: Case, shape: Shape) -> None:
    model = case.model(shape)
    with torch.random.fork_rng():
        start = torch.get_rng_state()
        first, second = model.sample(3), model.sample(3)
        assert not torch.equal(first, second)
        torch.set_rng_state(start)
        assert torch.equal(model.sample(3), first)


@pytest.mark.parametrize(("case", "shape"), SHAPED)
def test_objectives_are_per_example_and_reach_every_weight(case: Case, shape: Shape) -> None:
    """One number per example, no weight without a gradient, and noise that is a function of the examples' seeds."""
    plan = case.plan(shape)
    shaken = case.model(shape)
    plan.model.load_state_dict(shaken.state_dict())
    batch = batch_of(shape, 6)
    for training in (True, False):
        plan.model.train(training)
        for name, turn in case.turns(plan).items():
            globally = torch.get_rng_state()
            values = turn.objective(batch, Progress(1, 7, 5, 2, training))
            assert torch.equal(torch.get_rng_state(), globally)
            assert {key: value.shape for key, value in values.items()} == dict.fromkeys(values, (6,))
            assert all(value.isfinite().all() for value in values.values())
            assert set(getattr(turn.objective, "columns", {})) <= {*values}
            values["loss"].sum().backward()
            silent = [key for key, p in turn.module.named_parameters() if p.requires_grad and not moved(p)]
            assert not silent, f"turn {name!r} trains nothing in {silent}"
            plan.model.zero_grad()


def moved(parameter: nn.Parameter) -> bool:
    return parameter.grad is not None and bool(parameter.grad.isfinite().all()) and bool(parameter.grad.any())


def batch_of(shape: Shape, n: int) -> Batch:
    values, labels = examples(n, shape).batch(torch.arange(n))
    return Batch(values, labels, seeds.of_indices(0, torch.arange(n)))


@pytest.mark.parametrize(("case", "shape"), DENSE)
def test_densities_are_per_example(case: Case, shape: Shape) -> None:
    """An example's number does not depend on the batch around it, whose order or size it has."""
    model, batch = case.model(shape).eval(), batch_of(shape, 6)
    for name, density in case.densities:
        with torch.no_grad():
            found = density(model, batch.examples, batch.seeds)
            some = torch.tensor([4, 1])
            apart = density(model, batch.examples[some], batch.seeds[some])
        assert found.shape == (6,), name
        assert found.dtype == torch.float32
        assert found.isfinite().all()
        torch.testing.assert_close(apart, found[some], atol=1e-3, rtol=1e-5)


@pytest.mark.parametrize(("case", "shape"), DENSE)
def test_nan_is_never_dropped(case: Case, shape: Shape) -> None:
    """One broken example: its own density is NaN, or it is refused; the others keep theirs."""
    model, batch = case.model(shape).eval(), batch_of(shape, 4)
    broken = batch.examples.clone()
    broken[2][(0,) * len(shape)] = math.nan
    for name, density in case.densities:
        with torch.no_grad():
            found = density(model, batch.examples, batch.seeds)
            try:
                after = density(model, broken, batch.seeds)
            except UserError:
                continue
        assert after[2].isnan(), name
        others = torch.tensor([0, 1, 3])
        torch.testing.assert_close(after[others], found[others], atol=1e-3, rtol=1e-5)
