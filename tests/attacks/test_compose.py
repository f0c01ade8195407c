"""Attacks made of attacks: the worst of each example, and what it cost."""

import pytest
import torch

from epslab.attacks import FGSM, PGD, RandomNoise, Restarts, Transfer, WorstCase, cross_entropy
from epslab.errors import UserError
from epslab.geometry import Linf

from .models import conv_net, images

X = images(24)
SEEDS = torch.arange(24)
MODEL = conv_net()
Y = MODEL(X).argmax(1)
WEAK = PGD(Linf(3 / 255), steps=2, step_size=1 / 255)


def test_restarts_are_the_worst_of_their_runs() -> None:
    one = WEAK(MODEL, X, Y, seeds=SEEDS)
    found = Restarts(WEAK, 6)(MODEL, X, Y, seeds=SEEDS)
    assert (found.success | ~one.success).all()
    assert found.success.sum() > one.success.sum()
    assert torch.equal(found.images[one.success], one.images[one.success]), "the first run is the attack alone"
    stood = ~found.success
    assert (found.gradients[stood] == 6 * one.gradients[stood]).all()
    assert (found.gradients[one.success] == one.gradients[one.success]).all()


def test_the_worst_case_is_the_worst_of_its_parts() -> None:
    parts = (RandomNoise(Linf(3 / 255)), FGSM(Linf(3 / 255)), WEAK)
    alone = torch.stack([part(MODEL, X, Y, seeds=SEEDS).success for part in parts]).any(0)
    found = WorstCase(parts)(MODEL, X, Y, seeds=SEEDS)
    assert torch.equal(found.success, alone)
    assert torch.equal(found.success, MODEL(found.images).argmax(1) != Y)
    assert (found.gradients[~found.success] == 1 + 2).all()


def test_the_radius_of_a_worst_case_is_the_greatest_for_each_example() -> None:
    radii = torch.tensor([0.1, 0.3], dtype=torch.float64)
    assert WorstCase((FGSM(Linf(0.2)),)).radius == 0.2
    assert WorstCase((FGSM(Linf(0.2)), WEAK)).radius == 0.2
    for parts in ((FGSM(Linf(0.2)), FGSM(Linf(radii))), (FGSM(Linf(radii)), FGSM(Linf(0.2)))):
        assert torch.equal(torch.as_tensor(WorstCase(parts).radius), torch.tensor([0.2, 0.3], dtype=torch.float64))


def test_transfer_asks_the_model_once_and_takes_no_gradient_of_it() -> None:
    surrogate = conv_net(seed=1)
    found = Transfer(surrogate, PGD(Linf(8 / 255), steps=5))(MODEL, X, Y, seeds=SEEDS)
    assert (found.queries == 1).all()
    assert (found.gradients == 0).all()
    assert torch.equal(found.success, MODEL(found.images).argmax(1) != Y)


def test_transfer_goes_for_the_greatest_loss_of_the_surrogate() -> None:
    surrogate = conv_net(seed=1)
    attack = PGD(Linf(8 / 255), steps=5)
    found = Transfer(surrogate, attack)(MODEL, X, Y, seeds=SEEDS)
    stopped = attack(surrogate, X, Y, seeds=SEEDS)
    more = cross_entropy(surrogate(found.images), Y) - cross_entropy(surrogate(stopped.images), Y)
    assert more.mean() > 1


def test_transfer_leaves_alone_what_the_model_gets_wrong() -> None:
    wrong = Y.clone()
    wrong[:5] = (Y[:5] + 1) % 5
    found = Transfer(conv_net(seed=1), FGSM(Linf(8 / 255)))(MODEL, X, wrong)
    assert torch.equal(found.images[:5], X[:5])
    assert found.success[:5].all()
    assert (found.distance[:5] == 0).all()
    assert (found.distance[5:] > 0).all()


def test_wrong_settings() -> None:
    with pytest.raises(UserError, match="restarts is 0"):
        Restarts(WEAK, 0)
    with pytest.raises(UserError, match="at least one"):
        WorstCase(())
