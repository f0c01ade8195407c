"""The settings that all recipes share; each is a flag of ``epslab train``."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from epslab.recipes.checks import require, require_choices


@dataclass(frozen=True)
class TrainingSettings:
    """How a model of any kind is trained. A recipe's settings extend this class; their fields become flags.

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
        learning_rate: Highest learning rate; null: the optimiser's usual one.
        schedule: Learning rate over training: "constant"; "cosine" down to 0; "one-cycle" up and down to 0; "step", a
            tenth after every 7 epochs.
        gradient_clip: Largest gradient norm of a step, in nats per example; null: no clipping.
        ema_decay: Decay per step of the moving average of the weights, which is then evaluated and saved; null: no
            average.
        patience: Training stops after this many epochs without a better validation; null: it never stops early.
        validation_fraction: Share of the training data held out to choose the best epoch.
        half: Train and validate on "all" training data, or on one of two disjoint halves of it, "A" or "B", which are
            the same for every seed.

    Raises:
        UserError: A value cannot work; the sentence names the flag, its value and what it may be.
    """

    classifies: ClassVar[bool] = False
    """Whether the model maps images to logits; ``epslab attack`` takes such runs."""
    options: ClassVar[type | None] = None
    """A dataclass of the model's options in ``epslab evaluate``; its fields become flags."""

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
        require_choices(self)
        require(self, "1 or more", lambda n: n >= 1, "epochs", "batch_size", "patience")
        require(self, "more than 0", lambda x: x > 0, "learning_rate", "gradient_clip")
        require(self, "between 0 and 1", lambda x: 0 < x < 1, "ema_decay", "validation_fraction")

    def check_use(self) -> None:
        """Refuse settings that would have no effect, before a new run is trained; by default there are none.

        Raises:
            UserError: There is one; the sentence says what gives it an effect.
        """
