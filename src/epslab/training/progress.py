"""The progress line in the terminal: epoch, rate, time left, loss."""

import math
import time
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from epslab.lightning import LightningModule, ProgressBar, Trainer

if TYPE_CHECKING:
    from epslab.training.module import TrainingModule

_SECONDS = 0.25
"""Time between two updates: Lightning's own bar, redrawn at every batch, costs more than a small model's step."""


class ProgressLine(ProgressBar):
    """One bar over the whole run, on standard error if that is a terminal.

    Args:
        batch_size: Examples in a batch over all processes, for the rate.
        console: None: standard error.
    """

    def __init__(self, batch_size: int, console: Console | None = None) -> None:
        super().__init__()
        self._batch_size = batch_size
        self._console = console or Console(stderr=True)
        self._bar: Progress | None = None
        self._task = TaskID(0)
        self._next = 0.0
        self._first = (0, 0.0)

    def disable(self) -> None:
        """Lightning calls this in all processes but the first."""
        self._console.quiet = True

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw the bar, from the first step that is still to come."""
        if not self._console.is_terminal or self._console.quiet:
            return
        module: TrainingModule = pl_module  # type: ignore[assignment]
        columns = ("[bold]{task.fields[epoch]}", BarColumn(), MofNCompleteColumn(), "{task.fields[rate]}")
        self._bar = Progress(
            *(TextColumn(column) if isinstance(column, str) else column for column in columns),
            TimeRemainingColumn(),
            TextColumn("{task.fields[loss]}"),
            console=self._console,
            transient=True,
            refresh_per_second=4,
        )
        total = (trainer.max_epochs or 0) * module.steps_per_epoch
        self._task = self._bar.add_task("", total=total, epoch="", rate="", loss="")
        self._first = (module.standing.step, time.monotonic())
        self._bar.start()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Advance the bar, a few times a second."""
        now = time.monotonic()
        if self._bar is None or now < self._next:
            return
        self._next = now + _SECONDS
        module: TrainingModule = pl_module  # type: ignore[assignment]
        standing = module.standing
        step, started = self._first
        rate = (standing.step - step) * self._batch_size / max(now - started, 1e-9)
        self._bar.update(
            self._task,
            completed=standing.step,
            epoch=f"epoch {standing.epoch + 1}/{trainer.max_epochs}",
            rate=f"{rate:,.0f} {module.noun}/s",
            loss="" if math.isnan(module.recent_loss) else f"loss {module.recent_loss:.4g}",
        )

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Leave the terminal clean."""
        self._stop()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Leave the terminal clean."""
        self._stop()

    def _stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
