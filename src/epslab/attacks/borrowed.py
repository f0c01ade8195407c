"""Using the caller's model without leaving a trace on it."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from epslab.nets.modes import evaluating
from epslab.types import Classifier


@contextmanager
def borrowed(model: Classifier, device: torch.device) -> Iterator[None]:
    """Eval mode, no gradients for parameters, gradients for inputs; all as it was afterwards, also after an exception.

    What the model or the attack draws from torch's own generators inside is not missed outside. A function that is no
    module is taken as it is.
    """
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices), torch.inference_mode(False), torch.enable_grad():
        if not isinstance(model, nn.Module):
            yield
            return
        wanted = [parameter for parameter in model.parameters() if parameter.requires_grad]
        with evaluating(model):
            try:
                for parameter in wanted:
                    parameter.requires_grad_(False)
                yield
            finally:
                for parameter in wanted:
                    parameter.requires_grad_(True)
