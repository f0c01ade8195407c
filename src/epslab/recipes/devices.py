"""Where a model is put."""

import torch

from epslab.errors import UserError, unknown


def device(accelerator: str) -> torch.device:
    """The device a model is put on: that of the accelerator, of "auto" the best there is.

    Raises:
        UserError: An unknown accelerator, or one this machine does not have.
    """
    there = {"cpu": True, "gpu": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    name = "gpu" if accelerator == "cuda" else accelerator
    if name == "auto":
        name = next(known for known in ("gpu", "mps", "cpu") if there[known])
    if name not in there:
        raise unknown("accelerator", accelerator, ("auto", *there))
    if not there[name]:
        raise UserError(f"--accelerator {accelerator} was asked for, but this machine has none; use auto or cpu.")
    return torch.device("cuda" if name == "gpu" else name)
