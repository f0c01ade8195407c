"""``fit`` trains a model by an objective on two sets of examples and writes a run folder."""

from collections.abc import Mapping
from contextlib import ExitStack, nullcontext, suppress
from pathlib import Path

import torch
from torch import nn

from epslab.data import Examples
from epslab.errors import UserError
from epslab.lightning import FSDPStrategy, ModelParallelStrategy, Trainer
from epslab.nets.modes import borrowed
from epslab.runs import Run
from epslab.training.full_disk import full_disk_told
from epslab.training.keeping import Keeper
from epslab.training.limits import Interrupted, Limits, Standing
from epslab.training.machine import Machine
from epslab.training.module import TrainingModule
from epslab.training.progress import ProgressLine
from epslab.training.resuming import prepare
from epslab.training.settings import Monitor, OnEpoch, Settings
from epslab.training.surroundings import keep_freed_memory, pass_on, quiet, signals_kept
from epslab.training.trainer import trainer_for
from epslab.training.trial import columns_of, declared, monitor_of
from epslab.training.turns import Optimisation, Turn, in_turn, trained
from epslab.types import Objective


def fit(
    model: nn.Module,
    objective: Objective | Mapping[str, Turn],
    train: Examples,
    validation: Examples,
    *,
    out: Path | str,
    epochs: int,
    batch_size: int = 128,
    seed: int = 0,
    learning_rate: float = 1e-3,
    optimisation: Optimisation = Optimisation(),  # noqa: B008 (frozen)
    monitor: str | None = "auto",
    limits: Limits = Limits(),  # noqa: B008 (frozen)
    machine: Machine = Machine(),  # noqa: B008 (frozen)
    resume: bool = False,
    overwrite: bool = False,
    settings: Mapping[str, object] | None = None,
    on_epoch: OnEpoch | None = None,
    progress: bool = True,
) -> Run:
    """Train ``model``, write a run folder, and load the best epoch's weights into the model.

    >>> import tempfile, torch
    >>> from epslab.data import PointSet, toys
    >>> from epslab.training import Machine, fit
    >>> model = torch.nn.Linear(2, 2)
    >>> def objective(batch, progress):  # a linear autoencoder
    ...     return {"loss": (model(batch.examples) - batch.examples).square().sum(1)}
    >>> train, validation = PointSet(toys.two_moons(500)).split([400, 100], seed=0)
    >>> run = fit(model, objective, train, validation, out=tempfile.mkdtemp(), epochs=2, machine=Machine("cpu"))
    >>> run.result()["status"], list(run.metrics())
    ('finished', ['epoch', 'train/loss', 'val/loss'])

    Logged for every entry KEY of an objective, in ``metrics.csv`` (one row per epoch; row 0 is validation before
    training) and in TensorBoard (over the number of batches): ``train/KEY``, the mean over the epoch's training
    examples, each with the weights of its step; and ``val/KEY``, the mean over the validation set with the weights (or
    their average) at the end of the epoch. The loss should fall; if ``val/loss`` rises while ``train/loss`` falls, the
    model overfits. With several turns the columns are ``train/TURN/KEY`` and ``val/TURN/KEY``. An objective with
    ``columns`` (``epslab.runs.DeclaresColumns``) gives them labels and units. TensorBoard also has
    ``train/loss_step``, the mean loss of the first process's last 32 batches. ``timing.csv``: ``seconds`` of training
    in the epoch (without validation) and ``images_per_second`` (for other examples: ``examples_per_second``); the rate
    should be steady. ``result.json``: ``status`` ("running", "finished", "interrupted", "failed"), ``epochs`` and
    ``steps`` completed, ``best_epoch`` (its weights are kept), ``monitor``, ``best_value`` (None before the first
    complete epoch and without a monitor) and ``parameters``, the number of trained parameters.

    Randomness: the order of the examples, the seeds in each ``Batch`` and the global generators (set at every step,
    for dropout) are functions of ``seed``, epoch, step and example; the caller's global generators stay untouched.

    A run killed at any moment and resumed ends with the weights and ``metrics.csv`` it would have had (bit for bit on
    the CPU): checkpoints are written after every epoch and every few minutes within one (``Limits``). The first Ctrl-C,
    SIGTERM or SIGUSR1 (a batch scheduler's warning) ends training after the current batch: the state is written, and
    ``fit`` returns a run whose ``result()["status"]`` is "interrupted"; a second Ctrl-C raises ``KeyboardInterrupt`` at
    once. A script without a handler of its own is then ended by SIGTERM or SIGUSR1, as it would have been without
    ``fit``, so that nothing goes on with a model that is half trained.

    On resume only ``epochs`` (also ``max_steps``) and ``machine`` may change; ``config.yaml`` then has the settings in
    force at the end and, under ``changes``, what had been different before, with the epoch. A run that is complete is
    returned as it is.

    On Linux the process keeps freed memory for reuse from then on, instead of giving it back to the system.

    The model comes back with its modes, ``requires_grad``, ``grad`` and device as they were, its 4-d weights in
    channels_last. With weights split over processes (FSDP), the best weights are only in the run folder, ``on_epoch``
    is not called, and weights cannot be averaged. In every process but the first of several, the run returned does
    not write.

    Args:
        model: Holds all parameters; the objective calls it. It trains in train mode and validates in eval mode.
        objective: What is minimised; or several turns, by name. During validation the weights require no gradient, but
            derivatives with respect to inputs (a gradient penalty, an attack) can be taken.
        train: The training set: an ``ImageSet``, a ``PointSet`` or any ``Examples``.
        validation: The validation set; it must not overlap with the test set.
        out: The run folder.
        epochs: Passes over the training set, ≥ 1.
        batch_size: Examples in a batch, over all processes; the last batch of an epoch may be shorter.
        seed: Of everything random.
        learning_rate: Of Adam, where no other optimiser is given.
        optimisation: Optimiser, schedule, gradient clipping, averaged weights.
        monitor: The column whose smallest value marks the best epoch (the greatest, if the objective declares that
            higher is better); on ties the first epoch. None: the last epoch's weights are kept. "auto": "val/loss" for
            one objective, None for several turns.
        limits: When training ends early, and how often its state is written.
        machine: What the model is trained on.
        resume: Continue the run in ``out`` from its last checkpoint; if there is no run, start one; if it is finished,
            return it.
        overwrite: Delete the run that ``out`` holds and start again.
        settings: The entries of ``config.yaml``, which repeat the run; None: these arguments.
        on_epoch: Called as (model, epochs completed, run) before training and after every epoch, in the first process,
            in eval mode, without gradients. It may draw samples.
        progress: Show a bar in a terminal or a notebook; where standard error is neither, plain lines, one an epoch or
            a minute.

    Returns:
        The run.

    Raises:
        UserError: An argument is out of range; ``out`` is a run already, is none to resume, or cannot be written; the
            checkpoint is damaged or belongs to another run; the objective does not fit the data; or a loss became NaN
            or infinite: then the sentence names epoch, step and the last good checkpoint.
    """
    asked = Settings(epochs, batch_size, seed, learning_rate, optimisation, limits, on_epoch)
    _check_sets(train, validation)
    turns = in_turn(objective, model, optimisation)
    run = Run(Path(out))
    keep_freed_memory()
    with ExitStack() as context:
        context.enter_context(quiet())
        shown: list[ProgressLine] = [ProgressLine(batch_size, run.folder)] if progress else []
        trainer = trainer_for(machine, len(turns), run.folder, epochs, shown)
        context.enter_context(borrowed(model, training=True, device=trainer.strategy.root_device))
        context.enter_context(torch.enable_grad())
        columns = declared(turns)
        marked = monitor_of(monitor, columns_of(turns, model, train, seed, epochs), columns)
        sharded = _require_possible(trainer, marked, asked)
        run.read_only = not trainer.is_global_zero
        data = {"train": train.checksum(), "validation": validation.checksum()}
        identity = _identity(asked, marked, turns, data)
        plain = settings or {**asked.plain(), "monitor": marked.column, **vars(machine)}
        held = context.enter_context(run.locked("training"))
        context.enter_context(full_disk_told(run))
        about = {"model": type(model).__qualname__, "data": data, "shape": list(train.shape), **train.about}
        standing = prepare(run, model, plain, identity, about, asked, len(train), resume=resume, overwrite=overwrite)
        run.declare(columns)
        asked_to_end = None
        if standing is None or not asked.reached(standing):
            model.train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            module = TrainingModule(model, turns, train, validation, asked, identity, standing or Standing())
            keeper = Keeper(run, module, marked, held, resumed=standing is not None, sharded=sharded)
            _run(trainer, module, keeper, run, marked, resume=standing is not None)
            asked_to_end = keeper.signal
        else:
            _already(run, standing, shown)
        if not sharded:
            run.load_weights(model)
    pass_on(asked_to_end)
    return run


