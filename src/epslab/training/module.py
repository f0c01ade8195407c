"""The LightningModule: turns, sums, averages, checks and checkpoints around a plain model. Private to training."""

import time
from collections.abc import Mapping
from typing import Any

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import nn
from torch.optim import Optimizer

from epslab.data import ImageSet
from epslab.data.loading import Loader, Shard
from epslab.errors import UserError
from epslab.runs import Run
from epslab.training import health
from epslab.training.average import Average
from epslab.training.checkpoints import KEY, mark_best
from epslab.training.curves import Curves
from epslab.training.processes import anywhere, reduced
from epslab.training.settings import Settings, Standing
from epslab.training.sums import RecentLosses, Sums
from epslab.training.surroundings import reseed
from epslab.training.turns import Gradients, Turn, adam, column
from epslab.types import Progress

PULSE = 32
"""Batches between two looks at the device: is the loss finite, is a checkpoint due?"""
_NEVER = 2.0**53
"""Greater than the number of any step."""


class Interrupted(Exception):  # noqa: N818 (it is no error)
    """Ctrl-C was pressed and the state is on disk."""


class TrainingModule(LightningModule):
    """What Lightning's Trainer runs: the plain model inside, its turns at every batch, and the run's folder.

    Args:
        model: The plain model.
        turns: By name; one nameless turn is the plain case.
        train: Trained on.
        validation: Validated on, before training and after every epoch.
        run: Written to by the first process.
        settings: As ``fit`` was given them.
        identity: What must be the same when a checkpoint is taken up again.
        sharded: The strategy splits the weights over processes.
    """

    def __init__(
        self,
        model: nn.Module,
        turns: Mapping[str, Turn],
        train: ImageSet,
        validation: ImageSet,
        run: Run,
        settings: Settings,
        identity: Mapping[str, object],
        *,
        sharded: bool = False,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.model = model
        self.standing = Standing()
        self.steps_per_epoch = -(-len(train) // settings.batch_size)
        self.recent_loss = float("nan")  # mean over the last few batches, for the progress bar
        self._interrupt = False
        self._sharded = sharded
        self._turns = dict(turns)
        self._gradients = Gradients(turns.values(), model)
        self._sets = (train, validation)
        self._run = run
        self.settings = settings
        self._identity = dict(identity)
        self._train_sums = {name: Sums(_what(name)) for name in turns}
        self._validation_sums = {name: Sums(_what(name)) for name in turns}
        self._recent = RecentLosses()
        self._average: Average | None = None
        self._restored: dict[str, Any] = {}
        self._curves: Curves | None = None
        self._metrics: dict[str, float] = {}
        self._clock = 0.0
        self._due = 0.0

    # What Lightning asks for

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """One optimiser, and where asked for one schedule, a turn."""
        fused = self.trainer.precision != "16-mixed" or self.settings.gradient_clip is None
        default = adam(self.settings.learning_rate, fused)
        optimisers, schedules = [], []
        for turn in self._turns.values():
            optimiser = (turn.optimiser or default)(turn.parameters())
            optimisers.append(optimiser)
            if turn.schedule is not None:
                steps = self.settings.epochs * self.steps_per_epoch // turn.every
                schedules.append(turn.schedule(optimiser, steps))
        return optimisers, schedules

    def __setattr__(self, name: str, value: Any) -> None:
        """Lightning notes each hook in an attribute, some 30 times a batch: spare it nn.Module's search for weights."""
        if name == "_current_fx_name":
            self.__dict__[name] = value
        else:
            super().__setattr__(name, value)

    def transfer_batch_to_device(self, batch: Shard, device: torch.device, dataloader_idx: int) -> Shard:
        """The batch: the loader has made it on the device."""
        return batch

    def train_dataloader(self) -> Loader:
        """Shuffled shards of the training set."""
        return self._loader(self._sets[0], training=True)

    def val_dataloader(self) -> Loader:
        """Shards of the validation set, in order."""
        return self._loader(self._sets[1], training=False)

    def _loader(self, images: ImageSet, training: bool) -> Loader:
        return Loader(
            images,
            self.settings.batch_size,
            seed=self.settings.seed,
            training=training,
            device=self.device,
            replicas=self.trainer.world_size,
            rank=self.global_rank,
        )

    # The walk through an epoch

    def on_fit_start(self) -> None:
        """Take up the checkpoint's state, now that the weights are where they stay."""
        if self.settings.ema_decay is not None:
            self._average = Average(self.model, self.settings.ema_decay)
        if self._restored:
            self.standing = Standing(**self._restored["standing"])
            if self._average is not None:
                self._average.load(self._restored["average"])
            for name, sums in self._train_sums.items():
                sums.load(self._restored["sums"][name], self.device, first=self.trainer.is_global_zero)
            about = self._run.weights_about()
            if about.get("epoch", 0) > self.standing.epoch:
                # Better weights than the checkpoint knows of: the run was killed before it could write the next one.
                self.standing.best_epoch, self.standing.best_value = about["epoch"], about["value"]
        if self.trainer.is_global_zero:
            self._curves = Curves(self._run, self.standing if self._restored else None)
        self._restored = {}
        self._due = time.monotonic() + 60.0 * self.settings.checkpoint_minutes
        self._clock = time.monotonic()

    def on_train_epoch_start(self) -> None:
        """Begin sums and clock anew."""
        for sums in self._train_sums.values():
            sums.clear()
        self.standing.seconds = 0.0
        self._clock = time.monotonic()

    def training_step(self, shard: Shard, batch_idx: int) -> None:
        """Each turn whose time it is takes one step on the batch."""
        standing, settings = self.standing, self.settings
        self._reseed("train", standing.step)
        progress = Progress(standing.epoch, standing.step, self.steps_per_epoch, settings.epochs, True)
        scale = self.trainer.world_size / shard.total
        optimisers, schedules = _as_list(self.optimizers()), iter(_as_list(self.lr_schedulers()))
        for i, (name, turn) in enumerate(self._turns.items()):
            schedule = next(schedules) if turn.schedule is not None else None
            if not turn.comes(standing.step):
                continue
            with self._gradients.only(i):
                sums = self._train_sums[name]
                values = sums.checked(turn.objective(shard.batch, progress), len(shard.batch.labels))
                # Processes' gradients are averaged, so this sums up to the mean over the global batch.
                loss = values["loss"][: shard.valid].sum() * scale
                self.manual_backward(loss)
            optimisers[i].step()
            optimisers[i].zero_grad()
            if schedule is not None:
                schedule.step()
            sums.add(values, shard.valid, shard.total)
            self._recent.add(name, standing.step, loss)
        standing.step += 1
        if self._average is not None:
            self._average.update()

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Clip the norm of this optimiser's gradients, after a scaler has unscaled them."""
        if self.settings.gradient_clip is not None:
            self.clip_gradients(optimizer, self.settings.gradient_clip, "norm")

    def on_train_batch_end(self, outputs: object, batch: Shard, batch_idx: int) -> None:
        """Every few batches: stop if a loss was not finite, write a checkpoint if one is due or Ctrl-C was pressed."""
        reached = self.settings.max_steps is not None and self.standing.step >= self.settings.max_steps
        last = batch_idx + 1 == self.steps_per_epoch or reached
        due = time.monotonic() >= self._due
        alone = self.trainer.world_size == 1
        if last or (batch_idx + 1) % PULSE == 0 or (alone and (due or self._interrupt)):
            due, interrupt = self._pulse(due)
            if (due or interrupt) and not last:
                self._checkpoint()
                if interrupt:
                    if not self._run.weights.exists():
                        self._save_weights()
                    raise Interrupted
        if last:
            self.standing.seconds += self._lap()
        if reached:
            self.trainer.should_stop = True

    def on_validation_epoch_start(self) -> None:
        """Validate the averaged weights, where there is an average."""
        if self._average is not None:
            self._average.swap()
        for sums in self._validation_sums.values():
            sums.clear()

    def validation_step(self, shard: Shard, batch_idx: int) -> None:
        """Sum up every turn's values."""
        standing = self.standing
        self._reseed("validation", batch_idx)
        progress = Progress(standing.epoch, standing.step, self.steps_per_epoch, self.settings.epochs, False)
        for name, turn in self._turns.items():
            sums = self._validation_sums[name]
            values = sums.checked(turn.objective(shard.batch, progress), len(shard.batch.labels))
            sums.add(values, shard.valid, shard.total)

    def on_validation_epoch_end(self) -> None:
        """The epoch's row, its weights if they are the best yet, and what the caller draws."""
        standing = self.standing
        before = self.trainer.sanity_checking
        epoch = 0 if before else standing.epoch + 1
        training = {} if before else self._means("train", self._train_sums)
        self._metrics = {**training, **self._means("val", self._validation_sums)}
        monitored = self._monitored(epoch)
        if not before and monitored < standing.best_value:
            standing.best_epoch, standing.best_value = epoch, monitored
            self._save_weights()
        if self._curves is not None:
            timing = {} if before else self._timing()
            self._curves.add(epoch, standing.step, self._metrics, timing)
        if self.settings.on_epoch is not None and self.trainer.is_global_zero and not self._sharded:
            self._reseed("on_epoch", epoch)
            self.settings.on_epoch(self.model, epoch, self._run)
        if self._average is not None:
            self._average.swap()

    def on_train_epoch_end(self) -> None:
        """The epoch is complete: decide on stopping early, write the checkpoint."""
        self.standing.epoch += 1
        done = self.settings.reached(self.standing)
        if done:
            self.trainer.should_stop = True
        self._checkpoint()
        if anywhere(self._interrupt, self.device) and not done:
            raise Interrupted

    # Parts of it

    @property
    def _place(self) -> tuple[int, int]:
        """Epoch and step at hand, from 1 and in batches completed."""
        return min(self.standing.epoch + 1, self.settings.epochs), self.standing.step

    def _reseed(self, *names: str | int) -> None:
        """Set the global generators from the run's seed and these names."""
        reseed(self.device, self.settings.seed, *names, self.global_rank)

    def _pulse(self, due: bool) -> tuple[bool, bool]:
        """Look at the losses since the last pulse, and agree over processes on a checkpoint and on an interruption.

        Raises:
            UserError: A loss was not finite.
        """
        bad, means = self._recent.take()
        flags = torch.tensor(
            [_NEVER if bad is None else bad, -float(due), -float(self._interrupt)], dtype=torch.float64
        )
        first, is_due, is_interrupted = reduced(flags, "min", self.device).tolist()
        if first < _NEVER:
            health.stop("The loss", self._run, self._place[0], int(first) + 1)
        self.recent_loss = next(iter(means.values()), self.recent_loss)
        if self._curves is not None:
            self._curves.add_steps(
                self.standing.step, {column("train", name, "loss_step"): means[name] for name in means}
            )
        return is_due < 0, is_interrupted < 0

    def _checkpoint(self) -> None:
        """Write the whole state, if the weights are finite."""
        if anywhere(not health.finite(self.model), self.device):
            health.stop("The weights", self._run, *self._place)
        if self._curves is not None:
            self._curves.flush()
        self.standing.seconds += self._lap()
        self.trainer.save_checkpoint(self._run.last_checkpoint, weights_only=False)
        if self.trainer.is_global_zero and self.standing.best_epoch == self.standing.epoch > 0:
            mark_best(self._run)
        self._due = time.monotonic() + 60.0 * self.settings.checkpoint_minutes

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what Lightning does not know of."""
        checkpoint[KEY] = {
            "identity": self._identity,
            "standing": vars(self.standing).copy(),
            "sums": {name: sums.state(self.device) for name, sums in self._train_sums.items()},
            "average": None if self._average is None else self._average.state(),
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep it until the model is on its device."""
        self._restored = checkpoint[KEY]

    def _means(self, stage: str, sums: Mapping[str, Sums]) -> dict[str, float]:
        """The epoch's mean over examples of every value, by column."""
        return {
            column(stage, name, key): value
            for name, own in sums.items()
            for key, value in own.means(self.device).items()
        }

    def _monitored(self, epoch: int) -> float:
        """The monitored value.

        Raises:
            UserError: A validation loss is not finite, or there is no such column.
        """
        bad = health.first_bad_loss(self._metrics)
        if bad is not None:
            health.stop(bad, self._run, epoch, self.standing.step)
        monitor = self.settings.monitor
        if monitor in self._metrics or (epoch == 0 and monitor.startswith("train/")):
            return self._metrics.get(monitor, float("inf"))
        raise UserError(f"monitor='{monitor}' is no column of this run; choose one of: {', '.join(self._metrics)}.")

    def _save_weights(self) -> None:
        state = self.trainer.strategy.lightning_module_state_dict()  # of all processes, where they share the weights
        if self.trainer.is_global_zero:
            weights = {name.removeprefix("model."): tensor for name, tensor in state.items()}
            about = {
                "epoch": self.standing.best_epoch,
                "monitor": self.settings.monitor,
                "value": self.standing.best_value,
            }
            self._run.save_weights(weights, about)

    def _timing(self) -> dict[str, float]:
        seconds = self.standing.seconds
        seen = max(sums.count for sums in self._train_sums.values())
        return {"seconds": seconds, "images_per_second": seen / seconds}

    def _lap(self) -> float:
        """Seconds since the clock was last read."""
        before, self._clock = self._clock, time.monotonic()
        return self._clock - before

    def request_stop(self) -> None:
        """Stop after the batch at hand, with a checkpoint."""
        self._interrupt = True

    def close(self) -> None:
        """Close the curves."""
        if self._curves is not None:
            self._curves.close()


def _what(turn: str) -> str:
    return f"turn '{turn}'" if turn else "the objective"


def _as_list(value: Any) -> list[Any]:
    """Lightning gives None, one or a list."""
    return value if isinstance(value, list) else [] if value is None else [value]
