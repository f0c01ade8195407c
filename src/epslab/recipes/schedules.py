"""Learning rates over training: each is a factor of the recipe's rate, a function of the share of training done."""

import math
from collections.abc import Callable

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from epslab.training.turns import ScheduleFactory

_RISE = 0.3  # share of training over which one cycle's rate rises
_START = 0.04  # of its peak
_EVERY = 7  # epochs between two steps down


def cosine(done: float, epochs: int = 1) -> float:
    """Half a cosine from 1 to 0 (Loshchilov & Hutter, 2017, without restarts)."""
    return 0.5 * (1 + math.cos(math.pi * done))


def one_cycle(done: float, epochs: int) -> float:
    """From 1/25 of the peak up to it over the first 30 %, then down to 0: half a cosine each (Smith & Topin, 2019)."""
    if done < _RISE:
        return _START + (1 - _START) * (1 - cosine(done / _RISE))
    return cosine((done - _RISE) / (1 - _RISE))


def step(done: float, epochs: int) -> float:
    """A tenth after every 7 epochs."""
    return float(0.1 ** math.floor(done * epochs / _EVERY))


FACTORS: dict[str, Callable[[float, int], float]] = {"one-cycle": one_cycle, "cosine": cosine, "step": step}
"""By name: share of training done in [0, 1], and all its epochs, to the factor of the learning rate."""


def schedule(name: str, epochs: int) -> ScheduleFactory | None:
    """The schedule of this name; None for "constant".

    It depends on the number of steps alone, so that a run resumed for more epochs follows the longer schedule.
    """
    if name == "constant":
        return None
    factor = FACTORS[name]

    def make(optimiser: Optimizer, steps: int) -> LRScheduler:
        return LambdaLR(optimiser, lambda taken: factor(min(1.0, taken / max(1, steps)), epochs))

    return make