def _require_possible(trainer: Trainer, monitor: Monitor, asked: Settings) -> bool:
    """Whether the strategy splits the weights over processes.

    Raises:
        UserError: The settings contradict each other.
    """
    if monitor.column is None and asked.limits.patience is not None:
        raise UserError("patience needs a monitor to tell a better epoch by; name a column, e.g. monitor='val/loss'.")
    sharded = isinstance(trainer.strategy, FSDPStrategy | ModelParallelStrategy)
    if sharded and asked.optimisation.average is not None:
        raise UserError("Weights split over processes cannot be averaged; use `strategy='ddp'` or no average.")
    return sharded


def _already(run: Run, standing: Standing, shown: list[ProgressLine]) -> None:
    """Say that there is nothing left to train."""
    if run.result().get("status") != "finished":
        # Killed after its last checkpoint, before it could say so.
        _conclude(run, "finished", standing)
    for line in shown:
        line.say(f"Nothing to train: '{run.folder}' is finished, with {standing.epoch} epochs.")


def _identity(
    asked: Settings, monitor: Monitor, turns: Mapping[str, Turn], data: Mapping[str, str]
) -> dict[str, object]:
    """What must be the same when the run is resumed."""
    return {
        "seed": asked.seed,
        "batch_size": asked.batch_size,
        **data,
        "turns": list(turns),
        "monitor": monitor.column,
        "average": asked.optimisation.average,
    }


