"""Runs that ``fit`` wrote from Python: their model is given, and is measured by what it can do.

A run of a recipe builds its model from its settings. One of ``fit`` cannot: whoever opens it gives the model, as a
module, a function that builds it, or the import path of either.
"""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from epslab import data as datasets
from epslab.classifiers.accuracy import logits
from epslab.data import Examples, ImageSet, PointSet
from epslab.errors import UserError
from epslab.evaluation.dequantised import Dequantised
from epslab.evaluation.estimators import DensityModel, Estimator, Exact
from epslab.evaluation.likelihood import evaluate_likelihood
from epslab.generative.flows.coupling_flow import CouplingFlow
from epslab.generative.vae import VAE
from epslab.names import cause, imported
from epslab.recipes.classifier import measure as of_classifiers
from epslab.recipes.plan import Asked, Plan
from epslab.recipes.vae import measure as of_vaes
from epslab.recipes.vae.settings import Estimates
from epslab.runs import Measured, Run

Given = nn.Module | Callable[[], nn.Module] | str
"""A model: the module, a function or class that builds it without arguments, or ``package.module:name`` of either."""


def planned_for(run: Run, model: Given, stand_in: Callable[[Run], ImageSet | PointSet]) -> Plan:
    """The plan of a run that ``fit`` wrote: its model with the run's weights, in eval mode, and how it is measured.

    A module that is given stays as it was: a copy of it gets the weights.

    Args:
        run: The run.
        model: Its model, with any weights.
        stand_in: Gives one example of the shape it was trained on.

    Raises:
        UserError: The run is a recipe's, the model cannot be built, or the weights belong to another one.
    """
    if "recipe" in run.config:
        raise UserError(
            f"'{run.folder}' was trained by the recipe '{run.config['recipe']}', which builds its model: leave `model=`"
            " out."
        )
    net = built(model)
    run.load_weights(net)
    net.eval()
    example = stand_in(run)
    if isinstance(net, VAE) and isinstance(example, ImageSet):
        with torch.no_grad():
            net.encode(example.images)  # the number of latent dimensions is found by use
    return Plan(net, {}, measure=_measure_of(net, example))


def built(model: Given) -> nn.Module:
    """The module itself: a copy of one that is given, or what a function returns.

    >>> built(nn.Flatten), built("torch.nn:Flatten")
    (Flatten(start_dim=1, end_dim=-1), Flatten(start_dim=1, end_dim=-1))

    Raises:
        UserError: There is no such thing, it needs arguments, or it builds no module.
    """
    found: Any = imported(model) if isinstance(model, str) else model
    name = f"'{model}'" if isinstance(model, str) else f"`model={getattr(found, '__name__', type(found).__name__)}`"
    if isinstance(found, nn.Module):
        return copy.deepcopy(found)
    if callable(found):
        try:
            found = found()
        except Exception as error:
            raise UserError(
                f"{name} built no model ({cause(error)}); give a function without arguments that builds it."
            ) from error
    if not isinstance(found, nn.Module):
        raise UserError(
            f"{name} gives {type(found).__name__}, but must be a torch module or a function that builds one."
        )
    return found


def examples_for(run: Run, data: str | Path | Examples | None, data_root: str | Path | None, split: str) -> Any:
    """The examples that a run of ``fit`` is measured on: those that are given, or the test split of its own data.

    Raises:
        UserError: They are not known, or cannot be read.
    """
    if data is not None and not isinstance(data, str | Path):
        return data
    if split != "test":
        raise UserError(
            f"Which examples '{run.folder}' was validated on, only its script knows; use `split='test'`, or give them"
            " as `data=` in Python."
        )
    name = data or run.data
    if name is None:
        raise UserError(
            f"'{run.folder}' does not say which data it was trained on; give `data=`: {', '.join(datasets.NAMES)}, a"
            " folder of images by class, or package.module:name."
        )
    return datasets.load_examples(name, "test", data_root)


def options_for(model: Given) -> type | None:
    """The class of the options that measuring this model takes."""
    return Estimates if isinstance(built(model), VAE) else None


def _measure_of(net: nn.Module, example: ImageSet | PointSet) -> Callable[[Any, Run, Any, Asked], Measured]:
    """How a model is measured: as a VAE, a density or a classifier."""
    if isinstance(net, VAE):
        return of_vaes.measure
    if isinstance(net, DensityModel):
        return _density
    return of_classifiers.measure if classifies(net, example) else _nothing


def classifies(net: nn.Module, example: ImageSet | PointSet) -> bool:
    """Whether a model gives one logit for each class of these images."""
    if not isinstance(example, ImageSet):
        return False
    try:
        return logits(net, example.images).shape[1] == len(example.classes)
    except Exception:  # whatever the user's model raises at images: it is no classifier of them
        return False


def _density(model: Any, run: Run, examples: Any, asked: Asked) -> Measured:
    """The exact likelihood of a model that knows its log p(x); a bound, of a coupling flow's grey levels."""
    of_levels = isinstance(model, CouplingFlow) and model.of_images
    estimators: dict[str, Estimator] = {"log_p": Dequantised() if of_levels else Exact()}
    report = evaluate_likelihood(
        model, examples, estimators, batch_size=asked.batch_size, seed=asked.seed, progress=asked.progress
    )
    return Measured(report.measurements(), per_example=report.by_measurement)


def _nothing(model: Any, run: Run, examples: Any, asked: Asked) -> Measured:
    """Refuse.

    Raises:
        UserError: Always.
    """
    raise UserError(
        f"epslab cannot measure '{run.folder}': {type(model).__name__} is no classifier of its"
        f" {run.examples} (one logit a class), no VAE, and has no log_prob."
    )
