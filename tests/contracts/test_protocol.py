"""What every attack answers about itself: its norm, its radius, its part for some examples, its thorough form."""

import math

import pytest
import torch
from torch import Tensor

from epslab.attacks import FGSM, PGD, Attack, Attacked, RandomNoise, Restarts, Transfer, WorstCase, margin, targeted
from epslab.geometry import L1, L2, Linf

from .attacks import RADIUS, Case
from .models import CLASSES, Watched, classifier, images, labels_for, predicted

N = 10
SEEDS = torch.arange(N)
SOME = torch.tensor([7, 2, 9])
SHARES = torch.linspace(0.1, 4.0, N, dtype=torch.float64)


def test_norm_and_radius_are_those_of_its_ball(case: Case) -> None:
    assert isinstance(case.attack, Attack)
    if case.norm is None:
        assert case.attack.norm == case.own_norm
        assert case.attack.radius == math.inf
        return
    assert case.attack.norm == case.norm
    assert case.attack.radius == RADIUS[case.norm]
    several = case.make(case.ball(SHARES)).radius
    assert isinstance(several, Tensor)
    assert torch.equal(several, RADIUS[case.norm] * SHARES)


def test_a_part_is_the_attack_for_those_examples(case: Case) -> None:
    attack = case.make(case.ball(SHARES))
    model, x = classifier(dtype=torch.float64), images(N, dtype=torch.float64)
    y = labels_for(model, x)
    whole = attack(model, x, y, seeds=SEEDS)
    part = attack.part(SOME)(model, x[SOME], y[SOME], seeds=SEEDS[SOME])
    for found, expected in zip(part, whole, strict=True):
        torch.testing.assert_close(found, expected[SOME], atol=1e-9, rtol=0.0)


def test_thorough_leaves_no_example_early(case: Case) -> None:
    if case.norm is None:
        pytest.skip("goes for the least distance: there is no greater loss to go for")
    model, x = classifier(), images(N)
    y = labels_for(model, x)  # the second image is wrong without an attack
    thorough = case.make(case.ball(2.0)).thorough()
    found = thorough(model, x, y, seeds=SEEDS)
    assert (found.gradients == found.gradients[0]).all(), "nobody leaves early"
    assert (found.queries == found.queries[0]).all()
    assert found.distance[1] > 0
    assert isinstance(thorough, Attack)


class TowardsTheirOwn:
    """Targets, radii and starting points that differ from example to example, in composites of composites."""

    x = images(N, dtype=torch.float64)
    model = classifier(dtype=torch.float64)
    y = predicted(model, x)
    targets = (y + 1 + torch.arange(N) % 3) % CLASSES
    points = (x + 0.01 * torch.linspace(-1, 1, N, dtype=torch.float64)[:, None, None, None]).clamp(0, 1)
    ball = Linf(RADIUS["linf"] * SHARES)
    pgd = PGD(ball, steps=3, goal=targeted(targets))


def _composites() -> dict[str, Attack]:
    own = TowardsTheirOwn
    going_on = own.pgd.going_on_from(own.points)
    return {
        "worst case of noise and going on": WorstCase((RandomNoise(own.ball, draws=20), going_on)),
        "restarts of going on": Restarts(going_on, 3),
        "composite of composites": Restarts(WorstCase((FGSM(own.ball), Restarts(going_on, 2))), 2),
        "transfer": Transfer(lambda x: own.model(x).roll(1, 1), WorstCase((FGSM(own.ball), going_on))),
    }


@pytest.mark.parametrize("name", _composites())
def test_what_is_held_per_example_goes_along_into_composites(name: str) -> None:
    attack, own = _composites()[name], TowardsTheirOwn
    whole = attack(own.model, own.x, own.y, seeds=SEEDS)
    for index in [SOME, *torch.arange(N)[:, None]]:
        part = attack.part(index)(own.model, own.x[index], own.y[index], seeds=SEEDS[index])
        for found, expected in zip(part, Attacked(*[values[index] for values in whole]), strict=True):
            torch.testing.assert_close(found, expected, atol=1e-9, rtol=0.0)


def _leaving() -> dict[str, Attack]:
    pgd = PGD(Linf(0.1), steps=3)
    return {
        "restarts": Restarts(pgd, 2),
        "worst case": WorstCase((FGSM(Linf(0.1)), pgd)),
        "going on": pgd.going_on_from(images(N)),
        "composite of composites": WorstCase((Restarts(pgd, 2), Restarts(WorstCase((pgd,)), 2))),
    }


@pytest.mark.parametrize("name", _leaving())
def test_thorough_leaves_nobody_early_in_composites(name: str) -> None:
    model, x = classifier(), images(N)
    y = predicted(model, x)
    attack = _leaving()[name]
    early = attack(model, x, y, seeds=SEEDS)
    assert early.success.all(), "so that there is something to leave at"
    watched = Watched(lambda points: model(points))
    found = attack.thorough()(watched, x, y, seeds=SEEDS)
    steps = {"restarts": 6, "worst case": 4, "going on": 3, "composite of composites": 12}[name]
    assert (found.gradients == steps).all()
    assert set(watched.differentiated) == {N}
    gained = margin(model(found.images), y) - margin(model(early.images), y)
    assert (gained >= 0).all()
    assert (gained > 0).sum() > N / 2


def test_a_thorough_composite_keeps_the_success_of_greatest_margin() -> None:
    """The second attack goes further than the first, and both succeed: without ``thorough`` it is not asked."""
    model, x = classifier(), images(N)
    y = predicted(model, x)
    parts = (PGD(Linf(0.05), steps=3), PGD(Linf(0.2), steps=3), PGD(Linf(0.1), steps=3))
    alone = [part.thorough()(model, x, y, seeds=SEEDS) for part in parts]
    best = torch.stack([margin(model(found.images), y) for found in alone]).amax(0)
    found = WorstCase(parts).thorough()(model, x, y, seeds=SEEDS)
    torch.testing.assert_close(margin(model(found.images), y), best)


def test_the_worst_case_over_norms_has_no_ball() -> None:
    mixed = WorstCase((FGSM(L2(0.5)), FGSM(L1(2.0))))
    assert (mixed.norm, mixed.radius) == ("l2", math.inf)
    model, x = classifier(), images(N)
    found = mixed(model, x, predicted(model, x), seeds=SEEDS)
    torch.testing.assert_close(found.distance, L2(0.0).distance(found.images, x))
    inner = WorstCase((FGSM(L2(0.5)), FGSM(L2(torch.tensor([0.1, 0.9], dtype=torch.float64)))))
    assert inner.norm == "l2"
    assert torch.equal(torch.as_tensor(inner.radius), torch.tensor([0.5, 0.9], dtype=torch.float64))


def test_a_transfer_leaves_alone_what_is_wrong_unless_it_is_thorough() -> None:
    model, x = classifier(), images(N)
    wrong = (predicted(model, x) + 1) % CLASSES
    attack = Transfer(classifier(seed=1), PGD(Linf(0.1), steps=2))
    assert (attack(model, x, wrong, seeds=SEEDS).distance == 0).all()
    found = attack.thorough()(model, x, wrong, seeds=SEEDS)
    assert (found.distance > 0).all()
    assert (found.queries == 0).all(), "the model itself is not asked"
