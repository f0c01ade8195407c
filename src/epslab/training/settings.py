"""The arguments of ``fit``, checked."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from epslab.runs import Run
from epslab.training.limits import Limits, Standing, at_least_1, positive
from epslab.training.turns import Optimisation

OnEpoch = Callable[[nn.Module, int, Run], None]
"""Called as (model, epochs completed, run) before training and after every epoch."""


@dataclass(frozen=True)
class Monitor:
    """Which epoch's weights are kept.

    Args:
        column: It marks the best epoch, on ties the first; None: the last epoch.
        higher: The best value is the greatest, not the smallest.
    """

    column: str | None
    higher: bool = False

    def improves(self, value: float, standing: Standing) -> bool:
        """Whether an epoch of this value is better than the best one so far."""
        if self.column is None:
            return True
        if standing.best_epoch == 0:
            return not math.isnan(value)
        return value > standing.best_value if self.higher else value < standing.best_value


@dataclass(frozen=True)
class Settings:
    """The arguments of ``fit`` that training itself needs, under the same names.

    Raises:
        UserError: One is out of range.
    """

    epochs: int
    batch_size: int
    seed: int
    learning_rate: float
    optimisation: Optimisation
    limits: Limits
    on_epoch: OnEpoch | None

    def __post_init__(self) -> None:
        at_least_1(epochs=self.epochs, batch_size=self.batch_size)
        positive(learning_rate=self.learning_rate)

    def reached(self, standing: Standing) -> bool:
        """Whether training is complete."""
        return self.limits.reached(standing, self.epochs)

    def plain(self) -> dict[str, object]:
        """The entries of ``config.yaml`` if the caller gives none."""
        own = {name: getattr(self, name) for name in ("epochs", "batch_size", "seed", "learning_rate")}
        steps = {name: getattr(self.optimisation, name) for name in ("gradient_clip", "average")}
        limits = {name: value for name, value in vars(self.limits).items() if name != "pause_after"}
        return own | steps | limits
