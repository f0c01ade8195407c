"""The Lightning callback that keeps a run's folder: curves, best weights, checkpoints, interruptions.

Lightning's ``ModelCheckpoint`` and ``EarlyStopping`` do not serve here: a bit-exact resume needs the epoch's sums, the
clock and the best value in the checkpoint itself, all processes must agree on each checkpoint, and a complete run must
be recognised without a Trainer.
"""

import time
from typing import Any

import torch

from epslab.errors import UserError
from epslab.lightning import Callback, LightningModule, Trainer
from epslab.runs import Run
from epslab.runs.lock import Held
from epslab.training import health
from epslab.training.checkpoints import mark_best
from epslab.training.curves import Curves
from epslab.training.limits import Interrupted
from epslab.training.module import TrainingModule
from epslab.training.processes import anywhere, reduced
from epslab.training.settings import Monitor
from epslab.training.surroundings import catch_signals
from epslab.training.turns import column

PULSE = 32
"""Batches between two checks: is the loss finite, is a checkpoint due?"""
_NEVER = 2.0**53
"""Greater than the number of any step."""


class Keeper(Callback):
    """Writes the run's folder.

    Args:
        run: The first process writes to it.
        module: What is written: its averages, sums and standing.
        monitor: Which epoch's weights are kept.
        held: The lock of the folder.
        resumed: Training goes on from a checkpoint.
        sharded: The strategy splits the weights over processes.
    """

    def __init__(
        self,
        run: Run,
        module: TrainingModule,
        monitor: Monitor,
        held: Held,
        *,
        resumed: bool = False,
        sharded: bool = False,
    ) -> None:
        self._run = run
        self._module = module
        self._settings = module.settings
        self._monitor = monitor
        self.held = held
        self._resumed = resumed
        self._sharded = sharded
        self.signal: int | None = None  #: what asked for the end
        self._interrupt = False
        self._curves: Curves | None = None
        self._metrics: dict[str, float] = {}
        self._clock = 0.0
        self._due = 0.0

    def _request_stop(self, number: int) -> None:
        """Stop after the current batch, with a checkpoint."""
        self._interrupt, self.signal = True, number

    def close(self) -> None:
        """Close the curves."""
        if self._curves is not None:
            self._curves.close()

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Open the curves, after the last row that the checkpoint knows."""
        if trainer.is_global_zero:
            self._curves = Curves(self._run, self._module.standing if self._resumed else None)
        self._plan_checkpoint()
        self._clock = time.monotonic()

    def on_sanity_check_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Catch signals from here on: Lightning has just set a handler of SIGTERM that stops without a checkpoint."""
        catch_signals(self._request_stop)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Catch signals, in case validation did not come first."""
        if not self._interrupt:
            catch_signals(self._request_stop)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the epoch's clock."""
        self._module.standing.seconds = 0.0
        self._clock = time.monotonic()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Every few batches: stop if a loss was not finite; write a checkpoint if one is due or a stop is requested."""
        limit = self._settings.limits.max_steps
        reached = limit is not None and self._module.standing.step >= limit
        paused = self._module.standing.step == self._settings.limits.pause_after
        self._interrupt = self._interrupt or paused
        last = batch_idx + 1 == self._module.steps_per_epoch or reached
        due = time.monotonic() >= self._due
        alone = trainer.world_size == 1
        if last or paused or (batch_idx + 1) % PULSE == 0 or (alone and (due or self._interrupt)):
            due, interrupt = self._pulse(due)
            if (due or interrupt) and not last:
                self._checkpoint(trainer)
                if interrupt:
                    self._stop_within_epoch(trainer)
        if last:
            self._module.standing.seconds += self._lap()
        if reached:
            trainer.should_stop = True

    def _stop_within_epoch(self, trainer: Trainer) -> None:
        """End training with its state on disk, and weights too if no epoch is complete yet.

        Raises:
            Interrupted: Always.
        """
        if anywhere(not self._run.weights.exists(), self._module.device):
            average = self._module.average
            if average is None:
                self._save_weights(trainer)
            else:
                with average.swapped():
                    self._save_weights(trainer)
        raise Interrupted

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Validate the averaged weights, if there is an average."""
        if self._module.average is not None:
            self._module.average.swap()

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the epoch's row, its weights if they are the best so far, and what the caller draws."""
        module, standing = self._module, self._module.standing
        before = trainer.sanity_checking
        epoch = 0 if before else standing.epoch + 1
        self._metrics = module.latest = {**({} if before else module.means("train")), **module.means("val")}
        self._check_losses(epoch)
        self._check_lock()
        if not before:
            self._keep_best(trainer, epoch)
        if self._curves is not None:
            self._curves.add(epoch, standing.step, self._metrics, {} if before else self._timing())
        on_epoch = self._settings.on_epoch
        if on_epoch is not None and trainer.is_global_zero and not self._sharded:
            module.reseed("on_epoch", epoch)
            on_epoch(module.model, epoch, self._run)
        if module.average is not None:
            module.average.swap()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The epoch is complete: decide on stopping early, write the checkpoint."""
        standing = self._module.standing
        standing.epoch += 1
        done = self._settings.reached(standing)
        if done:
            trainer.should_stop = True
        self._checkpoint(trainer)
        if anywhere(self._interrupt, self._module.device) and not done:
            raise Interrupted

    @property
    def _place(self) -> tuple[int, int]:
        """The current epoch, from 1, and the batches completed."""
        standing = self._module.standing
        return min(standing.epoch + 1, self._settings.epochs), standing.step

    def _pulse(self, due: bool) -> tuple[bool, bool]:
        """Check the losses since the last pulse; agree with all processes on a checkpoint and on an interruption.

        Raises:
            UserError: A loss was not finite.
        """
        bad, means = self._module.recent.take()
        flags = torch.tensor(
            [_NEVER if bad is None else bad, -float(due), -float(self._interrupt)], dtype=torch.float64
        )
        first, is_due, is_interrupted = reduced(flags, "MIN", self._module.device).tolist()
        if first < _NEVER:
            health.stop("The loss", self._run, self._place[0], int(first) + 1)
        self._module.recent_loss = next(iter(means.values()), self._module.recent_loss)
        if self._curves is not None:
            step = self._module.standing.step
            self._curves.add_steps(step, {column("train", name, "loss_step"): means[name] for name in means})
        return is_due < 0, is_interrupted < 0

    def _checkpoint(self, trainer: Trainer) -> None:
        """Write the whole state, if the weights are finite."""
        standing = self._module.standing
        self._check_lock()
        if anywhere(not health.finite(self._module.model), self._module.device):
            health.stop("The weights", self._run, *self._place)
        if self._curves is not None:
            self._curves.flush()
        standing.seconds += self._lap()
        trainer.save_checkpoint(self._run.last_checkpoint, weights_only=False)
        if trainer.is_global_zero and standing.best_epoch == standing.epoch > 0:
            mark_best(self._run)
        self._plan_checkpoint()

    def _check_lock(self) -> None:
        """Stop where another machine has taken the folder over.

        Raises:
            UserError: It has.
        """
        self.held.lost = anywhere(self.held.lost, self._module.device)
        self.held.check()

    def _plan_checkpoint(self) -> None:
        self._due = time.monotonic() + 60.0 * self._settings.limits.checkpoint_minutes

    def _check_losses(self, epoch: int) -> None:
        """Stop at a loss that is not finite.

        Raises:
            UserError: There is one.
        """
        bad = health.first_bad_loss(self._metrics)
        if bad is not None:
            health.stop(bad, self._run, epoch, self._module.standing.step)

    def _keep_best(self, trainer: Trainer, epoch: int) -> None:
        """Save the epoch's weights if they are the best so far, or the first."""
        standing, column = self._module.standing, self._monitor.column
        if column is not None and column not in self._metrics:
            raise UserError(f"monitor='{column}' is no column of this run; choose one of: {', '.join(self._metrics)}.")
        value = float("inf") if column is None else self._metrics[column]
        better = self._monitor.improves(value, standing)
        if better:
            standing.best_epoch, standing.best_value = epoch, value
        if better or anywhere(not self._run.weights.exists(), self._module.device):
            self._save_weights(trainer)

    def _save_weights(self, trainer: Trainer) -> None:
        state = trainer.strategy.lightning_module_state_dict()  # gathered from all processes if the weights are split
        if trainer.is_global_zero:
            weights = {name.removeprefix("model."): tensor for name, tensor in state.items()}
            standing = self._module.standing
            about = {"epoch": standing.best_epoch, "monitor": self._monitor.column, "value": standing.value}
            self._run.save_weights(weights, about)

    def _timing(self) -> dict[str, float]:
        seconds = self._module.standing.seconds
        return {"seconds": seconds, f"{self._module.noun}_per_second": self._module.examples_seen / seconds}

    def _lap(self) -> float:
        """Seconds since the clock was last read."""
        before, self._clock = self._clock, time.monotonic()
        return self._clock - before
