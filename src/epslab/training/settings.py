"""What one training was asked for, checked."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from epslab.runs import Run
from epslab.training.limits import Limits, Standing, at_least_1, positive
from epslab.training.turns import Optimisation

OnEpoch = Callable[[nn.Module, int, Run], None]
"""(model, epochs completed, run): what is drawn before training and after every epoch."""


@dataclass(frozen=True)
class Monitor:
    """Which epoch's weights are kept.

    Args:
        column: The best epoch by this column, the first of equal ones; None: the last epoch.
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
        """Check the ranges."""
        at_least_1(epochs=self.epochs, batch_size=self.batch_size)
        positive(learning_rate=self.learning_rate)

    def reached(self, standing: Standing) -> bool:
        """Whether training is complete."""
        return self.limits.reached(standing, self.epochs)

    def plain(self) -> dict[str, object]:
        """What ``config.yaml`` repeats the run by, where the caller gives nothing else."""
        limits, optimisation = vars(self.limits), self.optimisation
        return {
            **{name: getattr(self, name) for name in ("epochs", "batch_size", "seed", "learning_rate")},
            "gradient_clip": optimisation.gradient_clip,
            "average": optimisation.average,
            **limits,
        }
