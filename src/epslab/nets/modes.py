"""Using a model without leaving a trace on it."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put every submodule into eval mode and give each its own mode back at the end, also after an exception."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training


@contextmanager
def borrowed(
    model: object, *, training: bool = False, frozen: bool = False, device: torch.device | None = None
) -> Iterator[None]:
    """Use a model and give it back as it was, also after an exception.

    Each submodule's mode, each parameter's ``requires_grad`` and ``grad``, the model's device and torch's global
    generators are as before at the end. A function that is no module is taken as it is; the generators are kept for it
    as well.

    >>> net = nn.Dropout().train()
    >>> with borrowed(net):
    ...     net.training
    False
    >>> net.training
    True

    Args:
        model: A module, or any callable.
        training: Leave the modes to the code inside; otherwise every submodule is in eval mode.
        frozen: No parameter takes gradients inside.
        device: A device the code inside computes on, whose generator is kept too.
    """
    module = model if isinstance(model, nn.Module) else nn.Module()
    modes = [(part, part.training) for part in module.modules()]
    parameters = [(p, p.requires_grad, p.grad, p.device) for p in module.parameters()]
    devices = {place for *_, place in parameters} | ({device} if device is not None else set())
    # By index: torch otherwise starts every GPU of the machine to ask for its state.
    with torch.random.fork_rng([place.index or 0 for place in devices if place.type == "cuda"]):
        try:
            if not training:
                module.eval()
            if frozen:
                for parameter, *_ in parameters:  # one by one: a TorchScript module has no requires_grad_
                    parameter.requires_grad_(False)
            yield
        finally:
            homes = {place for *_, place in parameters}
            if len(homes) == 1 and any(p.device not in homes for p in module.parameters()):
                module.to(homes.pop())
            for parameter, requires_grad, grad, _ in parameters:
                if parameter.requires_grad is not requires_grad:
                    parameter.requires_grad_(requires_grad)
                if parameter.grad is not grad:
                    parameter.grad = grad
            for part, mode in modes:
                part.training = mode
