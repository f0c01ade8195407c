"""Every iterate of Auto-PGD and of momentum PGD, against implementations written here from the papers.

These take one example at a time, in numpy's float64, with projections by bisection; the model is asked by the attack
under test through a wrapper that keeps the points.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from epslab.attacks import APGD, PGD, IterativeFGSM, margin
from epslab.geometry import L1, L2, Ball, Linf
from epslab.seeds import generator

SHAPE, D, CLASSES, N = (1, 4, 4), 16, 5, 3
Array = np.ndarray


def smooth(classes: int = CLASSES, scale: float = 6.0) -> Callable[[Tensor], Tensor]:
    """Logits of a small net of tanh units, curved enough that steps overshoot."""
    g = generator(0, "smooth", classes)
    A = scale * torch.randn(24, D, generator=g, dtype=torch.float64) / math.sqrt(D)
    B = torch.randn(classes, 24, generator=g, dtype=torch.float64)
    return lambda x: torch.tanh((x.flatten(1) - 0.5) @ A.T) @ B.T


def pictures(n: int = N) -> Tensor:
    """A third of the pixels at exactly 0 or 1."""
    x = torch.rand(n, *SHAPE, generator=generator(0, "pictures"), dtype=torch.float64)
    return x.mul(1.6).sub(0.3).clamp(0, 1)


class Recorder:
    """A model that keeps the points it is asked at."""

    def __init__(self, model: Callable[[Tensor], Tensor]) -> None:
        self.model, self.asked = model, []

    def __call__(self, x: Tensor) -> Tensor:
        self.asked.append(x.detach().clone())
        return self.model(x)


@dataclass
class Objective:
    """f and its gradient at a flat point."""

    model: Callable[[Tensor], Tensor]
    of_logits: Callable[[Tensor], Tensor]

    def __call__(self, x: Array) -> tuple[float, Array]:
        point = torch.from_numpy(x).view(1, *SHAPE).requires_grad_()
        f = self.of_logits(self.model(point))
        (g,) = torch.autograd.grad(f.sum(), point)
        return f.item(), g.flatten().numpy()


def bisect(inside: Callable[[float], bool], low: float, high: float) -> float:
    """The largest t that is inside, where all smaller ones are."""
    if inside(high):
        return high
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if inside(middle) else (low, middle)
    return low


def norm_of(order: float, v: Array) -> float:
    return float(np.linalg.norm(v, order))


def project(order: float, x: Array, c: Array, r: float) -> Array:
    """The nearest point of ball and box, from the optimality conditions."""
    if order == np.inf:
        return np.clip(x, np.maximum(c - r, 0), np.minimum(c + r, 1))
    if order == 2:
        at = lambda t: np.clip(c + t * (x - c), 0, 1)  # noqa: E731
        return at(bisect(lambda t: norm_of(2, at(t) - c) <= r, 0.0, 1.0))
    size = np.abs(x - c)
    at = lambda s: np.clip(c + np.sign(x - c) * np.maximum(size + s, 0), 0, 1)  # noqa: E731
    return at(bisect(lambda s: norm_of(1, at(s) - c) <= r, -size.max(), 0.0))


def climb(order: float, x: Array, g: Array, step: float, pixels: int = 1) -> Array:
    """The steepest step in the box."""
    if order == np.inf:
        return x + step * np.sign(g)
    if order == 2:
        at = lambda t: np.clip(x + math.exp(t) * g, 0, 1)  # noqa: E731
        return at(bisect(lambda t: norm_of(2, at(t) - x) <= step, -60.0, 60.0))
    z, left = x.copy(), step
    for i in np.argsort(-np.abs(g), kind="stable"):
        way = min((1 - x[i]) if g[i] > 0 else x[i], step / pixels, left) if g[i] else 0.0
        z[i] += np.sign(g[i]) * way
        left -= way
    return z


@dataclass
class Log:
    """What a run met."""

    points: list[Array]
    best: Array
    halvings: int = 0
    returns: int = 0
    sparser: int = 0


def auto_pgd(value: Objective, x: Array, c: Array, order: float, r: float, steps: int) -> Log:
    """Croce & Hein (2020), algorithm 1, with the conditions of section 3.2."""
    p, W = [0.0, 0.22], [0]
    while p[-1] < 1:
        W.append(math.ceil(round(p[-1] * steps, 9)))
        p.append(p[-1] + max(p[-1] - p[-2] - 0.03, 0.06))
    eta, x_before, log = 2 * r, x, Log([x], x)
    fs: list[float] = []
    f_max, g_max, at_check = -math.inf, x, (eta, -math.inf)
    for k in range(steps):
        f, g = value(x)
        fs.append(f)
        if f > f_max:
            f_max, g_max, log.best = f, g, x
        if k in W[1:]:
            since = W[W.index(k) - 1]
            rises = sum(fs[i + 1] > fs[i] for i in range(since, k))
            few = rises < 0.75 * (k - since)
            stuck = since > 0 and at_check == (eta, f_max)
            now = eta
            if few or stuck:
                log.halvings += 1
                log.returns += not np.array_equal(x, log.best)
                eta, x, g, fs[-1] = eta / 2, log.best, g_max, f_max
            at_check = (eta if eta == now else -1.0, f_max)
        z = project(order, climb(order, x, g, eta), c, r)
        after = z if k == 0 else project(order, x + 0.75 * (z - x) + 0.25 * (x - x_before), c, r)
        x_before, x = x, after
        log.points.append(x)
    return log


def auto_pgd_l1(value: Objective, x: Array, c: Array, r: float, steps: int, first: bool) -> Log:
    """Croce & Hein (2021), algorithm 1, the step taken in the box."""
    every = max(int(0.04 * steps), 1)
    x = project(1, x, c, r)
    eta, log, f_max, g_max = r, Log([x], x), -math.inf, x
    changed = D if first else int(np.sum(np.abs(x - c) > 1e-6 * r))
    pixels = math.ceil(0.2 * D) if first else max(math.ceil(changed / 1.5), 1)
    for k in range(steps):
        f, g = value(x)
        if f > f_max:
            f_max, g_max, log.best = f, g, x
        if k and k % every == 0:
            now = int(np.sum(np.abs(log.best - c) > 1e-6 * r))
            if now < 0.95 * changed:
                log.sparser += 1
                log.returns += not np.array_equal(x, log.best)
                eta, x, g = r, log.best, g_max
            else:
                log.halvings += 1
                eta = max(eta / 1.5, r / 10)
            changed, pixels = now, max(math.ceil(now / 1.5), 1)
        x = project(1, climb(1, x, g, eta, pixels), c, r)
        log.points.append(x)
    return log


def recorded(attack: Callable[..., object], model: Callable[[Tensor], Tensor], y: Tensor) -> list[Tensor]:
    recorder = Recorder(model)
    attack(recorder, pictures(len(y)), y, seeds=torch.arange(len(y)))
    return recorder.asked


def assert_same(points: list[Tensor], example: int, expected: list[Array]) -> None:
    ours = np.stack([point[example].flatten().numpy() for point in points[: len(expected)]])
    np.testing.assert_allclose(ours, np.stack(expected), rtol=0, atol=1e-8)


def loss(y: Tensor, i: int) -> Callable[[Tensor], Tensor]:
    return lambda z: F.cross_entropy(z, y[i : i + 1], reduction="none")


@pytest.mark.parametrize(("ball", "order"), [(Linf(0.2), np.inf), (L2(0.7), 2)], ids=["linf", "l2"])
@pytest.mark.parametrize("classes", [2, CLASSES])
def test_every_iterate_of_auto_pgd_is_the_paper_s(ball: Ball, order: float, classes: int) -> None:
    model, c, steps, halvings, returns = smooth(classes), pictures(), 40, 0, 0
    y = model(c).argmax(1)
    asked = recorded(APGD(ball, steps=steps, leave_early=False), model, y)
    for i in range(N):
        start, centre = asked[0][i].flatten().numpy(), c[i].flatten().numpy()
        log = auto_pgd(Objective(model, loss(y, i)), start, centre, order, float(ball.radius), steps)
        assert_same(asked, i, log.points)
        halvings, returns = halvings + log.halvings, returns + log.returns
    assert halvings >= 3
    assert returns >= 3


@pytest.mark.parametrize("classes", [2, CLASSES])
@pytest.mark.parametrize("steps", [60, 10, 2])
def test_every_iterate_of_auto_pgd_in_l1_is_the_paper_s(steps: int, classes: int) -> None:
    """Radii 3r, 2r and r for 30, 30 and 40 % of the steps, each from the best point of the one before."""
    model, c, r = smooth(classes, scale=30.0), pictures(10), 0.5
    y = model(c).argmax(1)
    asked = recorded(APGD(L1(r), steps=steps, leave_early=False), model, y)
    early = math.ceil(0.3 * steps)
    stages = [(3 * r, early), (2 * r, early), (r, steps - 2 * early)] if steps > 2 else [(r, steps)]
    returns = 0
    for i in range(10):
        x, centre, value, at = asked[0][i].flatten().numpy(), c[i].flatten().numpy(), Objective(model, loss(y, i)), 0
        for number, (radius, count) in enumerate(stages):
            log = auto_pgd_l1(value, x, centre, radius, count, first=number == 0)
            last = number == len(stages) - 1
            assert_same(asked[at:], i, log.points if last else log.points[:-1])
            x, at, returns = log.best, at + count, returns + log.returns
    if steps == 60 and classes == CLASSES:
        assert returns >= 1


def test_the_targets_are_the_likeliest_classes_first_each_with_the_paper_s_ratio() -> None:
    """After the run on the cross-entropy come the targets by their logits on the clean image."""
    net, c, steps, ball = smooth(), pictures(), 10, Linf(0.2)
    ahead = torch.tensor([50.0] + [0.0] * (CLASSES - 1), dtype=torch.float64)

    def model(x: Tensor) -> Tensor:
        return net(x) + ahead

    y = torch.zeros(N, dtype=torch.int64)
    asked = recorded(APGD(ball, steps=steps, targets=CLASSES - 1), model, y)[1:]  # after the clean images
    assert all(len(points) == N for points in asked), "nothing is found, all runs are whole"
    ranked = model(c).argsort(1, descending=True)
    for rank in range(1, CLASSES):
        at = rank * (steps + 1)
        for i in range(N):
            t = int(ranked[i, rank])

            def ratio(z: Tensor, t: int = t, label: int = int(y[i])) -> Tensor:
                top = z.sort(1, descending=True).values
                return (z[:, t] - z[:, label]) / (top[:, 0] - 0.5 * (top[:, 2] + top[:, 3]))

            start, centre = asked[at][i].flatten().numpy(), c[i].flatten().numpy()
            log = auto_pgd(Objective(model, ratio), start, centre, np.inf, 0.2, steps)
            assert_same(asked[at:], i, log.points)


class Flat(torch.autograd.Function):
    """Constant logits with a gradient: every step is a tie."""

    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        return torch.tensor([3.0, 1.0, 0.0], dtype=x.dtype).expand(len(x), 3)

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> Tensor:
        return torch.ones(len(gradient), *SHAPE, dtype=gradient.dtype)


def test_on_ties_auto_pgd_goes_back_to_the_earlier_point() -> None:
    y, c = torch.zeros(N, dtype=torch.int64), pictures()
    asked = recorded(APGD(Linf(0.2), steps=40, leave_early=False), Flat.apply, y)
    for i in range(N):
        start = asked[0][i].flatten().numpy()
        log = auto_pgd(Objective(Flat.apply, loss(y, i)), start, c[i].flatten().numpy(), np.inf, 0.2, 40)
        assert np.array_equal(log.best, start)
        assert log.returns > 0
        assert_same(asked, i, log.points)


@pytest.mark.parametrize(
    "attack", [PGD(Linf(0.2), steps=4, leave_early=False), APGD(Linf(0.2), steps=4, leave_early=False)]
)
def test_on_ties_the_later_point_is_returned(attack: PGD | APGD) -> None:
    """Where the objective is flat to rounding, steps still lead somewhere."""
    recorder, c = Recorder(Flat.apply), pictures()
    found = attack(recorder, c, torch.zeros(N, dtype=torch.int64), seeds=torch.arange(N))
    assert not torch.equal(recorder.asked[-1], recorder.asked[-2])
    assert torch.equal(found.images, recorder.asked[-1])


class Scripted:
    """A model whose loss at label 0 is told by how often it was asked: at first 5, then far less, but rising."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, x: Tensor) -> Tensor:
        f = 5.0 if self.calls == 0 else 1.0 + 0.01 * self.calls
        self.calls += 1
        z = -math.log(math.expm1(f))  # −log softmax([z, 0])_0 = f
        slope = torch.linspace(1.0, 2.0, D, dtype=x.dtype)
        moved = (x - x.detach()).flatten(1) @ slope
        return torch.stack([z - moved, torch.zeros_like(moved)], 1)


