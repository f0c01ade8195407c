"""A model that does not fit into memory is refused before it is built."""

import os
import re
from typing import Any

import torch

from epslab.errors import UserError
from epslab.recipes.common import TrainingSettings
from epslab.recipes.plan import Plan
from epslab.recipes.table import plan_of

_STATES = 4  # the weights, their gradients and Adam's two moments


def plan_in_memory(settings: TrainingSettings, images: Any, seed: int) -> Plan:
    """What the recipe of these settings plans for these images.

    Raises:
        UserError: The model is too large for this machine's memory.
    """
    needed, there = _size(settings, images, seed), _memory()
    states = _STATES if not torch.accelerator.is_available() else 1
    if there is not None and needed * states > there:
        training = ", training four times that," if states > 1 else ""
        raise _too_large(f"its weights take {needed / 1e9:,.1f} GB{training}", there)
    try:
        return plan_of(settings, images, seed)
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and "memory" not in str(error):
            raise
        size = re.search(r"allocate (\d+) bytes", str(error))
        why = f"a part of it takes {int(size[1]) / 1e9:,.1f} GB" if size else "it could not be built"
        raise _too_large(why, there) from error


def _too_large(why: str, there: int | None) -> UserError:
    has = "" if there is None else f" and this machine has {there / 1e9:,.1f} GB of memory"
    return UserError(f"A model of these settings is too large: {why}{has}; choose smaller ones.")


def _size(settings: TrainingSettings, images: Any, seed: int) -> int:
    """Bytes of the model's weights; 0 where they cannot be told without building it."""
    try:
        with torch.device("meta"):  # shapes without memory
            model = plan_of(settings, images, seed).model
    except Exception:  # a recipe may compute with its weights, which are not there
        return 0
    return sum(weight.numel() * weight.element_size() for weight in model.parameters())


def _memory() -> int | None:
    """Bytes of this machine's memory; None where the system does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None
