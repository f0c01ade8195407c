"""The settings that all recipes share, each a flag of ``epslab train``, and their checks."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from epslab.recipes.checks import require


@dataclass(frozen=True)
class TrainingSettings:
    """How a model is trained, whatever it is. A recipe's own settings extend it: their fields become flags.

    >>> @dataclass(frozen=True)
    ... class MySettings(TrainingSettings):
    ...     width: int = 64
    >>> MySettings(epochs=3)
    MySettings(epochs=3, batch_size=128, learning_rate=0.001, schedule='constant', gradient_clip=None, ema_decay=None, \
patience=None, validation_fraction=0.1, half='all', width=64)

    A recipe from outside also has a method ``plan(self, images, seed)`` that returns an ``epslab.recipes.Plan``.

    Args:
        epochs: Passes over the training data.
        batch_size: Examples per step, over all processes together.
        learning_rate: Learning rate at its highest; null: the usual one of the optimiser.
        schedule: Learning rate over training: "constant"; "cosine" down to 0; "one-cycle" up and down to 0; "step", a
            tenth after every 7 epochs.
        gradient_clip: Largest gradient norm of a step, in nats per example; none if null.
        ema_decay: Decay per step of the moving average of the weights that is evaluated and saved; none if null.
        patience: Epochs without a better validation after which training stops; never if null.
        validation_fraction: Share of the training data held out to choose the best epoch.
        half: Train and validate on "all" training data, or on one of two disjoint halves of it, "A" or "B", which are
            the same for every seed.

    Raises:
        UserError: A value cannot work; the sentence names the flag, its value and what it may be.
    """

    classifies: ClassVar[bool] = False
    """Whether the model maps images to logits: then ``epslab attack`` takes its runs."""
    options: ClassVar[type | None] = None
    """A dataclass of what ``epslab evaluate`` may be asked for such a model; its fields are flags, too."""

    epochs: int = 20
    batch_size: int = 128
    learning_rate: float | None = 1e-3
    schedule: Literal["constant", "cosine", "one-cycle", "step"] = "constant"
    gradient_clip: float | None = None
    ema_decay: float | None = None
    patience: int | None = None
    validation_fraction: float = 0.1
    half: Literal["all", "A", "B"] = "all"

    def __post_init__(self) -> None:
        """Refuse settings that cannot work, before anything is loaded or written."""
        for field in ("epochs", "batch_size"):
            require(self, field, getattr(self, field) >= 1, "1 or more")
        for field in ("learning_rate", "gradient_clip"):
            require(self, field, getattr(self, field) is None or getattr(self, field) > 0, "more than 0, or null")
        require(self, "patience", self.patience is None or self.patience >= 1, "1 or more, or null")
        require(self, "ema_decay", self.ema_decay is None or 0 < self.ema_decay < 1, "between 0 and 1, or null")
        require(self, "validation_fraction", 0 < self.validation_fraction < 1, "between 0 and 1")
