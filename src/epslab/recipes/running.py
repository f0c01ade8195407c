"""Training by a recipe, and what is done with the run it leaves: load, split again, evaluate."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from epslab import data as datasets
from epslab.errors import UserError, unknown
from epslab.recipes import RECIPES
from epslab.recipes.recipe import Recipe
from epslab.recipes.work import Splits, Work
from epslab.runs import Run
from epslab.training import Limits, Machine, Optimisation, fit


def train(
    recipe: Recipe,
    *,
    data: str = "digits",
    data_root: str | Path | None = None,
    out: str | Path,
    seed: int = 0,
    resume: bool = False,
    overwrite: bool = False,
    devices: int | str = 1,
    num_nodes: int = 1,
    strategy: str = "auto",
    precision: str = "32-true",
    accelerator: str = "auto",
    progress: bool = True,
) -> Run:
    """Train the recipe's model on a data set into a run folder.

    Args:
        recipe: The model and how it is trained.
        data: A name ``epslab.data.load`` knows, or a folder of images by class.
        data_root: Where data sets lie.
        out: The run folder.
        seed: Of the split, the weights, the order of images and every example's noise.
        resume: Carry on from the folder's last checkpoint.
        overwrite: Replace the run the folder holds.
        devices: Devices a machine, as Lightning takes them.
        num_nodes: Machines.
        strategy: Lightning's strategy, e.g. "ddp".
        precision: Lightning's precision, e.g. "bf16-mixed".
        accelerator: Lightning's accelerator, e.g. "cpu", "gpu".
        progress: Show a progress bar.

    Raises:
        UserError: The data cannot be read, the model cannot be built for it, or the folder cannot be used.
    """
    work = recipe.work()
    parts = _split(recipe, work, data, data_root, seed)
    model = work.build(parts.train, seed)

    def look(_: torch.nn.Module, epoch: int, run: Run) -> None:
        work.look(model, epoch, run, seed)

    settings = {
        "recipe": recipe.name,
        "data": str(data),
        "data_root": None if data_root is None else str(data_root),
        "seed": seed,
        "devices": devices,
        "num_nodes": num_nodes,
        "strategy": strategy,
        "precision": precision,
        "accelerator": accelerator,
        **_plain(dataclasses.asdict(recipe)),
    }
    return fit(
        model,
        work.objective(model, parts.train.image_shape),
        parts.train,
        parts.validation,
        out=Path(out),
        epochs=recipe.epochs,
        batch_size=recipe.batch_size,
        learning_rate=work.learning_rate,
        optimisation=Optimisation(work.optimiser(), work.schedule(), recipe.gradient_clip, recipe.ema_decay),
        limits=Limits(recipe.patience),
        seed=seed,
        monitor=recipe.monitor,
        resume=resume,
        overwrite=overwrite,
        machine=Machine(accelerator, devices, num_nodes, strategy, precision),
        settings=settings,
        on_epoch=look,
        progress=progress,
    )


def recipe_of(run: Run) -> Recipe:
    """The recipe a run was trained by.

    Raises:
        UserError: Its settings name a recipe nobody knows, or do not fit the recipe.
    """
    name = str(run.config.get("recipe"))
    if name not in RECIPES:
        raise unknown("recipe", name, RECIPES)
    fields = {field.name for field in dataclasses.fields(RECIPES[name])}
    values: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in run.config.items() if key in fields
    }
    return RECIPES[name](**values)


def splits(run: Run, data_root: str | Path | None = None) -> Splits:
    """The run's data, split as it was in training and as it is measured: binary where the recipe says so."""
    recipe, config = recipe_of(run), run.config
    work, seed = recipe.work(), config["seed"]
    parts = _split(recipe, work, config["data"], data_root or config.get("data_root"), seed)
    return parts._replace(train=work.prepare(parts.train, seed, measuring=True))


def load(run: Run) -> Any:
    """The trained model with its best weights, in eval mode: a ``VAE``, or a ``Normalised`` classifier.

    Raises:
        UserError: The run has no weights yet, or they are not this recipe's.
    """
    model = recipe_of(run).work().rebuild(run.config["provenance"], run.config["seed"])
    run.load_weights(model)
    return model.eval()


def evaluate(
    run: Run,
    *,
    split: str = "test",
    data_root: str | Path | None = None,
    limit: int | None = None,
    batch_size: int = 256,
    seed: int = 0,
    progress: bool = False,
    **estimates: int | None,
) -> dict[str, Any]:
    """Measure a trained model.

    A VAE: bounds in nats and bits/dim with standard errors, and its latents. A classifier: accuracy with its interval,
    cross-entropy, calibration. Pictures of either.

    Args:
        run: A trained run; its ``result.json`` gains the numbers, its ``figures`` the pictures.
        split: "test" or "validation".
        data_root: Where data sets lie, if elsewhere than in training.
        limit: Measure so many images, chosen by the seed; all if None.
        batch_size: Images at a time; the result depends on it by rounding only.
        seed: Of the choice of images and of every image's noise.
        progress: Show a progress bar.
        estimates: What only some kinds of model are measured by, None standing for its default. A VAE: ``samples`` (1),
            draws of z an image for the ELBO; ``importance_samples``, K of the importance-weighted bound, and
            ``prior_samples``, L of prior Monte Carlo, neither computed without it.

    Returns:
        What was written to ``result.json`` under "evaluation".

    Raises:
        UserError: An unknown split, a count below 1, an estimate for another kind of model, or a run without weights.
    """
    recipe = recipe_of(run)
    work = recipe.work()
    wanted = {name: count for name, count in estimates.items() if count is not None}
    for name in wanted:
        if name not in work.estimates:
            raise UserError(
                f"--{name.replace('_', '-')} is nothing a '{recipe.name}' such as '{run.folder}' is measured by; leave"
                " it out."
            )
    parts = splits(run, data_root)
    if split not in ("test", "validation"):
        raise unknown("split", split, ("test", "validation"))
    for name, count in (("limit", limit), ("batch_size", batch_size)):
        if count is not None and count < 1:
            raise UserError(f"--{name.replace('_', '-')} counts images and must be 1 or more, not {count}.")
    images = parts.test if split == "test" else parts.validation
    shape = tuple(run.config["provenance"]["image_shape"])
    if images.image_shape != shape:
        raise UserError(
            f"The model of '{run.folder}' was trained on images of shape {shape}, but '{run.config['data']}' has images"
            f" of shape {images.image_shape}: evaluate it on images of its own shape."
        )
    if limit is not None and limit < len(images):
        images = images.take(limit, seed)
    numbers = work.measure(load(run), run, images, batch_size=batch_size, seed=seed, progress=progress, **wanted)
    found = {"split": split, "images": len(images), **numbers}
    run.update_result(evaluation=found)
    return found


def _split(recipe: Recipe, work: Work, data: str, data_root: str | Path | None, seed: int) -> Splits:
    """Training, validation and test images; those that are measured are prepared for it already."""
    whole = work.choose(datasets.load(data, "train", data_root))
    held_out = round(len(whole) * recipe.validation_fraction)
    if not 0 < held_out < len(whole):
        raise UserError(
            f"--validation-fraction {recipe.validation_fraction} of {len(whole)} images leaves nothing to train or"
            " validate on; choose another."
        )
    training, validation = whole.split([len(whole) - held_out, held_out], seed)
    return Splits(
        work.prepare(training, seed, measuring=False),
        work.prepare(validation, seed, measuring=True),
        work.prepare(datasets.load(data, "test", data_root), seed, measuring=True),
    )


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as YAML holds them: lists for tuples."""
    return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}
