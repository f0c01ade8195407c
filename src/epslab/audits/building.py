"""From the attacks that are asked for to attacks that can be called."""

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from fractions import Fraction
from math import inf
from typing import Any, get_args, get_origin, get_type_hints

import yaml
from jsonargparse import ArgumentError, ArgumentParser
from torch import Tensor

from epslab import attacks
from epslab.attacks import ATTACKS, Attack, WorstCase
from epslab.audits.options import Choice, parse_attacks
from epslab.errors import UserError, unknown
from epslab.geometry import Ball
from epslab.names import imported, is_path

FUNCTIONS: dict[str, Callable[..., Any]] = {
    "cross-entropy": attacks.cross_entropy,
    "margin": attacks.margin,
    "dlr": attacks.dlr,
    "untargeted": attacks.untargeted,
    "least-likely": attacks.least_likely,
}
"""Objectives and goals by the name an option gives them."""
_TYPES = {int: "a whole number", float: "a number", bool: "true or false", type(None): "nothing"}


def build_attacks(
    choices: str | Sequence[Choice],
    ball: Ball,
    *,
    steps: int | None = None,
    restarts: int | None = None,
    worst_case: bool = False,
    leave_early: bool = True,
) -> dict[str, Attack]:
    """The attacks that are asked for, by the name the results give them.

    >>> from epslab.audits import build_attacks
    >>> from epslab.geometry import Linf
    >>> list(build_attacks("fgsm,pgd:steps=100,objective=margin", Linf(0.1)))
    ['fgsm', 'pgd']

    Args:
        choices: As ``--attacks`` takes them, or what ``parse_attacks`` made of that.
        ball: The perturbations allowed; an attack that takes none is built without.
        steps: Gradient steps, for those that have the setting and do not set it themselves.
        restarts: Runs per example, likewise.
        worst_case: One attack of all of them, "random+pgd", one after the other on what withstood those before.
        leave_early: Whether an image is left alone once it is broken; without it every attack goes for the greatest
            loss of every image (``attack.thorough()``).

    Raises:
        UserError: An unknown name or option, a value of the wrong type, no attack at all, or a setting that none has.
    """
    choices = parse_attacks(choices) if isinstance(choices, str) else choices
    if not choices:
        raise UserError(f"There is no attack to run: name one or more of {', '.join(ATTACKS)}.")
    common = {name: value for name, value in (("steps", steps), ("restarts", restarts)) if value is not None}
    for choice in choices:
        name, _, option = choice.name.partition(":")
        if option and name in ATTACKS.builtin:
            raise UserError(f"'{choice.name}' gives the option '{option}' no value; write {name}:{option}=VALUE.")
    kinds = {choice.key: ATTACKS[choice.name] for choice in choices}
    for setting, value in common.items():
        if value < 1:
            raise UserError(f"`{setting}=` must be 1 or more, not {value}.")
        if not any(setting in settings(kind) for kind in kinds.values()):
            raise UserError(f"{have_no([c.name for c in choices])} `{setting}=`; leave it out, or attack with pgd.")
    made = {}
    for choice in choices:
        own = {name: value for name, value in common.items() if name in settings(kinds[choice.key])}
        attack = make(choice.name, kinds[choice.key], ball, {**own, **choice.options})
        made[choice.key] = attack if leave_early else attack.thorough()
    return {"+".join(made): WorstCase(tuple(made.values()), leave_early)} if worst_case else made


def bounded(attacks: Mapping[str, Attack]) -> Attack | None:
    """The first of these attacks that has a ball; None if all of them may go any distance."""
    return next(
        (attack for attack in attacks.values() if isinstance(attack.radius, Tensor) or attack.radius < inf), None
    )


def make(name: str, kind: Any, ball: Ball, options: Mapping[str, Any]) -> Attack:
    """One attack with these options, in the ball if it takes one.

    Raises:
        UserError: An unknown option, a value of the wrong type or out of range, or what is no attack.
    """
    known = settings(kind)
    for option in options:
        if option not in known or option == "ball":
            raise unknown(f"option of {name}", option, [other for other in known if other != "ball"])
    given = {option: _typed(name, option, known[option], value) for option, value in options.items()}
    try:
        made = kind(ball, **given) if "ball" in known else kind(**given)
    except TypeError as error:
        raise UserError(f"The attack '{name}' cannot be built from {_listed(given) or 'nothing'}: {error}.") from error
    if not isinstance(made, Attack):
        raise UserError(f"'{name}' is no attack: it needs norm, radius, part, thorough and to be called.")
    return made


def settings(kind: Any) -> dict[str, Any]:
    """The settings an attack is built from, by name, with their types."""
    if is_dataclass(kind):
        hints = get_type_hints(kind)
        return {one.name: hints[one.name] for one in fields(kind) if one.init}
    hints = get_type_hints(vars(kind).get("__init__", kind) if isinstance(kind, type) else kind)
    return {one: hints.get(one, Any) for one in inspect.signature(kind).parameters}


def _typed(name: str, option: str, hint: Any, value: Any) -> Any:
    """An option's value in its type.

    Raises:
        UserError: It is of another type.
    """
    kinds = get_args(hint) or (hint,)
    if get_origin(hint) is Callable or any(get_origin(kind) is Callable for kind in kinds):
        return _function(name, option, str(value))
    if isinstance(value, str):
        value = yaml.safe_load(value) if value else None
    if float in kinds and isinstance(value, str) and re.fullmatch(r"[\d.]+/\d+", value):
        value = float(Fraction(value))  # 2/255
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--value", type=hint)
    try:
        return parser.parse_object({"value": value}).value
    except (ArgumentError, ValueError, TypeError) as error:
        wanted = " or ".join(_TYPES.get(kind, str(getattr(kind, "__name__", kind))) for kind in kinds)
        raise UserError(f"{name}'s option '{option}' is '{value}', but must be {wanted}.") from error


def _function(name: str, option: str, value: str) -> Any:
    """An objective or a goal, by its name or import path."""
    if value.replace("_", "-") in FUNCTIONS:
        return FUNCTIONS[value.replace("_", "-")]
    if is_path(value):
        return imported(value)
    raise unknown(f"{option} of {name}", value, FUNCTIONS)


def have_no(names: Sequence[str]) -> str:
    """How a sentence begins about what these attacks lack: "random and fgsm have no"."""
    return f"{names[0]} has no" if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]} have no"


def _listed(options: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in options.items())
