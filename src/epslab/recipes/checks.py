"""Checks of settings, made before anything is loaded or written."""

import math
from collections.abc import Callable
from dataclasses import fields as fields_of
from typing import Any, Literal, get_args, get_origin, get_type_hints

from epslab.errors import UserError


def require(settings: Any, wanted: str, holds: Callable[[Any], bool], *fields: str) -> None:
    """Refuse settings that cannot work; a field that may be None passes as None.

    Args:
        settings: A dataclass.
        wanted: What the fields must be, in words.
        holds: Whether a value is that.
        fields: The fields to check.

    Raises:
        UserError: The condition does not hold; the sentence names the setting, its value and what it may be.
    """
    types = {field.name: str(field.type) for field in fields_of(settings)}
    for field in fields:
        value, nullable = getattr(settings, field), "None" in types[field]
        if not (nullable and value is None) and not holds(value):
            raise UserError(f"`{field}=` is {value}, but must be {wanted}{', or `None`' if nullable else ''}.")


def require_choices(settings: Any) -> None:
    """Refuse a value that is none of those a field's ``Literal`` names.

    Raises:
        UserError: One is not; the sentence names the setting, its value and what it may be.
    """
    try:
        hints = get_type_hints(type(settings))
    except (NameError, TypeError):  # annotations that nobody can read say nothing
        return
    for field in fields_of(settings):
        hint, value = hints.get(field.name), getattr(settings, field.name)
        if get_origin(hint) is Literal and value not in get_args(hint):
            known = ", ".join(map(repr, get_args(hint)))
            raise UserError(f"`{field.name}=` is {value!r}, but must be one of {known}.")


def pixels(value: float | str, name: str) -> float:
    """A length in units of the pixel range [0, 1]: a number, or text such as "8/255" or "0.3".

    Raises:
        UserError: The text is no such length, or the length is negative or not finite.
    """
    above, slash, below = str(value).partition("/")
    try:
        length = float(above) / float(below) if slash else float(above)
    except (ValueError, ZeroDivisionError):
        length = math.nan
    if not 0 <= length < math.inf:
        raise UserError(
            f"`{name}=` is '{value}', but must be a number such as 0.3 or a fraction such as 8/255, not below 0."
        )
    return length


def images_only(examples: Any, model: str) -> Any:
    """The examples themselves; points are refused, for a model of images.

    Args:
        examples: An ``ImageSet``, a ``PointSet``, or the like.
        model: What the sentence calls the model.

    Raises:
        UserError: An example is not [c h w].
    """
    if len(examples.shape) != 3:
        name = getattr(examples, "name", "")
        subject = f"'{name}' holds" if name else "These are"
        raise UserError(
            f"{subject} points with {examples.shape[0]} coordinates, but {model} takes images; choose a data set of"
            " images, such as digits."
        )
    return examples


def at_least(minimum: int, **values: int | None) -> None:
    """Check whole numbers that are no settings of a recipe, by their names.

    Raises:
        UserError: A value is below ``minimum``.
    """
    for name, value in values.items():
        if value is not None and value < minimum:
            raise UserError(f"`{name}=` must be at least {minimum}, not {value}.")


def require_images(shape: tuple[int, ...], setting: str, instead: str) -> None:
    """Refuse a setting that only images can have.

    Raises:
        UserError: The examples are points, of shape (d,).
    """
    if len(shape) != 3:
        name = setting.partition("=")[0]
        raise UserError(
            f"`{setting}` is for images, but the data are points of {shape[0]} coordinates; use `{name}='{instead}'`."
        )
