"""The loop itself: what a step is, who leaves, what is kept."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from epslab.attacks import FGSM, PGD, IterativeFGSM, LeastLikely, RandomNoise, cross_entropy, dlr, margin, targeted
from epslab.errors import UserError
from epslab.geometry import L1, L2, Linf

from .models import conv_net, images

X = images(24)
SEEDS = torch.arange(24)
MODEL = conv_net()
Y = MODEL(X).argmax(1)


def gradient(x: Tensor, y: Tensor) -> Tensor:
    x = x.clone().requires_grad_()
    return torch.autograd.grad(F.cross_entropy(MODEL(x), y, reduction="sum"), x)[0]


def test_fgsm_is_its_formula() -> None:
    found = FGSM(Linf(8 / 255))(MODEL, X, Y)
    expected = (X + 8 / 255 * gradient(X, Y).sign()).clamp(0, 1)
    torch.testing.assert_close(found.images, expected, rtol=0, atol=1e-7)
    assert (found.gradients == 1).all()


def test_iterated_fgsm_is_its_formula() -> None:
    """Two steps of 1/255 in a ball of 8/255: no projection is needed yet."""
    found = IterativeFGSM(Linf(8 / 255), steps=2, step_size=1 / 255, leave_early=False)(MODEL, X, Y)
    x = X
    for _ in range(2):
        x = (x + 1 / 255 * gradient(x, Y).sign()).clamp(0, 1)
    torch.testing.assert_close(found.images, x, rtol=0, atol=1e-6)


def test_least_likely_is_its_formula() -> None:
    found = LeastLikely(Linf(8 / 255), leave_early=False)(MODEL, X, Y)
    y_ll = MODEL(X).argmin(1)
    expected = (X - 8 / 255 * gradient(X, y_ll).sign()).clamp(0, 1)
    fell = cross_entropy(MODEL(expected), y_ll) < cross_entropy(MODEL(X), y_ll)
    torch.testing.assert_close(found.images[fell], expected[fell], rtol=0, atol=1e-7)
    assert fell.float().mean() > 0.9
    assert torch.equal(found.success, MODEL(found.images).argmax(1) == y_ll)


def test_momentum_is_its_formula() -> None:
    """g ← μ·g + ∇J/‖∇J‖₁; the scale of ‖·‖₁ (mean or sum) is nothing to a sign."""
    mu, step = 0.9, 1 / 255
    found = IterativeFGSM(Linf(8 / 255), steps=3, step_size=step, momentum=mu, leave_early=False)(MODEL, X, Y)
    x, g = X, torch.zeros_like(X)
    for _ in range(3):
        now = gradient(x, Y)
        g = mu * g + now / now.abs().sum((1, 2, 3), keepdim=True)
        x = (x + step * g.sign()).clamp(0, 1)
    assert (found.images - x).abs().gt(1e-6).float().mean() < 0.005  # single-precision signs of sums near zero
    plain = IterativeFGSM(Linf(8 / 255), steps=3, step_size=step, leave_early=False)(MODEL, X, Y)
    assert (found.images - plain.images).abs().gt(1e-6).float().mean() > 0.01


def test_an_example_leaves_once_it_is_solved() -> None:
    early = PGD(Linf(6 / 255), steps=20)(MODEL, X, Y, seeds=SEEDS)
    late = PGD(Linf(6 / 255), steps=20, leave_early=False)(MODEL, X, Y, seeds=SEEDS)
    assert (late.gradients == 20).all()
    assert (early.gradients[~early.success] == 20).all()
    assert early.gradients[early.success].float().mean() < 10
    assert early.success.sum() >= late.success.sum()
    more = cross_entropy(MODEL(late.images), Y) - cross_entropy(MODEL(early.images), Y)
    assert (more[early.success] > 0).all()
    assert torch.equal(late.images[~early.success], early.images[~early.success])


def test_images_already_wrong_come_back_as_they_came_unless_the_greatest_loss_is_asked_for() -> None:
    wrong = (Y + 1) % 5
    for attack in (FGSM(Linf(0.1)), PGD(Linf(0.1), steps=3), RandomNoise(Linf(0.1))):
        found = attack(MODEL, X, wrong)
        assert torch.equal(found.images, X)
        assert found.success.all()
        assert (found.distance == 0).all()
        assert (found.gradients == 0).all()
    found = FGSM(Linf(0.1), leave_early=False)(MODEL, X, wrong)
    assert (cross_entropy(MODEL(found.images), wrong) > cross_entropy(MODEL(X), wrong)).all()


def test_a_targeted_goal_reaches_its_class() -> None:
    targets = (Y + 2) % 5
    found = PGD(Linf(24 / 255), steps=30, goal=targeted(targets))(MODEL, X, Y, seeds=SEEDS)
    assert found.success.float().mean() > 0.7
    assert torch.equal(found.success, MODEL(found.images).argmax(1) == targets)


@pytest.mark.parametrize("objective", [cross_entropy, margin, dlr])
def test_each_objective_finds_adversarials(objective: object) -> None:
    found = PGD(Linf(8 / 255), steps=10, objective=objective)(MODEL, X, Y, seeds=SEEDS)  # type: ignore[arg-type]
    assert found.success.float().mean() > 0.5


class Islands(nn.Module):
    """Fooled on a small island that only some starts lead to: restarts differ in what they find."""

    def forward(self, x: Tensor) -> Tensor:
        a = x[:, 0, 0, 0]
        height = 2 - 40 * (a - 0.62).abs() - 3 * (a < 0.55).to(x)
        return torch.stack([-height, height + 0.2 * (0.5 - a)], 1)


def test_the_worst_restart_is_kept_not_the_last() -> None:
    x = torch.full((64, 1, 1, 1), 0.5, dtype=torch.float64)
    y = torch.zeros(64, dtype=torch.int64)
    one = PGD(Linf(0.15), steps=1, step_size=1e-4)(Islands(), x, y, seeds=torch.arange(64))
    many = PGD(Linf(0.15), steps=1, step_size=1e-4, restarts=8)(Islands(), x, y, seeds=torch.arange(64))
    assert 0 < one.success.sum() < 64
    assert (many.success | ~one.success).all()
    assert many.success.sum() > one.success.sum()


def test_default_step_sizes() -> None:
    """2.5·radius/steps, at most the radius: with two steps a whole radius each."""
    for steps, length in ((1, 1.0), (2, 1.0), (5, 0.5)):
        attack = IterativeFGSM(Linf(0.01), steps=steps)
        named = IterativeFGSM(Linf(0.01), steps=steps, step_size=length * 0.01)
        torch.testing.assert_close(attack(MODEL, X, Y).images, named(MODEL, X, Y).images, rtol=0, atol=1e-7)


@pytest.mark.parametrize("ball", [L2(2.0), L1(6.0)])
def test_pixels_at_their_bound_use_up_no_step(ball: object) -> None:
    """Half the pixels at 1 with a gradient that points out of the box: the whole step goes to the others."""

    class Sum(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            s = (x * torch.tensor([3.0, 1.0], dtype=x.dtype)).flatten(1).sum(1)
            return torch.stack([31 - s, s - 31], 1)

    x = torch.tensor([1.0, 0.0], dtype=torch.float64).expand(1, 1, 8, 2).clone()
    found = PGD(ball, steps=60, random_start=False)(Sum(), x, torch.zeros(1, dtype=torch.int64))  # type: ignore[arg-type]
    best = 2.0 * 8**0.5 if ball == L2(2.0) else 6.0
    torch.testing.assert_close((found.images - x).sum().item(), best, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    "wrong", [{"steps": 0}, {"restarts": 0}, {"step_size": 0.0}, {"step_size": float("nan")}, {"momentum": -1.0}]
)
def test_wrong_settings(wrong: dict[str, float]) -> None:
    with pytest.raises(UserError, match=next(iter(wrong))):
        PGD(Linf(0.1), **wrong)  # type: ignore[arg-type]


def test_a_model_without_a_gradient_gives_none() -> None:
    """It cuts its graph: the attack finds no direction, and says nothing wrong."""
    found = PGD(Linf(4 / 255), steps=3)(lambda x: MODEL(x).detach(), X, Y, seeds=SEEDS)
    assert torch.equal(found.success, MODEL(found.images).argmax(1) != Y)


def test_it_goes_on_from_given_points_put_into_the_ball() -> None:
    ball, far = Linf(8 / 255), (X + 0.2).clamp(0, 1)
    still = PGD(ball, steps=1, step_size=1e-7, leave_early=False, restarts=1)
    found = still.going_on_from(far)(MODEL, X, Y, seeds=SEEDS)
    torch.testing.assert_close(found.images, ball.project(far, X).clamp(0, 1), rtol=0, atol=1e-6)
    assert not torch.equal(found.images, still(MODEL, X, Y, seeds=SEEDS).images)


def test_only_the_first_run_goes_on_from_given_points() -> None:
    """From the image itself the island is out of sight; a later run that starts at random may see it."""
    x = torch.full((64, 1, 1, 1), 0.5, dtype=torch.float64)
    y, seeds = torch.zeros(64, dtype=torch.int64), torch.arange(64)
    one = PGD(Linf(0.15), steps=1, step_size=1e-4)
    assert one(Islands(), x, y, seeds=seeds).success.any()
    assert not one.going_on_from(x)(Islands(), x, y, seeds=seeds).success.any()
    assert replace(one, restarts=4).going_on_from(x)(Islands(), x, y, seeds=seeds).success.any()


def test_points_for_other_images_are_refused() -> None:
    with pytest.raises(UserError, match="one point for each image"):
        PGD(Linf(0.1)).going_on_from(X[:3])(MODEL, X, Y)
