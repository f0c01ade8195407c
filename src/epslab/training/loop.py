"""``fit``: a model, an objective and two image sets to a run folder."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.strategies import Strategy
from torch import nn

from epslab.data import ImageSet
from epslab.runs import Run
from epslab.training.checkpoints import AtomicCheckpoints
from epslab.training.module import Settings, TrainingModule
from epslab.training.turns import OptimiserFactory, ScheduleFactory, Turn, in_turn
from epslab.types import Objective


def fit(
    model: nn.Module,
    objective: Objective | Mapping[str, Turn],
    train: ImageSet,
    validation: ImageSet,
    *,
    out: Path,
    epochs: int,
    batch_size: int = 128,
    seed: int = 0,
    learning_rate: float = 1e-3,
    optimiser: OptimiserFactory | None = None,
    schedule: ScheduleFactory | None = None,
    monitor: str = "val/loss",
    gradient_clip: float | None = None,
    ema_decay: float | None = None,
    patience: int | None = None,
    precision: Any = "32-true",
    accelerator: str = "auto",
    devices: int | str | list[int] = 1,
    num_nodes: int = 1,
    strategy: str | Strategy = "auto",
    resume: bool = False,
    overwrite: bool = False,
    settings: Mapping[str, object] | None = None,
    on_epoch: Callable[[nn.Module, int, Run], None] | None = None,
    checkpoint_minutes: float = 5.0,
    max_steps: int | None = None,
    progress: bool = True,
) -> Run:
    """Train ``model`` in a run folder, and leave it with the best weights."""
    folder = Path(out)
    turns = in_turn(objective, model)
    if not isinstance(objective, Mapping):
        turns = {"": Turn(objective, model, optimiser, schedule)}
    asked = Settings(
        epochs=epochs,
        batch_size=batch_size,
        seed=seed,
        learning_rate=learning_rate,
        monitor=monitor,
        gradient_clip=gradient_clip,
        ema_decay=ema_decay,
        patience=patience,
        checkpoint_minutes=checkpoint_minutes,
        max_steps=max_steps,
        on_epoch=on_epoch,
    )
    identity = {
        "seed": seed,
        "batch_size": batch_size,
        "train": train.checksum(),
        "validation": validation.checksum(),
    }
    run = Run(folder)
    config = dict(settings) if settings is not None else {"epochs": epochs, "batch_size": batch_size, "seed": seed}
    module = TrainingModule(model, turns, train, validation, run, asked, identity)
    trainer = Trainer(
        accelerator=accelerator,
        devices=devices,
        num_nodes=num_nodes,
        strategy=strategy,
        precision=precision,
        max_epochs=epochs,
        min_epochs=0,
        num_sanity_val_steps=-1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        plugins=[AtomicCheckpoints()],
        default_root_dir=folder,
    )
    if trainer.is_global_zero:
        Run.create(folder, config, overwrite=overwrite)
    trainer.fit(module)
    module.finish()
    run.load_weights(model)
    return run
