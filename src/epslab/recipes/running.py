"""Train by a recipe; load and split the run."""

import dataclasses
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from epslab import data as datasets
from epslab import seeds
from epslab.data import ImageSet, PointSet
from epslab.data.examples import Divisible
from epslab.errors import UserError
from epslab.recipes.common import TrainingSettings
from epslab.recipes.given import Given, planned_for
from epslab.recipes.memory import plan_in_memory
from epslab.recipes.plan import Plan, draw_samples
from epslab.recipes.schedules import schedule
from epslab.recipes.stored import RUN, read_settings, types_of
from epslab.recipes.table import name_of, plan_of, settings_class
from epslab.runs import Run
from epslab.training import Limits, Machine, Optimisation, fit
from epslab.training.changes import CHANGES, TO_COME, Change, legs


class Splits(NamedTuple):
    """The three parts of a data set; validation is held out of the training images, never of the test images."""

    train: ImageSet
    validation: ImageSet
    test: ImageSet


def train(
    settings: TrainingSettings,
    *,
    data: str = "digits",
    data_root: str | Path | None = None,
    out: str | Path,
    seed: int = 0,
    resume: bool = False,
    overwrite: bool = False,
    machine: Machine | None = None,
    progress: bool = True,
    history: Sequence[Change] = (),
) -> Run:
    """Train the recipe's model on a data set into a run folder.

    Args:
        settings: The recipe's settings: the model and how it is trained.
        data: A name ``epslab.data.load`` knows, or a folder of images by class.
        data_root: Where data sets lie.
        out: The run folder.
        seed: Seed of the split, the weights, the order of images and every example's noise.
        resume: Go on from the folder's last checkpoint. Only more epochs and another machine may be asked for.
        overwrite: Replace the run the folder holds.
        machine: What the model is trained on; None: one device, the best there is.
        progress: Show a bar in a terminal or a notebook, plain lines in a log.
        history: The changes on the way of a run that is repeated, as its ``config.yaml`` has them: the settings given
            are those after the last change.

    Raises:
        UserError: The data cannot be read, the model cannot be built for it, or the folder cannot be used.
    """
    machine, run = machine or Machine(), Run(Path(out))
    if not resume:
        settings.check_use()
    if history and not machine.alone:
        raise UserError("A run whose settings were changed on the way is repeated by one process: give `devices=1`.")
    names = [field.name for field in dataclasses.fields(settings)]
    stages = legs({**{name: getattr(settings, name) for name in names}, **vars(machine)}, history)
    first = len(run.config.get("changes") or []) if history and resume and run.exists() else 0
    for number, stage in list(enumerate(stages))[first:]:
        own = dataclasses.replace(settings, **{name: stage[name] for name in names})
        on = Machine(**{name: stage[name] for name in vars(machine)})
        raw, plan = planned(own, data, data_root, seed)
        end = _end_of(history[number], len(raw.train), own.batch_size) if number < len(history) else None
        again = {"resume": resume or number > 0, "overwrite": overwrite and number == 0}
        recorded = _recorded(own, data, data_root, seed, on, history)
        run = _fitted(own, raw, plan, recorded, on, end, out=run.folder, seed=seed, progress=progress, **again)
        if end is not None and run.result().get("steps", 0) < end:
            break  # interrupted
    return run


