"""Training's progress: epoch, rate, time left, loss."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from epslab.lightning import LightningModule, ProgressBar, Trainer
from epslab.progress import Display, Report
from epslab.runs import number
from epslab.training.limits import Interrupted

if TYPE_CHECKING:
    from epslab.training.module import TrainingModule

_LOSSES = 4
"""At most this many losses are named at the end of an epoch."""


class ProgressLine(ProgressBar):
    """The progress over the whole run, where somebody watches or in the log.

    Args:
        batch_size: Examples in a batch over all processes, for the rate.
        folder: Of the run, as it is named to the user.
        display: None: the place is chosen (``epslab.progress.display_here``).
    """

    def __init__(self, batch_size: int, folder: Path, display: Display | None = None) -> None:
        super().__init__()
        self._batch_size, self._folder, self._display = batch_size, folder, display
        self._silent = False
        self._report: Report | None = None

    def disable(self) -> None:
        """Lightning calls this in all processes but the first."""
        self._silent = True

    def say(self, sentence: str) -> None:
        """Show a sentence."""
        if not self._silent:
            (self._report or Report(1, "", self._display)).say(sentence)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start from the first step that is still to come."""
        if self._silent:
            return
        module: TrainingModule = pl_module  # type: ignore[assignment]
        total, scale = (trainer.max_epochs or 0) * module.steps_per_epoch, self._batch_size
        self._report = Report(
            total, "batches", self._display, first=module.standing.step, scale=scale, rated=module.noun
        )

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Advance."""
        module: TrainingModule = pl_module  # type: ignore[assignment]
        if self._report is not None:
            loss = module.recent_loss
            note = "" if math.isnan(loss) else f"loss {number(loss)}"
            self._report.at(module.standing.step, _epoch(trainer, module), note)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The epoch's losses."""
        module: TrainingModule = pl_module  # type: ignore[assignment]
        if self._report is not None:
            self._report.at(module.standing.step, _epoch(trainer, module), _losses(module.latest), milestone=True)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Leave the terminal clean."""
        self._close()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Leave the terminal clean, and say where training was stopped."""
        module: TrainingModule = pl_module  # type: ignore[assignment]
        paused = module.standing.step == module.settings.limits.pause_after
        if isinstance(exception, Interrupted) and not paused:
            self.say(f"Interrupted in {_epoch(trainer, module)}; the whole state is in '{self._folder}'.")
        self._close()

    def _close(self) -> None:
        if self._report is not None:
            self._report.close()
            self._report = None


def _epoch(trainer: Trainer, module: "TrainingModule") -> str:
    return f"epoch {min(module.standing.epoch + 1, trainer.max_epochs or 1)}/{trainer.max_epochs}"


def _losses(metrics: Mapping[str, float]) -> str:
    names = [name for name in metrics if name.rpartition("/")[2] == "loss"][:_LOSSES]
    return ", ".join(f"{name} {number(metrics[name])}" for name in names)