def test_a_best_that_stays_the_best_halves_the_step_at_every_second_checkpoint() -> None:
    """Enough steps rise, but none above the first; right after a halving the new step gets its chance."""
    y, c = torch.zeros(N, dtype=torch.int64), pictures()
    asked = recorded(APGD(Linf(0.2), steps=100, leave_early=False), Scripted(), y)
    for i in range(N):
        value = Objective(Scripted(), loss(y, i))
        log = auto_pgd(value, asked[0][i].flatten().numpy(), c[i].flatten().numpy(), np.inf, 0.2, 100)
        assert log.halvings == 4
        assert_same(asked, i, log.points)


def momentum_pgd(
    value: Objective, x: Array, c: Array, order: float, r: float, step: float, mu: float, normalised: bool = True
) -> list[Array]:
    """Dong et al. (2018), algorithm 1: g ← μ·g + ∇J/‖∇J‖₁."""
    points, g = [x], np.zeros_like(x)
    for _ in range(12):
        now = value(x)[1]
        g = mu * g + (now / np.abs(now).sum() if normalised else now)
        x = project(order, climb(order, x, g, step), c, r)
        points.append(x)
    return points


@pytest.mark.parametrize(("ball", "order"), [(Linf(0.2), np.inf), (L2(0.7), 2)], ids=["linf", "l2"])
@pytest.mark.parametrize("mu", [0.5, 1.0])
@pytest.mark.parametrize("random_start", [False, True])
def test_every_iterate_of_momentum_pgd_is_the_paper_s(ball: Ball, order: float, mu: float, random_start: bool) -> None:
    model, c, step = smooth(), pictures(), 0.05
    y = model(c).argmax(1)
    attack: Callable[..., object] = PGD(
        ball, steps=12, step_size=step, momentum=mu, leave_early=False, random_start=random_start
    )
    asked, differs = recorded(attack, model, y), 0
    for i in range(N):
        value = Objective(model, loss(y, i))
        start, centre = asked[0][i].flatten().numpy(), c[i].flatten().numpy()
        if not random_start:
            assert np.array_equal(start, centre)
        expected = momentum_pgd(value, start, centre, order, float(ball.radius), step, mu)
        assert_same(asked, i, expected)
        other = momentum_pgd(value, start, centre, order, float(ball.radius), step, mu, normalised=False)
        differs += not np.allclose(np.stack(other), np.stack(expected), atol=1e-3)
    assert differs >= 1, "here the normalisation shows"


