"""The settings of a run, read back from its ``config.yaml``."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from epslab.errors import UserError
from epslab.training.changes import CHANGES, TO_COME, Change, history

_FILE = "config.yaml"
_NOT_REPEATED = ("out", "resume", "overwrite", CHANGES, TO_COME)


@dataclass(frozen=True)
class Configuration:
    """What a configuration file says.

    Args:
        settings: Flag to value, and ``recipe``.
        file: Where it is; empty for none.
        changes: Of settings on the way of the run that is to be repeated.
    """

    settings: dict[str, Any] = field(default_factory=dict)
    file: str = ""
    changes: tuple[Change, ...] = ()

    def overridden(self, words: Sequence[str]) -> tuple[Change, ...]:
        """The changes of settings that the command line does not set for the whole run."""
        given = [re.sub(r"=.*", "", word[2:]).replace("-", "_") for word in words if word.startswith("--")]
        kept = (change.without(given) for change in self.changes)
        return tuple(change for change in kept if change.before)


def load_configuration(given: str | None, resumed: Path | None = None) -> Configuration:
    """Read a configuration.

    A run's file, which has a ``provenance``, does not say where its repetition goes: its ``out``, ``resume`` and
    ``overwrite`` are left out.

    Args:
        given: A run folder or a YAML file; None for none.
        resumed: The run folder to resume, which is read if ``given`` is None and it holds a run.

    Raises:
        UserError: There is no such file, or it is no mapping in YAML.
    """
    if given is None:
        if resumed is None or not (resumed / _FILE).is_file():
            return Configuration()
        file = resumed / _FILE
    else:
        file = Path(given) / _FILE if Path(given).is_dir() else Path(given)
    settings = _read(file)
    if settings.pop("provenance", None) is None:
        return Configuration(_flags(settings), str(file))
    # What a resumed run has behind it stays behind it, unless it repeats another one.
    repeats = given is not None or TO_COME in settings
    changes = tuple(history(settings, str(file))) if repeats else ()
    own = {name: value for name, value in settings.items() if name not in _NOT_REPEATED}
    return Configuration({**_flags(own), **_last(changes)}, str(file), changes)


def _read(file: Path) -> dict[str, Any]:
    try:
        settings = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UserError(f"There is no configuration '{file}'; --config takes a run folder or its {_FILE}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"'{file}' is not YAML; --config takes a run folder or its {_FILE}.") from error
    if not isinstance(settings, dict) or not all(isinstance(name, str) for name in settings):
        raise UserError(f"'{file}' does not map flags to values; --config takes a run folder or its {_FILE}.")
    return settings


def _flags(settings: dict[str, Any]) -> dict[str, Any]:
    return {name.replace("-", "_"): value for name, value in settings.items()}


def _last(changes: Sequence[Change]) -> dict[str, Any]:
    """The settings after the last change; a run that was itself repeating another one may not have made it yet."""
    return {name: value for change in changes for name, value in change.after.items()}
