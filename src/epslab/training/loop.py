"""``fit``: a model, an objective and two image sets to a run folder."""

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer
from lightning.pytorch.strategies import FSDPStrategy, ModelParallelStrategy, Strategy
from torch import nn

from epslab import seeds
from epslab.data import ImageSet
from epslab.errors import UserError
from epslab.runs import Run
from epslab.training.checkpoints import KEY, AtomicCheckpoints
from epslab.training.module import Interrupted, TrainingModule
from epslab.training.progress import ProgressLine
from epslab.training.settings import OnEpoch, Settings, Standing
from epslab.training.sums import Sums
from epslab.training.surroundings import generators_kept, keep_freed_memory, kept, on_interrupt, quiet
from epslab.training.turns import OptimiserFactory, ScheduleFactory, Turn, column, in_turn
from epslab.types import Batch, Objective, Progress


def fit(
    model: nn.Module,
    objective: Objective | Mapping[str, Turn],
    train: ImageSet,
    validation: ImageSet,
    *,
    out: Path | str,
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
    on_epoch: OnEpoch | None = None,
    checkpoint_minutes: float = 5.0,
    max_steps: int | None = None,
    progress: bool = True,
) -> Run:
    """Train ``model`` in a run folder and leave it with the best epoch's weights.

    What is logged, in ``metrics.csv`` (a row an epoch, and row 0: validation before training) and in TensorBoard over
    the number of batches: for every entry KEY of an objective, ``train/KEY``, its mean over the epoch's training
    examples, each taken as it was met, with the weights of that moment; and ``val/KEY``, its mean over the validation
    set with the weights (averaged ones, where there is an average) at the end of the epoch. The loss should fall; where
    ``val/loss`` rises while ``train/loss`` falls, the model overfits. With several turns the columns are
    ``train/TURN/KEY`` and ``val/TURN/KEY``. TensorBoard also has ``train/loss_step``, the mean loss of the first
    process's last 32 batches. ``timing.csv``: ``seconds`` spent training in the epoch (validation apart) and
    ``images_per_second``; the rate should be steady. ``result.json``: ``status`` ("running", "finished",
    "interrupted", "failed"), ``epochs`` and ``steps`` completed, ``best_epoch``, ``monitor``, ``best_value`` (None
    before the first epoch is complete) and ``parameters``, the number of those that are trained.

    Randomness: the order of the examples, the seeds in each ``Batch`` and the global generators (set at every step,
    for dropout) are functions of ``seed``, epoch, step and example; the caller's global generators stay untouched.

    A run killed at any moment and resumed ends with the weights and ``metrics.csv`` it would have had (bit for bit on
    the CPU): checkpoints are written after every epoch and every ``checkpoint_minutes`` within one. The first Ctrl-C
    ends training after the batch at hand: the state is written, and ``fit`` returns a run whose ``result()["status"]``
    is "interrupted"; a second one raises ``KeyboardInterrupt`` at once.

    On Linux the process keeps freed memory for reuse from then on, instead of giving it back to the system.

    The model comes back with its modes, ``requires_grad``, ``grad`` and device as they were, its 4-d weights in
    channels_last. With weights split over processes (FSDP), the best weights are only in the run folder, ``on_epoch``
    is not called, and ``ema_decay`` cannot be used. In every process but the first of several, the run returned does
    not write.

    Args:
        model: Holds all parameters; the objective calls it. It trains in train mode and validates in eval mode.
        objective: What is minimised, or several in turn, by name.
        train: Trained on.
        validation: Validated on; must not overlap with what the model is judged by in the end.
        out: The run folder.
        epochs: Passes over the training set, ≥ 1.
        batch_size: Images in a batch, over all processes; the last batch of an epoch may be shorter.
        seed: Of everything random.
        learning_rate: Of Adam, where no other optimiser is given.
        optimiser: Makes the optimiser from the parameters; None: Adam, fused. Turns bring their own.
        schedule: Makes the schedule from the optimiser and its number of steps; None: constant. Turns bring their own.
        monitor: The column whose smallest value marks the best epoch.
        gradient_clip: Largest norm of a step's gradient; None: any.
        ema_decay: Decay of the weights' moving average, which validation, ``on_epoch`` and the best weights then use.
        patience: Stop when the best epoch is so many epochs past; None: never.
        precision: Lightning's: "32-true", "16-mixed", "bf16-mixed", …
        accelerator: Lightning's: "auto", "cpu", "gpu", …
        devices: Lightning's: how many a machine, or which.
        num_nodes: Machines.
        strategy: Lightning's: "auto", "ddp", "fsdp", …, or a strategy.
        resume: Carry on with the run in ``out``, from its last checkpoint; where there is no run, start one.
        overwrite: Start anew where ``out`` holds a run.
        settings: What ``config.yaml`` repeats the run by; None: these arguments.
        on_epoch: Called in the first process as (model, epochs completed, run) before training and after every epoch,
            in eval mode, without gradients: draws sample grids.
        checkpoint_minutes: Between checkpoints within an epoch, looked at every 32 batches where there are several
            processes; 0: as often as looked.
        max_steps: Batches after which training ends, in the midst of an epoch if need be; that epoch then counts as
            complete, so a resumed run goes on with the next. None: no such limit.
        progress: Show a progress bar, where standard error is a terminal.

    Returns:
        The run.

    Raises:
        UserError: An argument is out of range; ``out`` is a run already, is none to resume, or cannot be written; the
            checkpoint is damaged or belongs to another run; the objective does not fit the data; or a loss became NaN
            or infinite: then the sentence names epoch, step and the last good checkpoint.
    """
    asked = Settings(
        epochs, batch_size, seed, learning_rate, monitor, gradient_clip, ema_decay, patience, checkpoint_minutes,
        max_steps, on_epoch,
    )  # fmt: skip
    _check_sets(train, validation)
    turns = in_turn(objective, model, optimiser, schedule)
    identity = {
        "seed": seed,
        "batch_size": batch_size,
        "train": train.checksum(),
        "validation": validation.checksum(),
        "turns": list(turns),
    }
    plain: dict[str, object] = {
        **{name: value for name, value in vars(asked).items() if name != "on_epoch"},
        "precision": precision,
        "accelerator": accelerator,
        "devices": devices,
        "num_nodes": num_nodes,
        "strategy": strategy,
    }
    run = Run(Path(out))
    if len(turns) > 1 and strategy in ("auto", "ddp") and (devices != 1 or num_nodes != 1):
        # In each turn the other turns' parameters get no gradient.
        strategy = "ddp_find_unused_parameters_true"
    keep_freed_memory()
    with ExitStack() as context:
        context.enter_context(quiet())
        context.enter_context(kept(model))
        _try(turns, model, train, asked)
        trainer = _trainer(
            accelerator=accelerator,
            devices=devices,
            num_nodes=num_nodes,
            strategy=strategy,
            precision=precision,
            max_epochs=epochs,
            default_root_dir=run.folder,
            callbacks=[ProgressLine(batch_size)] if progress else [],
        )
        context.enter_context(generators_kept([trainer.strategy.root_device]))
        sharded = isinstance(trainer.strategy, FSDPStrategy | ModelParallelStrategy)
        if sharded and ema_decay is not None:
            raise UserError("ema_decay cannot be used with weights split over processes; use strategy='ddp' or no EMA.")
        run.read_only = not trainer.is_global_zero
        about = {
            "data": {"train": identity["train"], "validation": identity["validation"]},
            "image_shape": list(train.image_shape),
            "classes": list(train.classes),
        }
        standing = _prepare(run, model, settings or plain, identity, about, resume=resume, overwrite=overwrite)
        if standing is None or not asked.reached(standing):
            model.train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            module = TrainingModule(model, turns, train, validation, run, asked, identity, sharded=sharded)
            if standing is not None:
                # Lightning would validate a second time before training goes on.
                trainer.num_sanity_val_steps = 0
            _run(trainer, module, run, standing is not None)
        elif run.result().get("status") != "finished":
            # Killed after its last checkpoint, before it could say so.
            _conclude(run, "finished", standing)
        if not sharded:
            run.load_weights(model)
    return run


