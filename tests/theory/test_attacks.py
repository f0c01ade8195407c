"""Attacks on affine models, where the worst point of the ball is known in closed form."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from ball_oracle import greatest
from torch import Tensor

from epslab import seeds
from epslab.attacks import (
    APGD,
    FGSM,
    PGD,
    Attack,
    IterativeFGSM,
    LeastLikely,
    RandomNoise,
    Restarts,
    WorstCase,
    cross_entropy,
    margin,
)
from epslab.classifiers import Normalised
from epslab.geometry import L1, L2, Ball, Linf
from epslab.seeds import generator

N, SHAPE = 12, (2, 3, 3)
D = math.prod(SHAPE)
BALLS = [Linf(0.05), L2(0.2), L1(0.3), L2(torch.linspace(0.0, 0.3, N, dtype=torch.float64))]
ball_ids = ["linf", "l2", "l1", "l2 per example"]
Make = Callable[..., Attack]
ATTACKS: dict[str, Make] = {
    "fgsm": FGSM,
    "iterative-fgsm": IterativeFGSM,
    "iterative-fgsm momentum": lambda ball, **how: IterativeFGSM(ball, momentum=0.9, **how),
    "pgd": PGD,
    "pgd from the image": lambda ball, **how: PGD(ball, random_start=False, **how),
    "pgd restarts": lambda ball, **how: PGD(ball, steps=10, restarts=2, **how),
    "apgd": APGD,
}


def affine(classes: int, name: str = "affine") -> tuple[Tensor, Tensor]:
    """W [classes d] and b [classes]."""
    g = generator(0, name, classes)
    W = torch.randn(classes, D, generator=g, dtype=torch.float64)
    return W, torch.randn(classes, generator=g, dtype=torch.float64)


def model_of(W: Tensor, b: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda x: x.flatten(1) @ W.T + b


def inner_images() -> Tensor:
    """So far from 0 and 1 that the box does not matter."""
    return 0.35 + 0.3 * torch.rand(N, *SHAPE, generator=generator(0, "inner"), dtype=torch.float64)


def margins(logits: Tensor, y: Tensor) -> Tensor:
    """max_{j≠y} z_j − z_y."""
    others = logits.scatter(1, y[:, None], -torch.inf)
    return others.amax(1) - logits.gather(1, y[:, None])[:, 0]


def attacked(attack: Attack, model: Callable[[Tensor], Tensor], x: Tensor, y: Tensor) -> Tensor:
    return attack(model, x, y, seeds=seeds.of_indices(0, torch.arange(len(x)))).images


@pytest.mark.parametrize("ball", BALLS, ids=ball_ids)
@pytest.mark.parametrize("objective", [cross_entropy, margin])
@pytest.mark.parametrize("name", ATTACKS)
def test_two_classes_the_optimum_is_the_radius_times_the_dual_norm(name: str, objective: object, ball: Ball) -> None:
    W, b = affine(2)
    model, x = model_of(W, b), inner_images()
    y = model(x).argmax(1)
    result = attacked(ATTACKS[name](ball, objective=objective, leave_early=False), model, x, y)
    w = (W[1 - y] - W[y]).view(N, *SHAPE)
    expected = margins(model(x), y) + ball.radii(N) * ball.dual(w)
    torch.testing.assert_close(margins(model(result), y), expected, atol=1e-6, rtol=0.0)


@pytest.mark.parametrize("ball", BALLS, ids=ball_ids)
@pytest.mark.parametrize("name", ATTACKS)
def test_what_cannot_be_fooled_is_pushed_to_the_optimum_also_with_leaving_early(name: str, ball: Ball) -> None:
    W, b = affine(2)
    model, x, y = model_of(W, b + torch.tensor([20.0, 0.0])), inner_images(), torch.zeros(N, dtype=torch.int64)
    result = ATTACKS[name](ball)(model, x, y, seeds=torch.arange(N))
    assert not result.success.any()
    expected = margins(model(x), y) + ball.radii(N) * ball.dual((W[1 - y] - W[y]).view(N, *SHAPE))
    torch.testing.assert_close(margins(model(result.images), y), expected, atol=1e-6, rtol=0.0)


@pytest.mark.parametrize("ball", BALLS, ids=ball_ids)
@pytest.mark.parametrize("name", ATTACKS)
def test_many_classes_the_margin_s_optimum(name: str, ball: Ball) -> None:
    # One class is so far ahead of the other rivals that it stays the nearest all over the ball.
    W, b = affine(5)
    b = b + torch.tensor([50.0, 30.0, 0.0, 0.0, 0.0], dtype=torch.float64)
    model, x = model_of(W, b), inner_images()
    y = torch.zeros(N, dtype=torch.int64)
    result = attacked(ATTACKS[name](ball, objective=margin, leave_early=False), model, x, y)
    w = (W[1] - W[0]).expand(N, D).reshape(N, *SHAPE)
    expected = margins(model(x), y) + ball.radii(N) * ball.dual(w)
    torch.testing.assert_close(margins(model(result), y), expected, atol=1e-6, rtol=0.0)


@pytest.mark.parametrize("objective", [cross_entropy, margin])
@pytest.mark.parametrize("name", ATTACKS)
def test_the_optimum_in_the_maximum_norm_where_the_box_cuts_the_ball(name: str, objective: object) -> None:
    W, b = affine(2)
    model, r = model_of(W, b), 0.2
    x = torch.rand(N, *SHAPE, generator=generator(0, "box"), dtype=torch.float64).mul(1.4).sub(0.2).clamp(0, 1)
    y = model(x).argmax(1)
    result = attacked(ATTACKS[name](Linf(r), objective=objective, leave_early=False), model, x, y)
    w = (W[1 - y] - W[y]).view(N, *SHAPE)
    best = torch.where(w > 0, (x + r).clamp_max(1.0), (x - r).clamp_min(0.0))
    assert ((best - x).abs() < r - 1e-9).any()  # the box does cut
    torch.testing.assert_close(margins(model(result), y), margins(model(best), y), atol=1e-6, rtol=0.0)
    torch.testing.assert_close(result, best, atol=1e-6, rtol=0.0)


def optima(W: Tensor, b: Tensor, x: Tensor, y: Tensor, ball: Ball) -> Tensor:
    """The greatest margin in ball ∩ box, by the linear program."""
    radii = ball.radii(len(x)).tolist()
    rows = [
        greatest(g, c, str(ball.norm), r)
        for g, c, r in zip((W[1 - y] - W[y]).numpy(), x.flatten(1).numpy(), radii, strict=True)
    ]
    return torch.from_numpy(np.array(rows)) + b[1 - y] - b[y]


def at_the_bounds(n: int, *shape: int) -> Tensor:
    """Images with most pixels at exactly 0 or 1."""
    x = torch.rand(n, *shape, generator=generator(0, "bounds"), dtype=torch.float64)
    return x.mul(2.0).sub(0.5).clamp(0, 1)


@pytest.mark.parametrize(
    "ball", [Linf(0.2), L2(1.0), L1(3.0), L1(0.0), L2(50.0), L1(torch.linspace(0.0, 20.0, N, dtype=torch.float64))]
)
@pytest.mark.parametrize("objective", [cross_entropy, margin])
@pytest.mark.parametrize("name", ATTACKS)
def test_the_optimum_of_ball_and_box_is_that_of_the_linear_program(name: str, objective: object, ball: Ball) -> None:
    W, b = affine(2)
    model, x = model_of(W, b), at_the_bounds(N, *SHAPE)
    y = model(x).argmax(1)
    result = attacked(ATTACKS[name](ball, objective=objective, leave_early=False), model, x, y)
    assert ((result >= 0) & (result <= 1)).all()
    assert (ball.distance(result, x) <= ball.radii(N)).all()
    torch.testing.assert_close(margins(model(result), y), optima(W, b, x, y, ball), atol=1e-6, rtol=0.0)


@pytest.mark.parametrize("ball", [Linf(0.1), L2(4.0), L1(10.0)], ids=ball_ids[:3])
@pytest.mark.parametrize("name", ATTACKS)
def test_also_for_an_image_of_192_pixels_alone(name: str, ball: Ball) -> None:
    W = torch.randn(2, 192, generator=generator(0, "large"), dtype=torch.float64) / 10
    b = torch.zeros(2, dtype=torch.float64)
    model, x = model_of(W, b), torch.rand(1, 3, 8, 8, generator=generator(1, "large"), dtype=torch.float64)
    y = model(x).argmax(1)
    result = attacked(ATTACKS[name](ball, leave_early=False), model, x, y)
    torch.testing.assert_close(margins(model(result), y), optima(W, b, x, y, ball), atol=1e-6, rtol=0.0)


@pytest.mark.parametrize("ball", BALLS[:3], ids=ball_ids[:3])
@pytest.mark.parametrize("compose", [lambda attack: Restarts(attack, 2), lambda attack: WorstCase((attack,))])
def test_composed_attacks_keep_the_optimum(compose: Callable[[Attack], Attack], ball: Ball) -> None:
    W, b = affine(2)
    model, x = model_of(W, b), inner_images()
    y = model(x).argmax(1)
    result = attacked(compose(PGD(ball, leave_early=False)), model, x, y)
    expected = margins(model(x), y) + ball.radii(N) * ball.dual((W[1 - y] - W[y]).view(N, *SHAPE))
    torch.testing.assert_close(margins(model(result), y), expected, atol=1e-6, rtol=0.0)


@pytest.mark.parametrize("name", ATTACKS)
def test_the_radius_is_one_of_pixels_when_the_model_normalises(name: str) -> None:
    # ‖δ‖∞ ≤ r before normalisation moves the margin by r·Σ|w/σ|, and pixels outside [−1, 1] after it are no matter.
    W, b = affine(2)
    mean, std = (0.5, 0.4), (0.2, 0.05)

    class Affine(torch.nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.flatten(1) @ W.T + b

    model, x, ball = Normalised(Affine(), mean, std).double(), inner_images(), Linf(0.05)
    y = model(x).argmax(1)
    result = attacked(ATTACKS[name](ball, leave_early=False), model, x, y)
    scale = torch.tensor(std, dtype=torch.float64).view(1, 2, 1, 1)
    w = (W[1 - y] - W[y]).view(N, *SHAPE) / scale
    expected = margins(model(x), y) + 0.05 * ball.dual(w)
    torch.testing.assert_close(margins(model(result), y), expected, atol=1e-5, rtol=1e-6)


@pytest.mark.parametrize(
    "attack",
    [
        RandomNoise(Linf(0.05), leave_early=False),
        RandomNoise(Linf(0.05), uniform=True, leave_early=False),
        RandomNoise(L2(0.2), leave_early=False),
        RandomNoise(L1(0.3), leave_early=False),
    ],
    ids=["signs", "linf", "l2", "l1"],
)
def test_the_loss_does_not_rise_in_expectation_under_random_noise(attack: RandomNoise) -> None:
    W, b = affine(2)
    model, n = model_of(W, b), 4000
    x = inner_images()[:1].expand(n, -1, -1, -1)
    y = model(x).argmax(1)
    rise = margins(model(attacked(attack, model, x, y)), y) - margins(model(x), y)
    assert abs(rise.mean().item()) < 4 * rise.std().item() / math.sqrt(n)
    w = (W[1 - y[0]] - W[y[0]]).view(1, *SHAPE)
    most = float(attack.ball.radius) * attack.ball.dual(w).item()
    assert rise.max() < most  # what the gradient gives every time, noise does not give once in 4000
    # Its spread by theory: r‖w‖₂ times the deviation of one coordinate of the unit ball.
    deviation = {
        "linf": 3**-0.5 if attack.uniform else 1.0,
        "l2": (D + 2) ** -0.5,
        "l1": (2 / ((D + 1) * (D + 2))) ** 0.5,
    }
    expected = (float(attack.ball.radius) * w.norm().item() * deviation[attack.ball.norm]) ** 2
    assert abs(rise.square().mean().item() - expected) < 4 * rise.square().std().item() / math.sqrt(n)


@pytest.mark.parametrize("steps", [1, 4])
def test_the_least_likely_class_is_reached_where_fgsm_does_not(steps: int) -> None:
    # One pixel: upwards lies class 1, near by, downwards class 2, least likely and far.
    slope, offset = torch.tensor([0.0, 20.0, -60.0]), torch.tensor([1.0, 0.5, -3.0])

    def model(x: Tensor) -> Tensor:
        return (x.flatten(1) - 0.5) * slope.to(x) + offset.to(x)

    x, y, ball = torch.full((1, 1, 1, 1), 0.5), torch.tensor([0]), Linf(0.1)
    assert model(x).argmin(1) == 2
    untargeted = FGSM(ball)(model, x, y)
    least_likely = LeastLikely(ball, steps)(model, x, y)
    assert model(untargeted.images).argmax(1) == 1
    assert model(least_likely.images).argmax(1) == 2
    assert least_likely.success.all()
    if steps == 1:
        torch.testing.assert_close(least_likely.images, x - 0.1)
