"""The settings of a run, read back from its ``config.yaml``."""

from pathlib import Path
from typing import Any

import yaml

from epslab.errors import UserError

_FILE = "config.yaml"


def load_settings(given: str | None, resumed: Path | None = None) -> dict[str, Any]:
    """What a configuration file says, flag to value, and ``recipe``.

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
            return {}
        given = str(resumed)
    path = Path(given)
    file = path / _FILE if path.is_dir() else path
    try:
        settings = yaml.safe_load(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"There is no configuration '{file}'; --config takes a run folder or its {_FILE}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"'{file}' is not YAML; --config takes a run folder or its {_FILE}.") from error
    if not isinstance(settings, dict) or not all(isinstance(name, str) for name in settings):
        raise UserError(f"'{file}' does not map flags to values; --config takes a run folder or its {_FILE}.")
    of_a_run = settings.pop("provenance", None) is not None
    return {
        name.replace("-", "_"): value
        for name, value in settings.items()
        if not (of_a_run and name in ("out", "resume", "overwrite"))
    }
