"""Settings read back from a file that people edit: errors name the file, the key and the type that is expected."""

import dataclasses
import types
from collections.abc import Mapping
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from epslab.errors import UserError, nearest
from epslab.training.machine import Machine

_FORMER = {"num_nodes": "nodes"}
"""Keys of older files."""
_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text", type(None): "null"}
RUN: Mapping[str, Any] = {"recipe": str, "data": str, "data_root": str | None, "seed": int, **get_type_hints(Machine)}
"""The settings of every run, beside those of its recipe."""


def read_settings(values: Mapping[str, Any], expected: Mapping[str, Any], file: str) -> dict[str, Any]:
    """The values, each in the type that is expected.

    Args:
        values: What the file says, by key.
        expected: The type of every key it may have; a key may be missing.
        file: Named in errors.

    Raises:
        UserError: A key is unknown, or a value has another type.
    """
    made = {}
    for key, value in values.items():
        name = _FORMER.get(key, key)
        if name not in expected:
            raise UserError(
                f"Unknown setting '{key}' in '{file}'.{nearest(key, expected)} Known: {', '.join(expected)}."
            )
        try:
            made[name] = _as(value, expected[name])
        except ValueError:
            shown = "null" if value is None else f"'{value}'"
            raise UserError(f"'{key}' in '{file}' is {shown}, but must be {_words(expected[name])}.") from None
    return made


def types_of(kind: type) -> dict[str, Any]:
    """The types of a dataclass's fields; anything goes where they cannot be told."""
    try:
        hints = get_type_hints(kind)
    except (NameError, TypeError):
        hints = {}
    return {field.name: hints.get(field.name, Any) for field in dataclasses.fields(kind)}


def _as(value: Any, hint: Any) -> Any:
    """The value as this type.

    Raises:
        ValueError: It is another.
    """
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return _as_one_of(value, arguments)
    if origin is Literal:
        fits = any(value == choice and type(value) is type(choice) for choice in arguments)
    elif origin in (tuple, list):
        if not isinstance(value, list | tuple):
            raise ValueError
        inner = [argument for argument in arguments if argument is not ...]
        kinds = inner * len(value) if len(inner) == 1 else inner
        return origin(_as(entry, kind) for entry, kind in zip(value, kinds, strict=True))
    elif hint is float and isinstance(value, int | str) and not isinstance(value, bool):
        return float(value)  # YAML reads 1e-3 as text
    elif hint in _WORDS:
        fits = type(value) is hint
    else:
        fits = True
    if not fits:
        raise ValueError
    return value


def _as_one_of(value: Any, hints: tuple[Any, ...]) -> Any:
    for hint in sorted(hints, key=lambda hint: type(value) is not hint):
        try:
            return _as(value, hint)
        except ValueError:
            continue
    raise ValueError


def _words(hint: Any) -> str:
    """A type in words: "a whole number or null"."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(_words(argument) for argument in arguments))
    if origin is Literal:
        return f"one of {', '.join(map(str, arguments))}"
    return "a list such as [1, 2]" if origin in (tuple, list) else _WORDS.get(hint, str(hint))
