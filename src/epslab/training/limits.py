"""When training ends, and how far it is."""

import math
from dataclasses import dataclass

from epslab.errors import UserError


@dataclass(frozen=True)
class Limits:
    """When training ends before its last epoch, and how often its state is written within one.

    >>> from epslab.training import Limits
    >>> Limits(patience=10, checkpoint_minutes=1.0).max_steps is None
    True

    Args:
        patience: Stop after this many epochs without a better one; None: never.
        max_steps: Stop after this many batches, also within an epoch. That epoch then counts as complete, so a resumed
            run goes on with the next. None: no limit.
        checkpoint_minutes: Time between checkpoints within an epoch (with several processes: checked every 32 batches).
            0: at every check.
        pause_after: Pause after this many batches, as Ctrl-C would: the run then goes on with ``resume=True``, perhaps
            for more epochs. It is no setting of the run. None: never.

    Raises:
        UserError: One is out of range.
    """

    patience: int | None = None
    max_steps: int | None = None
    checkpoint_minutes: float = 5.0
    pause_after: int | None = None

    def __post_init__(self) -> None:
        at_least_1(patience=self.patience, max_steps=self.max_steps, pause_after=self.pause_after)
        if not self.checkpoint_minutes >= 0:
            raise UserError(f"checkpoint_minutes={self.checkpoint_minutes}: it must be 0 or more.")

    def reached(self, standing: "Standing", epochs: int) -> bool:
        """Whether training is complete, by epochs, steps or patience."""
        return (
            standing.epoch >= epochs
            or (self.max_steps is not None and standing.step >= self.max_steps)
            or (self.patience is not None and standing.epoch - standing.best_epoch >= self.patience)
        )


@dataclass
class Standing:
    """How far training is. A resumed run needs this, the weights, the optimisers and the sums."""

    epoch: int = 0  #: epochs completed
    step: int = 0  #: batches completed
    best_epoch: int = 0  #: the epoch whose weights are kept; 0: none yet
    best_value: float = float("inf")  #: the monitored value then
    seconds: float = 0.0  #: spent training in the current epoch

    @property
    def value(self) -> float | None:
        """The best value; None where there is none yet, or no monitor."""
        return self.best_value if self.best_epoch and math.isfinite(self.best_value) else None


def at_least_1(**counts: int | None) -> None:
    """Refuse counts below 1.

    Raises:
        UserError: One is below 1.
    """
    for name, count in counts.items():
        if count is not None and count < 1:
            raise UserError(f"{name}={count}: it must be at least 1.")


def positive(**values: float | None) -> None:
    """Refuse values that are not positive numbers.

    Raises:
        UserError: One is not.
    """
    for name, value in values.items():
        if value is not None and not 0 < value < float("inf"):
            raise UserError(f"{name}={value}: it must be a positive number.")


class Interrupted(Exception):  # noqa: N818 (it is no error)
    """Training was asked to stop and the state is on disk."""
