"""Adversarial images in 8 bits: within the ball exactly, and as wrong as the attack's wherever that is possible."""

import math
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import pytest
import torch
from robust_samples import Linear, Nearest, digits, few, linear_task, trained
from torch import Tensor, nn

from epslab.attacks import FGSM, PGD, Attack
from epslab.evaluation import evaluate_robustness
from epslab.evaluation.eight_bits import Lattice, rounded
from epslab.evaluation.findings import evidence
from epslab.evaluation.portions import Portion
from epslab.geometry import L1, L2, Ball, Linf
from epslab.seeds import generator
from epslab.types import Images, Logits

SURVIVES = "adversarial images survive 8-bit rounding"


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """The checks' own attacks are not the subject here: a step or two will do."""
    monkeypatch.setattr(evidence, "reference_attacks", few)


def portion_of(levels: Tensor, labels: Tensor) -> Portion:
    indices = torch.arange(len(levels))
    return Portion(indices, levels / 255, labels, levels.to(torch.uint8), torch.ones(len(levels)).bool(), indices)


def outside(points: Tensor, ball: Ball) -> Tensor:
    """The excess over the radius, relative, by a float64 sum written out."""
    flat = points.flatten(1).abs().double() / 255
    lengths = {"linf": flat.amax(1), "l2": flat.square().sum(1).sqrt(), "l1": flat.sum(1)}
    return lengths[str(ball.norm)] / float(ball.radius) - 1


RADII = (0.3, 1.0, 1.2, 2.5, 3.0, 8.0, 25.5, 77.77, 300.0)


