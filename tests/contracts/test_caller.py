"""What the caller handed over comes back as it was, also when the model raises in the middle."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from epslab import seeds
from epslab.seeds import generator

from .attacks import Case
from .models import Classifier, RefusalError, Watched, classifier, fail_at, images, labels_for, predicted


def in_use(raising_at: int | None = None) -> Classifier:
    """A model in the middle of something: mixed modes, a frozen part, gradients on some parameters."""
    model = classifier()
    model.train()
    model.dropout.eval()
    model.features[2].eval()
    model.features[0].bias.requires_grad_(False)
    model.head.weight.grad = torch.full_like(model.head.weight, 0.25)
    model.features[0].bias.grad = torch.full_like(model.features[0].bias, -1.0)
    if raising_at is not None:
        fail_at(model, raising_at)
    return model


def state(model: nn.Module) -> list[object]:
    """Everything of a model that an attack might leave changed, in a form to compare."""
    return [
        [(name, module.training) for name, module in model.named_modules()],
        [(name, p.requires_grad, None if p.grad is None else p.grad.tolist()) for name, p in model.named_parameters()],
        [(name, values.dtype, values.tolist()) for name, values in model.state_dict().items()],
        [(name, id(p), p._version) for name, p in [*model.named_parameters(), *model.named_buffers()]],
    ]


@contextmanager
def watched_generators() -> Iterator[None]:
    """Fail if torch's or numpy's own generator has moved; Python's is watched below, without the checks of types."""
    before = torch.get_rng_state(), np.random.get_state()  # noqa: NPY002
    yield
    after = torch.get_rng_state(), np.random.get_state()  # noqa: NPY002
    assert torch.equal(before[0], after[0])
    assert before[1][0] == after[1][0]
    assert (before[1][1] == after[1][1]).all()
    assert before[1][2:] == after[1][2:]


@pytest.mark.parametrize("given", ["generator", "seeds"])
def test_the_model_and_the_generators_are_left_as_they_were(case: Case, given: str) -> None:
    model, x = in_use(), images()
    y = labels_for(classifier(), x)
    before = state(model)
    noise = {"generator": {"generator": generator(0)}, "seeds": {"seeds": torch.arange(8)}}[given]
    with watched_generators():
        case.attack(model, x, y, **noise)
    assert state(model) == before


def test_without_a_generator_torch_s_default_one_moves_on(case: Case) -> None:
    """By one seed per image, whatever the model draws inside; and two calls draw different noise."""
    model, x = in_use(), images()
    y = labels_for(classifier(), x)
    before = state(model)

    def noisy(points: Tensor) -> Tensor:
        logits: Tensor = classifier()(points + 0.0 * torch.rand_like(points))
        return logits

    with torch.random.fork_rng():
        start = torch.get_rng_state()
        own = seeds.draw(len(x))
        after = torch.get_rng_state()
        for asked in (model, noisy):
            torch.set_rng_state(start)
            found = case.attack(asked, x, y)
            assert torch.equal(torch.get_rng_state(), after)
            assert torch.equal(found.images, case.attack(asked, x, y, seeds=own).images)
        if case.name in ("pgd-linf", "random-l2", "apgd-l1", "restarts"):
            assert not torch.equal(case.attack(model, x, y).images, found.images)
    assert state(model) == before


def test_the_inputs_are_left_as_they_were(case: Case) -> None:
    model, x = classifier(), images().requires_grad_()
    y, own = labels_for(model, x), torch.arange(8)
    copies, versions = [part.detach().clone() for part in (x, y, own)], [part._version for part in (x, y, own)]
    result = case.attack(model, x, y, seeds=own)
    assert all(torch.equal(part, copy) for part, copy in zip((x, y, own), copies, strict=True))
    assert [part._version for part in (x, y, own)] == versions
    assert x.grad is None
    result.images.zero_()  # the result is the caller's to change
    assert torch.equal(x, copies[0])


def test_all_is_left_as_it_was_when_the_model_raises(case: Case) -> None:
    x, calls = images(), []
    y = labels_for(classifier(), x)
    counting = in_use()
    counting.register_forward_pre_hook(lambda *_: calls.append(1))
    case.attack(counting, x, y, seeds=torch.arange(8))
    for call in range(1, min(len(calls), 6) + 1):
        model = in_use(raising_at=call)
        before, rows = state(model), x.clone()
        with watched_generators(), pytest.raises(RefusalError):
            case.attack(model, rows, y, generator=generator(0))
        assert state(model) == before
        assert torch.equal(rows, x)
        assert torch.is_grad_enabled()
        assert not torch.is_inference_mode_enabled()


def test_what_the_model_draws_itself_is_not_missed_outside(case: Case) -> None:
    model, x = classifier(), images()

    def noisy(points: Tensor) -> Tensor:
        logits: Tensor = model(points + 0.0 * torch.rand_like(points))
        return logits

    with watched_generators():
        case.attack(noisy, x, predicted(model, x), generator=generator(0))


def test_the_model_is_attacked_as_it_is_used_not_as_it_is_trained(case: Case) -> None:
    # In training mode BatchNorm would use the batch, and dropout would hide the gradient.
    x = images()
    y = labels_for(classifier(), x)
    result = case.attack(in_use(), x, y, seeds=torch.arange(8))
    expected = case.attack(classifier(), x, y, seeds=torch.arange(8))
    assert torch.equal(result.images, expected.images)
    assert torch.equal(result.success, expected.success)


@pytest.mark.parametrize("without_gradients", [torch.no_grad, torch.inference_mode])
def test_it_works_where_gradients_are_switched_off(case: Case, without_gradients: Callable[[], object]) -> None:
    model, x = classifier(), images()
    y = labels_for(model, x)
    expected = case.attack(model, x, y, seeds=torch.arange(8))
    with without_gradients():  # type: ignore[attr-defined]
        made_here = images()
        result = case.attack(model, made_here, y.clone(), seeds=torch.arange(8))
        assert torch.equal(result.images, expected.images)
        assert torch.equal(result.success, expected.success)
        assert not torch.is_grad_enabled()
    assert torch.is_grad_enabled()


def test_no_gradient_of_a_function_s_parameters_is_taken(case: Case) -> None:
    model, x = classifier(), images()
    model.features[0].weight.grad = torch.ones_like(model.features[0].weight)
    case.attack(lambda points: model(points), x, labels_for(model, x), seeds=torch.arange(8))
    assert (model.features[0].weight.grad == 1).all()
    assert all(p.grad is None for name, p in model.named_parameters() if name != "features.0.weight")
    assert all(p.requires_grad for p in model.parameters())


def test_the_model_never_sees_more_than_the_box(case: Case) -> None:
    watched = Watched(classifier())
    x = images()
    case.make(case.ball(20.0))(watched, x, labels_for(watched.model, x), seeds=torch.arange(8))
    assert all(asked.min() >= 0 and asked.max() <= 1 for asked in watched.asked)


@pytest.mark.processes
def test_python_s_own_generator_is_left_as_it_was() -> None:
    # In a process of its own: the checks of types that run with these tests draw from it.
    script = """
import random
import torch
from contracts.attacks import CASES
from contracts.models import classifier, images, labels_for
model, x = classifier(), images()
y = labels_for(model, x)
for case in CASES:
    before = random.getstate()
    case.attack(model, x, y)
    assert random.getstate() == before, case.name
print(len(CASES))
"""
    tests = Path(__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", script], cwd=tests, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 20