def test_plain_pgd_in_l1_shares_each_step_among_pixels() -> None:
    model, c, r, steps = smooth(), pictures(), 1.5, 12
    y = model(c).argmax(1)
    asked = recorded(PGD(L1(r), steps=steps, leave_early=False), model, y)
    for i in range(N):
        value, centre = Objective(model, loss(y, i)), c[i].flatten().numpy()
        x = asked[0][i].flatten().numpy()
        points = [x]
        for k in range(steps):
            x = project(1, climb(1, x, value(x)[1], r * (1 - k / steps), pixels=1), centre, r)
            points.append(x)
        assert_same(asked, i, points)


def broken(x: Tensor, model: Callable[[Tensor], Tensor]) -> Tensor:
    """The model, with NaN gradients at the pixels below ½ and no change of the values."""
    return model(x) + (0.0 * ((x - 0.5) * (x > 0.5)).sqrt()).flatten(1).sum(1, keepdim=True)


@pytest.mark.parametrize("ball", [Linf(0.05), L2(0.2), L1(0.4)], ids=["linf", "l2", "l1"])
@pytest.mark.parametrize("make", [partial(PGD, steps=3, random_start=False), partial(IterativeFGSM, steps=3)])
def test_a_gradient_that_is_nan_at_some_pixels_is_followed_at_the_others(
    make: Callable[..., PGD | IterativeFGSM], ball: Ball
) -> None:
    model = smooth()
    x = pictures()
    y = model(x).argmax(1)
    low = x < 0.5
    assert low.any()
    found = make(ball, leave_early=False)(lambda z: broken(z, model), x, y, seeds=torch.arange(N))
    assert found.images.isfinite().all()
    assert torch.equal(found.images[low], x[low])
    assert (margin(model(found.images), y) > margin(model(x), y)).all()