@pytest.mark.parametrize(("make", "radius"), [*product((Linf, L2, L1), RADII)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_no_image_of_8_bits_leaves_ball_or_box(make: Any, radius: float, dtype: torch.dtype) -> None:
    """Also from the ball's surface, from just short of whole levels, and for pixels at 0 and 1."""
    draws = generator(1, "eight-bits")
    levels = torch.randint(0, 256, (60, 1, 5, 5), generator=draws).double()
    levels[:20] = torch.randint(0, 2, (20, 1, 5, 5), generator=draws) * 255.0
    ball = make(radius / 255)
    x = levels.to(dtype) / 255
    step = torch.randn(60, 1, 5, 5, generator=draws, dtype=torch.float64)
    step[::3] *= torch.rand(20, 1, 5, 5, generator=draws, dtype=torch.float64) < 0.2
    near = ball.project((x + step.to(dtype)).clamp(0, 1), x).clamp(0, 1)
    short = ((near.double() * 255).round() - 0.0007 * step.sign()).div(255).clamp(0, 1).to(dtype)
    lattice = Lattice(levels, ball)
    for images in (near, ball.project(short, x), torch.rand(60, 1, 5, 5, generator=draws).to(dtype)):
        moved = lattice.moved(images)
        for points in (lattice.nearest(moved), lattice.towards(moved, step), lattice.towards(moved, -step)):
            assert outside(points, ball).max() <= 1e-9
            assert torch.equal(points, points.round())
            assert (levels + points).min() >= 0
            assert (levels + points).max() <= 255
            assert lattice.holds(points).all()


def test_what_the_nearest_levels_are() -> None:
    """As near as can be where the ball holds that, and else towards the clean image; a whole step stays one."""
    levels = torch.full((2, 1, 2, 2), 100.0, dtype=torch.float64)
    moved = torch.tensor([[2.0 - 1e-6, -2.0 + 1e-6, 2.5, -1.7], [1.6, -0.4, 2.4, -2.4]]).view(2, 1, 2, 2).double()
    points = Lattice(levels, Linf(2.4999 / 255)).nearest(moved)
    assert points.flatten(1).tolist() == [[2, -2, 2, -2], [2, 0, 2, -2]]
    moved[0, 0, 1] = torch.tensor([2.6, -1.7])
    # In the first example the nearest level of 2.6 is outside, so that all its pixels are drawn in; not in the second.
    points = Lattice(levels, Linf(2.7 / 255)).nearest(moved)
    assert points.flatten(1).tolist() == [[2, -2, 2, -1], [2, 0, 2, -2]]
    assert Lattice(levels, Linf(1.0)).nearest(moved).flatten(1).tolist() == [[2, -2, 3, -2], [2, 0, 2, -2]]
    # 1.9995 is within a thousandth of 2, but three times 2 levels are too many for this ball.
    moved = torch.tensor([1.9995, 1.9995, 1.9995, 0.0], dtype=torch.float64).view(1, 1, 2, 2)
    assert Lattice(levels[:1], L2(math.hypot(2, 2, 2) / 255)).nearest(moved).flatten().tolist() == [2, 2, 2, 0]
    assert Lattice(levels[:1], L2(3.4635 / 255)).nearest(moved).flatten().tolist() == [1, 1, 1, 0]


@pytest.mark.parametrize("ball", [Linf(2.4 / 255), L2(4.1 / 255), L1(6.5 / 255)])
def test_towards_takes_the_levels_that_raise_a_linear_function_most(ball: Ball) -> None:
    """Against all 2^6 choices of the level inside or outside; in L2 the greedy choice comes within a tenth of it."""
    draws = generator(2, "towards")
    levels = torch.randint(0, 256, (40, 1, 2, 3), generator=draws).double()
    moved = torch.randn(40, 1, 2, 3, generator=draws, dtype=torch.float64) * 2
    moved = torch.minimum(torch.maximum(ball.project(moved / 255, 0 * moved) * 255, -levels), 255 - levels)
    slope = torch.randn(40, 1, 2, 3, generator=draws, dtype=torch.float64)
    lattice = Lattice(levels, ball)
    inner, outer = moved.trunc(), moved.sign()
    choices = torch.tensor([*product((0.0, 1.0), repeat=6)], dtype=torch.float64).view(64, 1, 1, 2, 3)
    every = inner + choices * outer * (moved != inner)
    allowed = torch.stack([lattice.holds(points) for points in every])
    gains = ((every - inner) * slope).flatten(2).sum(2).masked_fill(~allowed, -math.inf)
    found = ((lattice.towards(moved, slope) - inner) * slope).flatten(1).sum(1)
    best = gains.amax(0)
    assert (best > 0).any()
    if ball.norm == "l2":
        assert (found <= best + 1e-12).all()
        assert found.sum() >= 0.9 * best.sum()
    else:
        torch.testing.assert_close(found, best)


def test_a_thrifty_attack_on_a_sound_net_survives_rounding_by_the_search() -> None:
    """Images drawn back to just beyond the boundary: to the nearest level many no longer fool, but others do."""
    x, y = digits()
    attack = Nearest(Linf(0.1))
    found = attack(trained(), x, y, seeds=torch.arange(len(y)))
    broken = trained()(found.images).argmax(1) != y
    nearest = ((found.images * 255).round() / 255).clamp(0, 1)
    assert (trained()(nearest).argmax(1) != y)[broken].float().mean() < 0.8  # the trap is set
    attacks: dict[str, Attack] = {"near": attack, "pgd": PGD(Linf(0.1), steps=20)}
    report = evaluate_robustness(trained(), x[:80], y[:80], attacks, sweep=None)
    verdicts = {finding.name: finding for finding in report.findings}
    assert verdicts[SURVIVES].verdict == "pass"
    assert verdicts[SURVIVES].numbers["survive"] == verdicts[SURVIVES].numbers["broken"] > 30
    for result in report.attacks.values():
        assert torch.equal(result.broken_rounded, result.broken)
    assert report.attacks["near"].rounding.sum() > 0
    assert report.attacks["near"].rounding[~report.attacks["near"].broken].sum() == 0
    assert report.attacks["near"].queries.sum() == int(found.queries[:80].sum())


@pytest.mark.parametrize("ball", [L2(0.4), L1(2.0), None])
def test_the_search_holds_in_every_norm_and_without_a_ball(ball: Ball | None) -> None:
    x, y = digits()
    whole = Linf(0.1) if ball is None else ball
    images = Nearest(whole)(trained(), x, y, seeds=torch.arange(len(y))).images
    levels = (x * 255).round()
    fooled = trained()(images).argmax(1) != y
    portion = portion_of(levels, y)._replace(images=x)
    pixels, right, spent = rounded(trained(), images, fooled, portion, ball)
    assert fooled.sum() > 20
    assert (spent > 0).any()
    assert right[fooled].float().mean() < 0.02
    assert torch.equal(right, trained()(pixels.float() / 255).argmax(1) == y)
    if ball is None:  # every pixel is one of the two levels around it
        assert (pixels - images * 255).abs().max() < 1 + 1e-4
    else:
        assert outside(pixels.double() - levels.double(), ball).max() <= 1e-9


class OffTheGrid(nn.Module):
    """Sound on images of 8 bits; any other image is read upside down."""

    def forward(self, images: Images) -> Logits:
        fraction = (images * 255 - (images * 255).round()).abs().flatten(1).amax(1, keepdim=True)
        logits: Tensor = trained()(images)
        return torch.where(fraction > 0.01, -logits, logits)


@dataclass(frozen=True)
class Nudge(Nearest):
    """Half a level upwards, wherever that leads."""

    def __call__(self, model: Any, images: Images, labels: Tensor, **rest: Any) -> Any:
        found = FGSM(self.ball)(model, images, labels)
        return found._replace(images=(images + 0.5 / 255 * (images < 0.5)).clamp(0, 1))


def test_where_rounding_truly_matters_the_finding_fails() -> None:
    """A ball smaller than a level holds no other image of 8 bits; and a model may read those alone soundly."""
    x, y = digits()
    attacks: dict[str, Attack] = {"nudge": Nudge(Linf(0.9 / 255))}
    report = evaluate_robustness(OffTheGrid(), x[:40], y[:40], attacks, sweep=None)
    finding = next(finding for finding in report.findings if finding.name == SURVIVES)
    assert finding.verdict == "fail"
    assert finding.numbers["survive"] == 0 < finding.numbers["broken"]
    wide = replace(attacks["nudge"], ball=Linf(4 / 255))  # type: ignore[type-var]
    report = evaluate_robustness(OffTheGrid(), x[:40], y[:40], {"nudge": wide}, sweep=None)
    finding = next(finding for finding in report.findings if finding.name == SURVIVES)
    assert finding.verdict == "fail"


def test_rounding_can_undo_an_attack_and_nothing_else_holds() -> None:
    """One pixel, a boundary half a level down, and a ball of less than a level."""
    model = Linear(torch.ones(3) * 4, -6.0 - 0.5 * 12 / 255)
    levels = torch.full((1, 3, 1, 1), 128.0)
    x = levels / 255
    y = model(x).argmax(1)
    images = x - 0.7 / 255
    fooled = model(images).argmax(1) != y
    assert fooled.all()
    _, right, spent = rounded(model, images, fooled, portion_of(levels, y), Linf(0.9 / 255))
    assert right.all()
    assert 2 < int(spent) <= 11
    pixels, right, _ = rounded(model, images, fooled, portion_of(levels, y), Linf(1.0 / 255))
    assert not right.any()
    assert pixels.flatten().tolist() == [127, 127, 127]


def test_a_gradient_that_is_not_finite_leads_nowhere_but_does_no_harm() -> None:
    model, x, y = linear_task()

    def broken(images: Images) -> Logits:
        logits: Tensor = model(images) + 0 * (images - images.detach()).abs().sqrt().sum((1, 2, 3))[:, None]
        return logits

    portion = portion_of((x * 255).round(), y)
    pixels, _, _ = rounded(broken, x, torch.ones(len(y)).bool(), portion, Linf(8 / 255))
    assert torch.equal(pixels, (x * 255).round().to(torch.uint8))
