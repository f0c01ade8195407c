"""Errors that speak to the user: one sentence that says what was given, what was expected and how to mend it.

A sentence names an option as Python writes it, in backticks: `` `resume=True` ``, `` `out=` ``. The command line
translates it with ``as_flags`` before it prints.
"""

import difflib
import re
from collections.abc import Iterable, Mapping


class UserError(ValueError):
    """What the user gave cannot work.

    The command line prints the sentence and ends with exit code 2; as a ``ValueError`` it serves library code as well.
    """


def unknown(kind: str, name: str, known: Iterable[str]) -> UserError:
    """The error for an unknown name: it suggests the nearest known name and lists them all."""
    names = sorted(known)
    return UserError(f"Unknown {kind} '{name}'.{nearest(name, names)} Known: {', '.join(names)}.")


def nearest(name: str, known: Iterable[str]) -> str:
    """A question about the nearest known name, " Did you mean 'vae'?"; empty if none is near."""
    found = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" Did you mean '{found[0]}'?" if found else ""


def as_flags(sentence: str) -> str:
    """The sentence with Python's options as the command line writes them; other text in backticks stays.

    >>> as_flags("Go on with `resume=True`, or choose another `out=`.")
    'Go on with --resume, or choose another --out.'
    >>> as_flags("Use `batch_size=64` or `sweep=False`; `epslab report RUN` shows `Ball.project`.")
    'Use --batch-size 64 or --no-sweep; `epslab report RUN` shows `Ball.project`.'
    """
    return _OPTION.sub(_flag, sentence).replace("`None`", "null")


_OPTION = re.compile(r"`([a-z][a-z0-9_]*)=(?!=)([^`]*)`")
_OTHER_NAMES: Mapping[str, str] = {"root": "data_root", "nodes": "num_nodes"}
"""Options whose flag has another name."""


def _flag(option: re.Match[str]) -> str:
    name, value = option[1], option[2].strip("\"'")
    word = _OTHER_NAMES.get(name, name).replace("_", "-")
    flag = f"-{word}" if len(word) == 1 else f"--{word}"
    match value:
        case "" | "True":
            return flag
        case "False":
            return f"--no-{word}"
    return f"{flag} {value}"
