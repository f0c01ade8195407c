"""The one training loop: Lightning's Trainer around any objective; the only package that knows Lightning.

The names are imported when they are used: ``Machine`` and ``Limits`` need neither torch nor Lightning.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from epslab.training.limits import Limits
    from epslab.training.loop import fit
    from epslab.training.machine import Machine
    from epslab.training.turns import Optimisation, Turn

__all__ = ["Limits", "Machine", "Optimisation", "Turn", "fit"]

_HOMES = {"Limits": "limits", "Machine": "machine", "Optimisation": "turns", "Turn": "turns", "fit": "loop"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