def _end_of(change: Change, examples: int, batch_size: int) -> int:
    """The step before which a change was made."""
    steps = -(-examples // batch_size)
    return change.epoch * steps + min(change.batch, steps - 1)


def _fitted(
    settings: TrainingSettings,
    raw: Splits,
    plan: Plan,
    recorded: Mapping[str, object],
    machine: Machine,
    end: int | None,
    *,
    seed: int,
    **options: Any,
) -> Run:
    """Train to the end, or to this step."""
    if plan.start is not None:
        plan.start()
    return fit(
        plan.model,
        plan.turns,
        plan.prepare(raw.train, False),
        plan.prepare(raw.validation, True),
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        seed=seed,
        learning_rate=settings.learning_rate or 1e-3,
        optimisation=_optimisation(settings, plan),
        limits=Limits(patience=settings.patience, pause_after=end),
        monitor=plan.monitor,
        machine=machine,
        settings=recorded,
        on_epoch=plan.look or partial(_look, plan, settings.epochs, seed),
        **options,
    )


def _recorded(
    settings: TrainingSettings,
    data: str,
    data_root: str | Path | None,
    seed: int,
    machine: Machine,
    history: Sequence[Change],
) -> dict[str, object]:
    """What ``config.yaml`` repeats the run by; lists for tuples, as YAML has them."""
    recorded = {
        "recipe": name_of(type(settings)),
        "data": str(data),
        "data_root": None if data_root is None else str(data_root),
        "seed": seed,
        **vars(machine),
        **dataclasses.asdict(settings),
        **({TO_COME: [dataclasses.asdict(change) for change in history]} if history else {}),
    }
    return {key: list(value) if isinstance(value, tuple) else value for key, value in recorded.items()}


def recipe_of(run: Run) -> TrainingSettings:
    """The settings a run was trained by.

    Raises:
        UserError: The recipe is unknown, or the settings do not fit it.
    """
    kind, config = settings_class(run), run.config
    own = types_of(kind)
    settings = {name: value for name, value in config.items() if name not in ("provenance", CHANGES, TO_COME)}
    values = read_settings(settings, {**RUN, **own}, str(run.folder / "config.yaml"))
    return kind(**{name: value for name, value in values.items() if name in own})


def splits(run: Run, data_root: str | Path | None = None) -> Splits:
    """The run's data with the split of its training, prepared for measuring: binary where the recipe says so."""
    raw, plan = planned_of(run, data_root)
    return Splits(*(plan.prepare(part, True) for part in raw))


def load(run: Run, model: Given | None = None) -> Any:
    """The trained model with its best weights, in eval mode; no data is read.

    Args:
        run: A trained run.
        model: Its model, for a run that ``fit`` wrote (``epslab.recipes.given``).

    Raises:
        UserError: The run has no weights yet, they are another model's, or a model is missing or superfluous.
    """
    return planned_with_weights(run, model).model


def draws(run: Run) -> bool:
    """Whether samples can be drawn from the run's model."""
    return plan_of(recipe_of(run), stand_in(run), run.config["seed"]).sample is not None


def planned(settings: TrainingSettings, data: str, data_root: str | Path | None, seed: int) -> tuple[Splits, Plan]:
    """Training, validation and test images, not prepared yet, and the plan for them."""
    whole = half_of(settings, _examples(data, "train", data_root))
    held_out = round(len(whole) * settings.validation_fraction)
    if not 0 < held_out < len(whole):
        raise UserError(
            f"`validation_fraction={settings.validation_fraction}` of {len(whole)} images leaves nothing to train or"
            " validate on; choose another."
        )
    training, validation = whole.split([len(whole) - held_out, held_out], seed)
    return Splits(training, validation, _examples(data, "test", data_root)), plan_in_memory(settings, training, seed)


def _examples(data: str, split: str, data_root: str | Path | None) -> Any:
    """A split of the data: an ``ImageSet``, a ``PointSet``, or other examples that can be split."""
    examples = datasets.load_examples(data, split, data_root)
    if not isinstance(examples, Divisible):
        raise UserError(f"The data set '{data}' gives {type(examples).__name__}, which has no take and split.")
    return examples


def planned_of(run: Run, data_root: str | Path | None = None) -> tuple[Splits, Plan]:
    """The parts of a run's data, not prepared yet, and the plan it was trained by, with an untrained model."""
    config = run.config
    return planned(recipe_of(run), config["data"], data_root or config.get("data_root"), config["seed"])


def planned_with_weights(run: Run, model: Given | None = None) -> Plan:
    """The plan of a run, for a single black image of the right shape; its model has the run's weights."""
    if model is not None:
        return planned_for(run, model, stand_in)
    plan = plan_of(recipe_of(run), stand_in(run), run.config["seed"])
    run.load_weights(plan.model)
    plan.model.eval()
    return plan


def stand_in(run: Run) -> ImageSet | PointSet:
    """One black image, or a point at 0, of the shape the run was trained on.

    Raises:
        UserError: ``config.yaml`` does not say which.
    """
    about = run.config.get("provenance") or {}
    try:
        shape = about["image_shape"] if "image_shape" in about else about["shape"]
        if len(shape) != 3:
            return PointSet(torch.zeros(1, *shape))
        pixels, label = torch.zeros(1, *shape, dtype=torch.uint8), torch.zeros(1, dtype=torch.int64)
        return ImageSet(pixels, label, tuple(about.get("classes") or ("unnamed",)))
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"'{run.folder / 'config.yaml'}' does not say what the run was trained on (`provenance`); restore the file."
        ) from error


def half_of(settings: TrainingSettings, images: Any) -> Any:
    """All images, or the half that the settings name; the halves are the same for every seed."""
    if settings.half == "all":
        return images
    if len(images) < 2:
        raise UserError(f"{len(images)} images have no two halves; use `half='all'`.")
    middle = len(images) // 2
    a, b = images.split([middle, len(images) - middle], seeds.stream(0, "halves"))
    return a if settings.half == "A" else b


def _optimisation(settings: TrainingSettings, plan: Plan) -> Optimisation:
    own = isinstance(plan.turns, Mapping)  # turns bring their own optimisers and schedules
    return Optimisation(
        optimiser=plan.optimiser,
        schedule=None if own else schedule(settings.schedule, settings.epochs),
        gradient_clip=settings.gradient_clip,
        average=settings.ema_decay,
    )


def _look(plan: Plan, epochs: int, seed: int, model: nn.Module, epoch: int, run: Run) -> None:
    """Samples before training and after the last epoch, of a model that draws them."""
    if plan.sample is not None and epoch in (0, epochs):
        draw_samples(plan.sample, run, epoch, seed)
