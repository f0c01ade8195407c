"""What a training was asked for, and how far it has come."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from epslab.errors import UserError
from epslab.runs import Run

OnEpoch = Callable[[nn.Module, int, Run], None]
"""(model, epochs completed, run): what is drawn before training and after every epoch."""


@dataclass
class Standing:
    """How far training has come: with weights, optimisers and sums, all that a resumed run goes on from."""

    epoch: int = 0  #: epochs completed
    step: int = 0  #: batches completed
    best_epoch: int = 0  #: 0: none yet
    best_value: float = float("inf")
    seconds: float = 0.0  #: spent training in the epoch at hand


@dataclass(frozen=True)
class Settings:
    """Arguments of ``fit``, under the same names.

    Raises:
        UserError: One is out of range.
    """

    epochs: int
    batch_size: int
    seed: int
    learning_rate: float
    monitor: str
    gradient_clip: float | None
    ema_decay: float | None
    patience: int | None
    checkpoint_minutes: float
    max_steps: int | None
    on_epoch: OnEpoch | None

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name in ("epochs", "batch_size", "patience", "max_steps"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UserError(f"{name}={value}: it must be at least 1.")
        for name in ("learning_rate", "gradient_clip"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise UserError(f"{name}={value}: it must be a positive number.")
        if not self.checkpoint_minutes >= 0:
            raise UserError(f"checkpoint_minutes={self.checkpoint_minutes}: it must be 0 or more.")
        if self.ema_decay is not None and not 0 <= self.ema_decay < 1:
            raise UserError(f"ema_decay={self.ema_decay}: the average's decay must lie in [0, 1), e.g. 0.999.")

    def reached(self, standing: Standing) -> bool:
        """Whether training is complete, by epochs, steps or patience."""
        return (
            standing.epoch >= self.epochs
            or (self.max_steps is not None and standing.step >= self.max_steps)
            or (self.patience is not None and standing.epoch - standing.best_epoch >= self.patience)
        )
