"""Learning rates by name: their shapes, and that a run resumed for longer follows the longer one."""

import pytest
import torch
from torch.optim import SGD
from torch.optim.lr_scheduler import CosineAnnealingLR, StepLR

from epslab.recipes.schedules import schedule


def rates(name: str, steps: int, epochs: int) -> list[float]:
    optimiser = SGD([torch.nn.Parameter(torch.zeros(1))], lr=2.0)
    make = schedule(name, epochs)
    assert make is not None
    scheduler = make(optimiser, steps)
    found = []
    for _ in range(steps):
        found.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        scheduler.step()
    return [*found, optimiser.param_groups[0]["lr"]]


def test_cosine_is_torchs() -> None:
    optimiser = SGD([torch.nn.Parameter(torch.zeros(1))], lr=2.0)
    scheduler = CosineAnnealingLR(optimiser, 20)
    expected = []
    for _ in range(21):
        expected.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        scheduler.step()
    assert rates("cosine", 20, 4) == pytest.approx(expected)


@pytest.mark.parametrize("steps_per_epoch", [1, 3, 7, 90])
def test_step_is_the_courses(steps_per_epoch: int) -> None:
    """StepLR(7, 0.1), stepped after every epoch."""
    optimiser = SGD([torch.nn.Parameter(torch.zeros(1))], lr=2.0)
    scheduler = StepLR(optimiser, 7, 0.1)
    expected = []
    for _ in range(30):
        expected += [optimiser.param_groups[0]["lr"]] * steps_per_epoch
        optimiser.step()
        scheduler.step()
    assert rates("step", 30 * steps_per_epoch, 30)[:-1] == pytest.approx(expected)


def test_one_cycle_rises_for_three_tenths_and_falls_to_nothing() -> None:
    found = rates("one-cycle", 100, 10)
    assert found[0] == pytest.approx(2.0 / 25)
    assert found[30] == pytest.approx(2.0)
    assert found[100] == pytest.approx(0, abs=1e-12)
    assert found[:31] == sorted(found[:31])
    assert found[30:] == sorted(found[30:], reverse=True)


def test_constant_is_none() -> None:
    assert schedule("constant", 3) is None


def test_a_state_taken_up_by_a_longer_schedule_follows_it() -> None:
    optimiser = SGD([torch.nn.Parameter(torch.zeros(1))], lr=2.0)
    make = schedule("one-cycle", 1)
    assert make is not None
    short, long = make(optimiser, 10), make(optimiser, 20)
    for _ in range(10):
        optimiser.step()
        short.step()
    long.load_state_dict(short.state_dict())
    optimiser.step()
    long.step()
    assert optimiser.param_groups[0]["lr"] == pytest.approx(rates("one-cycle", 20, 1)[11])
