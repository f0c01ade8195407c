"""PGD and its kin held to their published equations, step by step: an independent implementation in float64.

Every point the model is asked about is compared, so that no step can hide behind the best point that is returned.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from epslab.attacks import FGSM, MIM, PGD, IterativeFGSM, LeastLikely, margin, targeted
from epslab.geometry import L2, Ball, Linf
from epslab.seeds import generator, seeded

N, SHAPE = 6, (2, 3, 3)
SEEDS = torch.arange(N)
RADIUS = {"linf": 0.1, "l2": 0.3}


def _model() -> Callable[[Tensor], Tensor]:
    """A curved net, whose gradients change in size and direction from step to step."""
    with seeded(0, "gradient-steps"):
        net = torch.nn.Sequential(
            torch.nn.Flatten(), torch.nn.Linear(18, 16), torch.nn.Tanh(), torch.nn.Linear(16, 4)
        ).double()
    with torch.no_grad():
        net[1].weight *= 6
        net[3].weight *= 6
    return net


MODEL = _model()
X = torch.rand(N, *SHAPE, generator=generator(0, "gradient-steps"), dtype=torch.float64)
X[0, 0] = 0.0
X[1, 0] = 1.0
INNER = 0.4 + 0.2 * X  # further from 0 and 1 than the radius
Y = MODEL(X).argmax(1)
TARGETS = (Y + 1) % 4

Loss = Callable[[Tensor, Tensor], Tensor]


def cross_entropy(z: Tensor, y: Tensor) -> Tensor:
    return F.nll_loss(F.log_softmax(z, 1), y, reduction="none")


def worst_margin(z: Tensor, y: Tensor) -> Tensor:
    rivals = z.clone()
    rivals[torch.arange(len(y)), y] = -math.inf
    return rivals.max(1).values - z[torch.arange(len(y)), y]


@dataclass(frozen=True)
class Rule:
    """What the equations say of one attack."""

    norm: str
    steps: int
    alpha: float
    mu: float = 0.0
    sign: float = 1.0  # -1: towards the class
    loss: Loss = cross_entropy

    def gradient(self, x: np.ndarray, y: Tensor) -> np.ndarray:
        at = torch.tensor(x, requires_grad=True)
        (g,) = torch.autograd.grad(self.sign * self.loss(MODEL(at), y).sum(), at)
        return g.numpy()

    def iterates(self, clean: np.ndarray, start: np.ndarray, y: Tensor) -> list[np.ndarray]:
        """x_0 … x_T by Madry et al. (2018), eq. 2.1, with the momentum of Dong et al. (2018), eqs. 6 and 7."""
        x, g, radius, points = start, np.zeros_like(start), RADIUS[self.norm], [start]
        for _ in range(self.steps):
            now = self.gradient(x, y)
            l1 = np.abs(now).sum((1, 2, 3), keepdims=True)
            g = self.mu * g + now / l1 if self.mu else now
            if self.norm == "linf":
                x = np.clip(x + self.alpha * np.sign(g), clean - radius, clean + radius).clip(0.0, 1.0)
            else:
                d = x + self.alpha * g / np.sqrt((g**2).sum((1, 2, 3), keepdims=True)) - clean
                far = np.sqrt((d**2).sum((1, 2, 3), keepdims=True))
                x = clean + d * np.minimum(1.0, radius / far)
            points.append(x)
        return points


class Asked:
    """The net, and the points it was asked about: those whose gradient was taken, and looks."""

    def __init__(self) -> None:
        self.points: list[Tensor] = []

    def __call__(self, x: Tensor) -> Tensor:
        self.points.append(x.detach().clone())
        return MODEL(x)


def ball(norm: str) -> Ball:
    return Linf(RADIUS[norm]) if norm == "linf" else L2(RADIUS[norm])


LEAST = MODEL(X).argmin(1)
CASES: dict[str, tuple[PGD, Rule, Tensor]] = {
    "fgsm": (FGSM(ball("linf")), Rule("linf", 1, 0.1), Y),
    "fgsm on the margin": (FGSM(ball("linf"), objective=margin), Rule("linf", 1, 0.1, loss=worst_margin), Y),
    "iterated fgsm": (IterativeFGSM(ball("linf"), steps=7, step_size=0.03), Rule("linf", 7, 0.03), Y),
    "iterated fgsm's own step": (IterativeFGSM(ball("linf"), steps=5), Rule("linf", 5, 0.05), Y),
    "momentum": (
        IterativeFGSM(ball("linf"), steps=9, step_size=0.02, momentum=0.9),
        Rule("linf", 9, 0.02, mu=0.9),
        Y,
    ),
    "mim": (MIM(ball("linf")), Rule("linf", 10, 0.01, mu=1.0), Y),
    "mim with a decay": (MIM(ball("linf"), steps=7, momentum=0.6), Rule("linf", 7, 0.1 / 7, mu=0.6), Y),
    "mim in l2": (MIM(ball("l2"), steps=8), Rule("l2", 8, 0.3 / 8, mu=1.0), Y),
    "mim's own step size": (MIM(ball("linf"), step_size=0.04), Rule("linf", 10, 0.04, mu=1.0), Y),
    "least likely": (LeastLikely(ball("linf"), steps=6, step_size=0.03), Rule("linf", 6, 0.03, sign=-1.0), LEAST),
    "pgd": (PGD(ball("linf"), steps=8, step_size=0.03), Rule("linf", 8, 0.03), Y),
    "pgd towards a target": (
        PGD(ball("linf"), steps=6, step_size=0.03, goal=targeted(TARGETS)),
        Rule("linf", 6, 0.03, sign=-1.0),
        TARGETS,
    ),
    "pgd in l2": (PGD(ball("l2"), steps=8, step_size=0.1), Rule("l2", 8, 0.1), Y),
    "pgd with momentum in l2": (PGD(ball("l2"), steps=8, step_size=0.1, momentum=1.0), Rule("l2", 8, 0.1, mu=1.0), Y),
}


@pytest.mark.parametrize("name", CASES)
def test_every_iterate_is_that_of_the_equations(name: str) -> None:
    attack, rule, classes = CASES[name]
    clean = X if rule.norm == "linf" else INNER
    asked = Asked()
    found = replace(attack, leave_early=False)(asked, clean, Y, seeds=SEEDS)
    points = asked.points[1:] if attack.goal is not PGD(ball("linf")).goal else asked.points  # a goal looks first
    if not attack.random_start:
        assert torch.equal(points[0], clean)
    expected = rule.iterates(clean.numpy(), points[0].numpy(), classes)
    assert len(points) >= rule.steps + 1
    for ours, theirs in zip(points[: rule.steps + 1], expected, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs, rtol=0.0, atol=1e-10)
    # What is returned is the worst of them, a success before a failure, and the later one on ties.
    at = torch.stack([torch.tensor(x) for x in expected] + points[rule.steps + 1 : len(asked.points)])
    goal = -1.0 if rule.sign < 0 else 1.0
    values = torch.stack([goal * rule.loss(MODEL(x), classes) for x in at])
    hits = torch.stack([(MODEL(x).argmax(1) == classes) == (rule.sign < 0) for x in at])
    values = values.masked_fill(hits.any(0) & ~hits, -math.inf)
    best = at[values.argmax(0), torch.arange(N)]
    np.testing.assert_allclose(found.images.numpy(), best.numpy(), rtol=0.0, atol=1e-10)


def test_each_restart_starts_elsewhere_and_follows_the_equations() -> None:
    attack, rule = PGD(ball("linf"), steps=4, step_size=0.03, restarts=3, leave_early=False), Rule("linf", 4, 0.03)
    asked = Asked()
    attack(asked, X, Y, seeds=SEEDS)
    assert len(asked.points) == 3 * 5  # nothing is measured again: the model itself was asked, in full precision
    starts = [asked.points[5 * restart] for restart in range(3)]
    for restart, start in enumerate(starts):
        expected = rule.iterates(X.numpy(), start.numpy(), Y)
        for ours, theirs in zip(asked.points[5 * restart : 5 * restart + 5], expected, strict=True):
            np.testing.assert_allclose(ours.numpy(), theirs, rtol=0.0, atol=1e-10)
    assert not torch.equal(starts[0], starts[1])
    assert not torch.equal(starts[1], starts[2])


def test_who_leaves_early_leaves_at_the_first_success_on_the_same_path() -> None:
    rule = Rule("linf", 10, 0.02)
    found = IterativeFGSM(ball("linf"), steps=10, step_size=0.02)(MODEL, X, Y)
    expected = [torch.tensor(x) for x in rule.iterates(X.numpy(), X.numpy(), Y)]
    hits = torch.stack([MODEL(x).argmax(1) != Y for x in expected])
    assert 0 < hits.any(0).sum() < N or hits.any(0).all()
    assert len(hits.int().argmax(0).unique()) > 1, "they leave at different steps"
    for i in hits.any(0).nonzero()[:, 0].tolist():
        first = int(hits[:, i].int().argmax())
        np.testing.assert_allclose(found.images[i].numpy(), expected[first][i].numpy(), rtol=0.0, atol=1e-10)
        assert found.gradients[i] == min(first + 1, 10)


class Flaky(torch.autograd.Function):
    """The identity, whose gradient is NaN at the first pixel."""

    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> Tensor:
        gradient = gradient.clone()
        gradient[:, 0, 0, 0] = math.nan
        return gradient


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_a_gradient_that_is_nan_at_a_pixel_moves_the_others(norm: str, momentum: float) -> None:
    """NaN counts as no gradient: that pixel stays, the others take the step they would take without it."""
    attack = PGD(ball(norm), steps=1, random_start=False, momentum=momentum, leave_early=False)
    found = attack(lambda x: MODEL(Flaky.apply(x)), INNER, Y)
    g = Rule(norm, 1, 0.1).gradient(INNER.numpy(), Y)
    g[:, 0, 0, 0] = 0.0
    step = np.sign(g) if norm == "linf" else g / np.sqrt((g**2).sum((1, 2, 3), keepdims=True))
    np.testing.assert_allclose(found.images.numpy(), INNER.numpy() + RADIUS[norm] * step, rtol=0.0, atol=1e-10)


def test_on_ties_the_later_point_is_kept() -> None:
    """A model that says the same everywhere: all points are equal, and the last one comes back."""
    asked: list[Tensor] = []

    def flat(x: Tensor) -> Tensor:
        asked.append(x.detach().clone())
        return torch.tensor([[2.0, 1.0]], dtype=x.dtype) + 0.0 * x.sum((1, 2, 3))[:, None]

    y = torch.zeros(N, dtype=torch.int64)
    found = PGD(ball("linf"), steps=2, restarts=3)(flat, X, y, seeds=SEEDS)
    *_, last_look, at_what_is_returned = asked
    assert torch.equal(found.images, last_look)
    assert torch.equal(found.images, at_what_is_returned)
    assert not torch.equal(asked[1], asked[4])