def _run(trainer: Trainer, module: TrainingModule, run: Run, resume: bool) -> None:
    """Let Lightning train, and say in ``result.json`` how it ended."""
    status = "failed"
    trained = sum(parameter.numel() for parameter in module.model.parameters() if parameter.requires_grad)
    run.update_result(status="running", monitor=module.settings.monitor, parameters=trained)
    try:
        with on_interrupt(module.request_stop):
            trainer.fit(module, ckpt_path=run.last_checkpoint if resume else None, weights_only=True)
        status = "finished"
    except Interrupted:
        status = "interrupted"
    except (KeyboardInterrupt, SystemExit):
        status = "interrupted"
        raise
    finally:
        module.close()
        _conclude(run, status, module.standing)


def _conclude(run: Run, status: str, standing: Standing) -> None:
    """Write how training ended, and where it stands."""
    best = standing.best_value if standing.best_epoch else None
    run.update_result(
        status=status, epochs=standing.epoch, steps=standing.step, best_epoch=standing.best_epoch, best_value=best
    )


def _check_sets(train: ImageSet, validation: ImageSet) -> None:
    for name, images in (("training", train), ("validation", validation)):
        if not len(images):
            raise UserError(f"The {name} set is empty; give it at least one image.")
    if train.image_shape != validation.image_shape:
        raise UserError(
            f"Training images are {train.image_shape} and validation images {validation.image_shape}: both must have"
            " the same channels, height and width."
        )


