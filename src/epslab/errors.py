"""Errors that speak to the user: one sentence that says what was given, what was expected and how to mend it."""

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """What the user gave cannot work.

    The command line prints the sentence and ends with exit code 2; as a ``ValueError`` it serves library code as well.
    """


def unknown(kind: str, name: str, known: Iterable[str]) -> UserError:
    """The error for an unknown name: it suggests the nearest known name and lists them all."""
    names = sorted(known)
    nearest = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    suggestion = f" Did you mean '{nearest[0]}'?" if nearest else ""
    return UserError(f"Unknown {kind} '{name}'.{suggestion} Known: {', '.join(names)}.")
