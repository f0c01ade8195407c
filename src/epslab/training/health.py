"""Losses and weights that are not finite end the run; the error says where."""

import math
from collections.abc import Mapping
from typing import NoReturn

import torch
from torch import nn

from epslab.errors import UserError
from epslab.runs import Run


def stop(what: str, run: Run, epoch: int, step: int) -> NoReturn:
    """End the run.

    Args:
        what: "The loss", "The weights", …
        run: Its last checkpoint is named.
        epoch: The epoch it happened in, from 1.
        step: The batch it was found at, from 1, over all epochs.

    Raises:
        UserError: Always.
    """
    checkpoint = run.last_checkpoint
    kept = f"the last good checkpoint is '{checkpoint}'" if checkpoint.exists() else "there is no checkpoint yet"
    raise UserError(
        f"{what} became NaN or infinite in epoch {epoch}, step {step}; {kept}. Start again with a lower learning rate,"
        " gradient clipping or 32-bit precision."
    )


def first_bad_loss(metrics: Mapping[str, float]) -> str | None:
    """The first column of a loss that is not finite."""
    return next(
        (name for name, value in metrics.items() if name.endswith("/loss") and not math.isfinite(value)),
        None,
    )


def finite(model: nn.Module) -> bool:
    """Whether all weights and buffers are finite."""
    tensors = [*model.parameters(), *model.buffers()]
    return bool(torch.stack([tensor.detach().isfinite().all() for tensor in tensors]).all())