def _try(turns: Mapping[str, Turn], model: nn.Module, images: ImageSet, asked: Settings) -> None:
    """Evaluate the objectives on two images, so that what cannot work is said before anything is written."""
    few = images[: min(2, len(images))]
    example_seeds = seeds.of_indices(asked.seed, torch.arange(len(few)), "train", 0)
    device = next(model.parameters()).device
    dtype = next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.float32)
    batch = Batch(few.images.to(device, dtype), few.labels.to(device), example_seeds.to(device))
    model.eval()
    columns = []
    for name, turn in turns.items():
        try:
            with torch.no_grad():
                values = turn.objective(batch, Progress(0, 0, 1, asked.epochs, False))
        except RuntimeError as error:
            reason = str(error).splitlines()[0]
            if not any(word in reason for word in ("shape", "size", "channels", "dimension")):
                raise
            raise UserError(
                f"The model does not fit images of shape {list(few.image_shape)} ({reason}); build it for this shape."
            ) from error
        columns += [column("val", name, key) for key in Sums(name).checked(values, len(few))]
    if asked.monitor not in columns and asked.monitor not in [c.replace("val/", "train/", 1) for c in columns]:
        raise UserError(f"monitor='{asked.monitor}' is no column of this run; choose one of: {', '.join(columns)}.")


def _trainer(**arguments: Any) -> Trainer:
    try:
        return Trainer(
            min_epochs=0,
            num_sanity_val_steps=-1,  # the whole validation set: row 0
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=bool(arguments["callbacks"]),
            enable_model_summary=False,
            use_distributed_sampler=False,
            plugins=[AtomicCheckpoints()],
            **arguments,
        )
    except (MisconfigurationException, ValueError) as error:
        raise UserError(f"Lightning cannot train like this: {str(error).rstrip('.')}.") from error


def _prepare(
    run: Run,
    model: nn.Module,
    settings: Mapping[str, object],
    identity: Mapping[str, object],
    about: Mapping[str, object],
    *,
    resume: bool,
    overwrite: bool,
) -> Standing | None:
    """Make the folder, or find the checkpoint to go on from: where it stands, or None to start."""
    if resume and overwrite:
        raise UserError("resume and overwrite exclude each other: carry the run on, or replace it.")
    run.require_space_for(model.parameters())
    if not run.read_only and not (resume and run.exists()):
        Run.create(run.folder, settings, provenance=about, overwrite=overwrite)
        return None
    if resume and not run.read_only:
        run.clear_leftovers()
        run.make_folders()
    if not resume or not run.last_checkpoint.exists():
        return None
    checkpoint = AtomicCheckpoints().load_checkpoint(run.last_checkpoint)
    state = checkpoint[KEY]
    for name, value in identity.items():
        if state["identity"][name] != value:
            raise UserError(
                f"'{run.folder}' cannot be resumed with another {name.replace('_', ' ')} ({state['identity'][name]}"
                f" then, {value} now): resume with the settings of its config.yaml, or start again with --overwrite."
            )
    saved = {name.removeprefix("model."): tensor.shape for name, tensor in checkpoint["state_dict"].items()}
    own = {name: tensor.shape for name, tensor in model.state_dict().items()}
    if saved != own:
        different = sorted(name for name in saved.keys() | own.keys() if saved.get(name) != own.get(name))
        raise UserError(
            f"'{run.folder}' cannot be resumed with another model ({len(different)} entries differ, first"
            f" '{different[0]}'): build it with the settings of its config.yaml, or start again with --overwrite."
        )
    run.update_settings(settings)
    return Standing(**state["standing"])
