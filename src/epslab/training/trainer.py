"""Lightning's Trainer, set up for a machine."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from epslab.errors import UserError, unknown
from epslab.lightning import Callback, MisconfigurationException, StrategyRegistry, Trainer
from epslab.training.checkpoints import AtomicCheckpoints
from epslab.training.machine import Machine


def trainer_for(machine: Machine, turns: int, folder: Path, epochs: int, callbacks: Sequence[Callback]) -> Trainer:
    """A Trainer that leaves folder, curves and checkpoints to epslab.

    Args:
        machine: What the model is trained on.
        turns: How many objectives take turns.
        folder: Of the run.
        epochs: Passes over the training set.
        callbacks: What shows the progress.

    Raises:
        UserError: This machine cannot do what was asked for, or Lightning cannot.
    """
    machine.check()
    strategy = machine.strategy
    if isinstance(strategy, str) and strategy not in (known := ["auto", *StrategyRegistry.available_strategies()]):
        raise unknown("strategy", strategy, known)
    if turns > 1 and strategy in ("auto", "ddp") and not machine.alone:
        # In each turn the other turns' parameters get no gradient.
        strategy = "ddp_find_unused_parameters_true"
    precision: Any = machine.precision
    try:
        return Trainer(
            accelerator=machine.accelerator,
            devices=machine.devices,
            num_nodes=machine.nodes,
            strategy=strategy,
            precision=precision,
            max_epochs=epochs,
            min_epochs=0,
            default_root_dir=folder,
            callbacks=list(callbacks),
            num_sanity_val_steps=-1,  # the whole validation set: row 0
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=bool(callbacks),
            enable_model_summary=False,
            use_distributed_sampler=False,
            plugins=[AtomicCheckpoints()],
        )
    except (MisconfigurationException, ValueError, ImportError) as error:
        raise UserError(f"Lightning cannot train like this: {str(error).rstrip('.')}.") from error
