"""What an evaluation was made of, in words that are the same in every process: to know its folder again."""

import hashlib
import inspect
import re
import sys
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import partial
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

import torch
from torch import Tensor, nn

_CHUNK = 1 << 26


def of_tensor(tensor: Tensor) -> str:
    """Type, shape and a digest of the values, on whatever device they are."""
    digest = hashlib.blake2b(digest_size=16)
    flat = tensor.detach().contiguous().view(-1)
    for first in range(0, len(flat), _CHUNK):
        part = flat[first : first + _CHUNK]
        digest.update(part.cpu().view(torch.uint8).numpy().tobytes())
    return f"{str(tensor.dtype).removeprefix('torch.')}{list(tensor.shape)} {digest.hexdigest()}"


def of_module(module: nn.Module) -> str:
    """The module's class, and a digest of its structure, weights and statistics."""
    digest = hashlib.blake2b(_without_addresses(repr(module)).encode(), digest_size=16)
    tensors = [*module.named_parameters(), *module.named_buffers()]
    for name, tensor in sorted(tensors, key=lambda pair: pair[0]):
        digest.update(f"{name} {of_tensor(tensor)}".encode())
    return f"{_name(type(module))} {digest.hexdigest()}"


def describe(value: Any) -> str:
    """Settings in words: an attack, a ball, a goal or a model, without anything that differs from run to run.

    Modules and tensors stand with a digest of their values, functions with their names and the modules and tensors they
    use, dataclasses with their fields, objects without a ``repr`` of their own with their attributes.
    """
    return _described(value, frozenset())


def _described(value: Any, within: frozenset[int]) -> str:
    """As ``describe``, for a part of the objects with these ids: a loop ends where it closes."""
    if id(value) in within:
        return "…"
    inside = within | {id(value)}

    def parts(values: Mapping[str, Any]) -> str:
        return ", ".join(f"{name}={_described(part, inside)}" for name, part in values.items())

    if isinstance(value, nn.Module):
        return of_module(value)
    if isinstance(value, Tensor):
        return of_tensor(value)
    if isinstance(value, MethodType):
        return f"{_described(value.__self__, inside)}.{value.__name__}"
    if isinstance(value, partial):
        return _described((value.func, value.args, value.keywords), inside)
    if isinstance(value, FunctionType):
        return f"{_name(value)}({parts(_used(value))})"
    if isinstance(value, type | BuiltinFunctionType):
        return _name(value)
    if is_dataclass(value):
        return f"{_name(type(value))}({parts({field.name: getattr(value, field.name) for field in fields(value)})})"
    if isinstance(value, Mapping):
        return f"{{{parts({str(key): part for key, part in value.items()})}}}"
    if isinstance(value, list | tuple):
        return f"({', '.join(_described(part, inside) for part in value)})"
    if re.fullmatch(r"<.* object at 0x[0-9a-f]+>", text := repr(value)):
        return f"{_name(type(value))}({parts(getattr(value, '__dict__', {}))})"
    return _without_addresses(text)


def _used(function: FunctionType) -> dict[str, Any]:
    """What a function encloses, and the modules and tensors among the globals it names.

    A function that can be imported is known by its name: what its decorators enclose is left out.
    """
    used: dict[str, Any] = {}
    home: Any = sys.modules.get(function.__module__)
    if getattr(home, function.__qualname__, None) is function:
        function = inspect.unwrap(function)
    else:
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            try:
                used[name] = cell.cell_contents
            except ValueError:  # a variable without a value yet
                continue
    named = {name: function.__globals__.get(name) for name in function.__code__.co_names}
    return used | {name: value for name, value in named.items() if isinstance(value, nn.Module | Tensor)}


def _name(value: Any) -> str:
    return f"{value.__module__}.{value.__qualname__}"


def _without_addresses(text: str) -> str:
    return re.sub(r" at 0x[0-9a-fA-F]+", "", text)
