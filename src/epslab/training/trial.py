"""Evaluate the objectives once before training, so that errors show before anything is written."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import nn

from epslab import seeds
from epslab.data import Examples
from epslab.errors import UserError
from epslab.runs import Column, DeclaresColumns
from epslab.training.settings import Monitor
from epslab.training.sums import Sums
from epslab.training.turns import Turn, column, frozen, trained
from epslab.types import Batch, Progress

_MISFITS = ("shape", "size", "channels", "dimension")
"""Words by which torch's errors say that examples and model do not fit together."""


def columns_of(turns: Mapping[str, Turn], model: nn.Module, examples: Examples, seed: int, epochs: int) -> list[str]:
    """The columns of validation, from the values of every turn at two examples.

    Raises:
        UserError: The examples do not fit the model, or the values are not what training needs.
    """
    batch = _two(examples, model, seed)
    model.eval()
    columns = []
    for name, turn in turns.items():
        try:
            with torch.enable_grad(), frozen(trained(model)):
                values = turn.objective(batch, Progress(0, 0, 1, epochs, False))
        except RuntimeError as error:
            reason = str(error).splitlines()[0]
            if not any(word in reason for word in _MISFITS):
                raise
            raise UserError(
                f"The model does not fit examples of shape {list(examples.shape)} ({reason}); build it for this shape."
            ) from error
        columns += [column("val", name, key) for key in Sums(name).checked(values, len(batch.labels))]
    return columns


def monitor_of(asked: str | None, columns: list[str], declared: Mapping[str, Column]) -> Monitor:
    """The column that marks the best epoch, and its direction.

    Args:
        asked: A column, None for none, or "auto": "val/loss" where there is one.
        columns: Those of validation.
        declared: The columns that the objectives declare, by name without the stage.

    Raises:
        UserError: There is no such column.
    """
    if asked == "auto":
        asked = "val/loss" if "val/loss" in columns else None
    if asked is None:
        return Monitor(None)
    training = [name.replace("val/", "train/", 1) for name in columns]
    if asked not in columns and asked not in training:
        raise UserError(f"monitor='{asked}' is no column of this run; choose one of: {', '.join(columns)}.")
    about = declared.get(asked.partition("/")[2])
    return Monitor(asked, higher=about is not None and about.better == "higher")


def declared(turns: Mapping[str, Turn]) -> dict[str, Column]:
    """The columns that the objectives declare, by name without the stage: "loss", "critic/loss".

    A label that several turns use gets the turn's name: "critic: Loss".
    """
    own = [
        (name, key, about)
        for name, turn in turns.items()
        if isinstance(turn.objective, DeclaresColumns)
        for key, about in turn.objective.columns.items()
    ]
    uses = Counter(about.label for _, _, about in own)
    return {
        column("", name, key): replace(about, label=f"{name}: {about.label}") if uses[about.label] > 1 else about
        for name, key, about in own
    }


def _two(examples: Examples, model: nn.Module, seed: int) -> Batch:
    """A batch of the first two examples, on the device and in the type of the model's weights."""
    indices = torch.arange(min(2, len(examples)))
    first = next(model.parameters())
    dtype = next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.float32)
    values, labels = examples.batch(indices)
    own = seeds.of_indices(seed, indices, "train", 0)
    return Batch(values.to(first.device, dtype), labels.to(first.device), own.to(first.device))
