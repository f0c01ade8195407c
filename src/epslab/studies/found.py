"""What a study measured, on disk: JSON for what a person reads, safetensors for tensors and pictures.

A file holds the settings it was measured with and is read back for these settings only. What the values are comes from
the annotations of the dataclass, never from the file: reading one runs nothing that the file names.
"""

import inspect
import json
import math
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from types import NoneType, SimpleNamespace
from typing import Any, Generic, Literal, TypeVar

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from epslab.classifiers import Proportion
from epslab.errors import UserError
from epslab.files import write_atomic

T = TypeVar("T")
_PLAIN = (bool, int, str, NoneType)


@dataclass(frozen=True)
class Kept(Generic[T]):
    """A value that was measured.

    Args:
        value: What was found: a dataclass of plain values, tensors, PNG bytes, and mappings, tuples or dataclasses of
            them.
        seconds: How long that took.
        runs: Run folder to digest of the weights, for each trained model it was measured on.
    """

    value: T
    seconds: float
    runs: Mapping[str, str]


def write(kept: Kept[Any], file: Path, settings: Mapping[str, Any]) -> None:
    """Save as ``file`` (JSON), its tensors beside it; a kill leaves all of it or nothing.

    Raises:
        TypeError: A value of a type that has no place in a file.
    """
    tensors: dict[str, Tensor] = {}
    content = {
        "settings": settings,
        "seconds": kept.seconds,
        "runs": kept.runs,
        "found": _encode(kept.value, "", tensors),
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.unlink(missing_ok=True)  # never the old numbers beside the new tensors
    if tensors:
        write_atomic(file.with_suffix(".safetensors"), save(tensors))
    write_atomic(file, json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def returned(measure: Callable[..., T]) -> type[T]:
    """What a function returns, by its annotation.

    Raises:
        UserError: It has none that can be read.
    """
    function = inspect.unwrap(measure)
    try:
        alone = SimpleNamespace(__annotations__={"return": function.__annotations__["return"]})
        kind: type[T] = typing.get_type_hints(alone, function.__globals__)["return"]
    except (AttributeError, KeyError, NameError, TypeError) as error:
        raise UserError(
            f"{getattr(measure, '__qualname__', measure)!r} does not say what it returns ({error}): annotate it with"
            " the dataclass that it measures, measure(context) -> Found."
        ) from error
    return kind


def read(kind: type[T], file: Path, settings: Mapping[str, Any]) -> Kept[T] | None:
    """What was saved there with these settings; None if it was not, or has another form by now."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if content["settings"] != json.loads(json.dumps(settings)):
            return None
        tensors = file.with_suffix(".safetensors")
        value = _decode(kind, content["found"], load_file(tensors) if tensors.exists() else {})
        return Kept(value, float(content["seconds"]), content["runs"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, SafetensorError):
        return None


def _encode(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    """The value as JSON holds it; ``name`` says where it stands, and names its tensor."""
    if isinstance(value, Proportion):
        return {"successes": value.successes, "n": value.n}
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"float": str(value)}
    if isinstance(value, bytes):
        value = torch.from_numpy(np.frombuffer(value, np.uint8).copy())
    if isinstance(value, Tensor):
        tensors[name] = value.detach().cpu().contiguous().clone()
        return {"tensor": name}
    parts = _parts(value)
    coded = {str(key): _encode(part, f"{name}.{key}" if name else str(key), tensors) for key, part in parts.items()}
    return list(coded.values()) if isinstance(value, list) or type(value) is tuple else coded


def _parts(value: Any) -> Mapping[Any, Any]:
    """What a value is made of, by name."""
    if isinstance(value, Mapping):
        return value
    if hasattr(value, "_fields"):
        return dict(zip(value._fields, value, strict=True))
    if isinstance(value, list | tuple):
        return dict(enumerate(value))
    if is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    raise TypeError(f"{value!r} is a {type(value).__name__}, which cannot be kept: use numbers, text and tensors")


def _decode(kind: Any, value: Any, tensors: Mapping[str, Tensor]) -> Any:
    """The value of this type.

    Raises:
        ValueError: It is of another type.
    """
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if NoneType in arguments:  # X | None
        return None if value is None else _decode(next(one for one in arguments if one is not NoneType), value, tensors)
    if isinstance(value, dict) and value.keys() == {"tensor"}:
        tensor = tensors[value["tensor"]]
        return tensor.numpy().tobytes() if kind is bytes else tensor
    if isinstance(value, dict) and value.keys() == {"float"}:
        return float(value["float"])
    if origin is None and isinstance(kind, type):
        return _decode_class(kind, value, tensors)
    if origin in (tuple, list, Sequence):
        each = arguments[:1] * len(value) if origin is not tuple or arguments[-1] is ... else arguments
        parts = [_decode(one, part, tensors) for one, part in zip(each, value, strict=True)]
        return parts if origin is list else tuple(parts)
    if origin is Literal and value in arguments:
        return value
    if origin in (dict, Mapping):
        return {arguments[0](key): _decode(arguments[1], part, tensors) for key, part in value.items()}
    raise ValueError(f"a value of type {kind} cannot be read back")


def _decode_class(kind: type, value: Any, tensors: Mapping[str, Tensor]) -> Any:
    if kind in (*_PLAIN, float):
        number = float(value) if kind is float and isinstance(value, int) else value
        if type(number) is not kind:
            raise ValueError(f"{value!r} is no {kind.__name__}")
        return number
    if kind is Proportion:
        return Proportion(**value)
    hints = typing.get_type_hints(kind)
    names = [field.name for field in fields(kind)] if is_dataclass(kind) else list(getattr(kind, "_fields", ()))
    if value.keys() != set(names):
        raise ValueError(f"{sorted(value)} are not the fields of {kind.__name__}")
    return kind(**{name: _decode(hints[name], value[name], tensors) for name in names})
