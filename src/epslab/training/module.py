"""The LightningModule: what happens in a step of training or validation. Private to training."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from epslab.data import Examples
from epslab.data.loading import Loader, Shard
from epslab.errors import UserError
from epslab.lightning import LightningModule, OptimizerLRScheduler
from epslab.training.average import Average
from epslab.training.checkpoints import KEY
from epslab.training.limits import Standing
from epslab.training.settings import Settings
from epslab.training.sums import RecentLosses, Sums, spoken
from epslab.training.surroundings import reseed
from epslab.training.turns import Turn, adam, column, frozen, others, trained
from epslab.types import Progress


class TrainingModule(LightningModule):
    """What Lightning's Trainer runs: the user's model, and its turns at every batch.

    Args:
        model: The user's model.
        turns: By name; a single objective is one turn without a name.
        train: The training set.
        validation: The validation set, used before training and after every epoch.
        settings: The arguments of ``fit``.
        identity: What must be the same on resume.
        standing: The progress that training starts from.
    """

    def __init__(
        self,
        model: nn.Module,
        turns: Mapping[str, Turn],
        train: Examples,
        validation: Examples,
        settings: Settings,
        identity: Mapping[str, object],
        standing: Standing,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.model = model
        self.settings = settings
        self.standing = standing
        self.noun = "images" if len(train.shape) == 3 else "examples"  # for rates
        self.steps_per_epoch = -(-len(train) // settings.batch_size)
        self.recent = RecentLosses()
        self.average: Average | None = None
        self.recent_loss = float("nan")  # mean over the last few batches, for the progress bar
        self.latest: dict[str, float] = {}  # the last epoch's row of metrics.csv, likewise
        self._turns = dict(turns)
        self._others = [others(turn, model) for turn in turns.values()]
        self._trained = trained(model)
        self._sets = (train, validation)
        self._identity = dict(identity)
        self._sums = {stage: {name: Sums(name) for name in turns} for stage in ("train", "val")}
        self._checkpoint: dict[str, Any] = {}

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """One optimiser per turn, and one schedule where the turn asks for it."""
        fused = self.trainer.precision != "16-mixed" or self.settings.optimisation.gradient_clip is None
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
        """Lightning sets this attribute some 30 times per batch: skip nn.Module's search for weights."""
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

    def _loader(self, examples: Examples, training: bool) -> Loader:
        return Loader(
            examples,
            self.settings.batch_size,
            seed=self.settings.seed,
            training=training,
            device=self.device,
            replicas=self.trainer.world_size,
            rank=self.global_rank,
        )

    def on_fit_start(self) -> None:
        """Restore the checkpoint's state, now that the weights are on their device."""
        if self.settings.optimisation.average is not None:
            self.average = Average(self.model, self.settings.optimisation.average)
        if self._checkpoint:
            if self.average is not None:
                self.average.load(self._checkpoint["average"], self.standing.step)
            for name, sums in self._sums["train"].items():
                sums.load(self._checkpoint["sums"][name], self.device, first=self.trainer.is_global_zero)
        self._checkpoint = {}

    def on_train_epoch_start(self) -> None:
        """Start the epoch's sums at 0."""
        self._clear("train")

    def training_step(self, shard: Shard, batch_idx: int) -> None:
        """Each turn that comes at this batch takes one step."""
        standing = self.standing
        self.reseed("train", standing.step)
        scale = self.trainer.world_size / shard.total
        optimisers, schedules = _as_list(self.optimizers()), iter(_as_list(self.lr_schedulers()))
        for i, (name, turn) in enumerate(self._turns.items()):
            schedule = next(schedules) if turn.schedule is not None else None
            if not turn.comes(standing.step):
                continue
            with frozen(self._others[i]):
                values = self._values("train", name, turn, shard)
                if not values["loss"].requires_grad:
                    raise UserError(
                        f"The loss of {spoken(name)} does not depend on the weights it trains: compute it from the"
                        " model's outputs, without detach or no_grad."
                    )
                # Processes' gradients are averaged, so this sums up to the mean over the global batch.
                loss = values["loss"][: shard.valid].sum() * scale
                self.manual_backward(loss)
            optimisers[i].step()
            optimisers[i].zero_grad()
            if schedule is not None:
                schedule.step()
            self.recent.add(name, standing.step, loss)
        standing.step += 1
        if self.average is not None:
            self.average.update()

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Clip the norm of this optimiser's gradients, after a scaler has unscaled them."""
        if self.settings.optimisation.gradient_clip is not None:
            self.clip_gradients(optimizer, self.settings.optimisation.gradient_clip, "norm")

    def on_validation_epoch_start(self) -> None:
        """Start validation's sums at 0."""
        self._clear("val")

    def validation_step(self, shard: Shard, batch_idx: int) -> None:
        """Sum up every turn's values."""
        self.reseed("validation", batch_idx)
        # The weights need no gradients, but a turn may need them for its inputs (a gradient penalty, an attack).
        with torch.enable_grad(), frozen(self._trained):
            for name, turn in self._turns.items():
                self._values("val", name, turn, shard)

    def _values(self, stage: str, name: str, turn: Turn, shard: Shard) -> Mapping[str, torch.Tensor]:
        """The turn's values at a batch, checked and added up."""
        standing, sums = self.standing, self._sums[stage][name]
        epochs, training = self.settings.epochs, stage == "train"
        progress = Progress(standing.epoch, standing.step, self.steps_per_epoch, epochs, training)
        values = sums.checked(turn.objective(shard.batch, progress), len(shard.batch.labels))
        sums.add(values, shard.valid, shard.total)
        return values

    def _clear(self, stage: str) -> None:
        for sums in self._sums[stage].values():
            sums.clear()

    def means(self, stage: str) -> dict[str, float]:
        """The mean over the epoch's examples of every value, by column."""
        return {
            column(stage, name, key): value
            for name, sums in self._sums[stage].items()
            for key, value in sums.means(self.device).items()
        }

    @property
    def examples_seen(self) -> int:
        """Training examples seen in the current epoch."""
        return max(sums.count for sums in self._sums["train"].values())

    def reseed(self, *names: str | int) -> None:
        """Set the global generators from the run's seed and these names."""
        reseed(self.device, self.settings.seed, *names, self.global_rank)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the state that is epslab's own."""
        checkpoint[KEY] = {
            "identity": self._identity,
            "standing": vars(self.standing).copy(),
            "sums": {name: sums.state(self.device) for name, sums in self._sums["train"].items()},
            "average": None if self.average is None else self.average.state(),
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the state until the model is on its device."""
        self._checkpoint = checkpoint[KEY]


def _as_list(value: Any) -> list[Any]:
    """Lightning gives None, one or a list."""
    return value if isinstance(value, list) else [] if value is None else [value]