def _run(trainer: Trainer, module: TrainingModule, keeper: Keeper, run: Run, monitor: Monitor, *, resume: bool) -> None:
    """Train by Lightning, and write in ``result.json`` how it ended."""
    status = "failed"
    parameters = sum(parameter.numel() for parameter in trained(module.model))
    run.update_result(status="running", monitor=monitor.column, parameters=parameters)
    trainer.callbacks.append(keeper)  # type: ignore[attr-defined]
    if resume:
        # Lightning would validate a second time before training goes on.
        trainer.num_sanity_val_steps = 0
    try:
        with signals_kept():
            trainer.fit(module, ckpt_path=run.last_checkpoint if resume else None, weights_only=True)
        status = "finished"
    except Interrupted:
        status = "interrupted"
    except (KeyboardInterrupt, SystemExit):
        status = "interrupted"
        raise
    finally:
        # A full disk has its own sentence, which a second error of it would hide.
        with suppress(OSError) if status == "failed" else nullcontext():
            keeper.close()
            if not keeper.held.lost:
                _conclude(run, status, module.standing)


def _conclude(run: Run, status: str, standing: Standing) -> None:
    """Write how training ended, after which epoch and step."""
    run.update_result(
        status=status,
        epochs=standing.epoch,
        steps=standing.step,
        best_epoch=standing.best_epoch,
        best_value=standing.value,
    )


def _check_sets(train: Examples, validation: Examples) -> None:
    for name, examples in (("training", train), ("validation", validation)):
        if not len(examples):
            raise UserError(f"The {name} set is empty; give it at least one example.")
    if train.shape != validation.shape:
        raise UserError(
            f"Training examples have shape {list(train.shape)} and validation examples {list(validation.shape)}: both"
            " must have the same shape."
        )
