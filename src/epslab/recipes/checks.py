"""What the recipes' settings are checked by, before anything is loaded or written."""

import math

from epslab.errors import UserError


def require(recipe: object, field: str, holds: bool, wanted: str) -> None:
    """Refuse a setting that cannot work.

    Raises:
        UserError: The condition does not hold; the sentence names the setting's flag, its value and what it may be.
    """
    if not holds:
        flag = field.replace("_", "-")
        raise UserError(f"--{flag} is {getattr(recipe, field)}, but must be {wanted}.")


def pixels(value: float | str, flag: str) -> float:
    """A length in units of the pixel range [0, 1], from a number or from text such as "8/255" or "0.3".

    Raises:
        UserError: The text is neither, or the length is negative or not finite.
    """
    above, slash, below = str(value).partition("/")
    try:
        length = float(above) / float(below) if slash else float(above)
    except (ValueError, ZeroDivisionError):
        length = math.nan
    if not 0 <= length < math.inf:
        raise UserError(
            f"--{flag} is '{value}', but must be a number such as 0.3 or a fraction such as 8/255, not below 0."
        )
    return length


def at_least(minimum: int, **values: int | None) -> None:
    """Check whole numbers that are no settings of a recipe, by the name of their flag.

    Raises:
        UserError: A value is below ``minimum``.
    """
    for name, value in values.items():
        if value is not None and value < minimum:
            flag = f"-{name}" if len(name) == 1 else f"--{name.replace('_', '-')}"
            raise UserError(f"{flag} must be at least {minimum}, not {value}.")
