"""What keeps: the nearest success, for attacks without a ball; and what the loop waits for."""

import math
from collections import Counter

import pytest
import torch
from contracts.minimal import ToTheBoundary
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from epslab.attacks import PGD, targeted
from epslab.attacks.attacked import Given
from epslab.attacks.keeping import Nearest, Worst
from epslab.attacks.objectives import margin
from epslab.attacks.victim import asking
from epslab.errors import UserError
from epslab.geometry import Ball, Linf
from epslab.seeds import generator

from .models import conv_net, images

X = images(12)
MODEL = conv_net()
Y = MODEL(X).argmax(1)


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_a_minimal_norm_attack_finds_the_closed_form_distance(norm: str) -> None:
    """On an affine binary model: (margin + confidence)/‖w‖ in the dual norm."""
    g = generator(0, "nearest")
    W = torch.randn(2, 12, generator=g, dtype=torch.float64)
    x = 0.45 + 0.1 * torch.rand(9, 3, 2, 2, generator=g, dtype=torch.float64)
    b = torch.zeros(2, dtype=torch.float64)

    def model(points: Tensor) -> Tensor:
        return (points.flatten(1) - 0.5) @ W.T + b

    y = model(x).argmax(1)
    found = ToTheBoundary(norm, confidence=1e-6)(model, x, y)
    w = (W[1 - y] - W[y]).view(9, 3, 2, 2)
    expected = (-margin(model(x), y) + 1e-6) / Ball(norm, 0.0).dual(w)
    torch.testing.assert_close(found.distance, expected, atol=1e-9, rtol=0.0)
    assert found.success.all()
    assert (found.gradients == 1).all()


def test_a_target_is_reached_at_the_least_distance() -> None:
    targets = (Y + 2) % 5
    near = ToTheBoundary(steps=30, halvings=10, goal=targeted(targets))(MODEL, X, Y)
    assert near.success.any()
    assert torch.equal(near.success, MODEL(near.images).argmax(1) == targets)
    assert (near.distance[~near.success] == 0).all(), "where there is no success the image itself comes back"
    assert torch.equal(near.images[~near.success], X[~near.success])


def test_the_nearest_success_is_kept_and_on_ties_the_earlier() -> None:
    """Points on a line, offered in this order; above 0.5 the model is wrong."""

    def model(x: Tensor) -> Tensor:
        s = x[:, 0, 0, 0] - 0.5
        return torch.stack([-s, s], 1)

    x, y = torch.full((1, 1, 1, 2), 0.25), torch.zeros(1, dtype=torch.int64)
    with asking(Given(model, x, y, None, torch.zeros(1, dtype=torch.int64))) as victim:
        kept = Nearest(victim, "linf")
        index = kept.open()
        offers = [(0.375, 0.0, False), (0.875, 0.0, True), (0.75, 0.25, True), (0.75, 0.5, False), (1.0, 0.0, False)]
        for a, b, nearer in offers:
            assert kept.look(index, torch.tensor([a, b]).view(1, 1, 1, 2)).item() is nearer
        found = kept.result(x)
    assert found.images.flatten().tolist() == [0.75, 0.25]
    assert found.distance.item() == 0.5
    assert found.queries.item() == 1 + len(offers)


def test_a_success_of_the_copy_is_kept_only_on_the_model_s_own_word() -> None:
    with asking(Given(MODEL, X, Y, None, torch.arange(12))) as victim:
        kept = Nearest(victim, "l2")
        index = kept.open()
        wrong = -MODEL(X[index])
        before = victim.queries.clone()
        assert not kept.offer(index, (X[index] + 1e-4).clamp(0, 1), wrong, trusted=False).any()
        assert torch.equal(victim.queries[index], before[index] + 1)
        assert not kept.success.any()


def test_what_is_wrong_as_it_is_is_not_searched_for() -> None:
    wrong = Y.clone()
    wrong[:3] = (Y[:3] + 1) % 5
    with asking(Given(MODEL, X, wrong, None, torch.arange(12))) as victim:
        assert Nearest(victim, "l2").open().tolist() == list(range(3, 12))
        assert Worst(victim, Linf(0.1), objective=margin).open().tolist() == list(range(3, 12))


class Waits(TorchDispatchMode):
    """Counts what makes the processor wait for a GPU: a number read, or a shape that depends on values."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        name = function.overloadpacket.__name__
        masked = name in ("index", "index_put", "index_put_") and any(
            isinstance(part, Tensor) and part.dtype == torch.bool for part in args[1]
        )
        if masked or name in ("_local_scalar_dense", "nonzero", "masked_select", "is_nonzero"):
            self.counts[name] += 1
        return function(*args, **(kwargs or {}))


def waits(steps: int, *, leave_early: bool) -> int:
    linear = nn.Sequential(nn.Flatten(), nn.Linear(192, 4)).requires_grad_(False)
    with torch.no_grad():
        linear[1].bias += torch.tensor([100.0, 0.0, 0.0, 0.0])  # nobody is solved
    y = torch.zeros(12, dtype=torch.int64)
    with Waits() as counted:
        PGD(Linf(0.01), steps, leave_early=leave_early)(linear, X, y, seeds=torch.arange(12))
    return sum(counted.counts.values())


def test_the_loop_does_not_wait_for_the_device_at_every_gradient() -> None:
    """Logits are checked once per attack; only who leaves early has to be known at every step."""
    assert waits(9, leave_early=False) == waits(3, leave_early=False)
    assert (waits(9, leave_early=True) - waits(3, leave_early=True)) / 6 <= 1


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("leave_early", [False, True])
@pytest.mark.parametrize("call", [1, 2, 5])
def test_logits_that_are_not_finite_are_refused_whenever_they_appear(call: int, leave_early: bool, bad: float) -> None:
    calls = 0

    def model(x: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        logits: Tensor = MODEL(x)
        return logits + bad if calls == call else logits

    with pytest.raises(UserError, match="NaN or infinite logits"):
        PGD(Linf(1e-4), steps=6, leave_early=leave_early)(model, X, Y, seeds=torch.arange(12))
