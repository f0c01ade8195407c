"""Audits: one classifier, many attacks, one folder with numbers, pictures and adversarial images.

From Python as from the command line::

    target = find_target("runs/cnn", limit=200)
    attacks = build_attacks("fgsm,pgd:steps=100", Linf(8 / 255))
    report = audit(target, attacks, out="runs/cnn/attacks/mine")

Reading what is asked for needs no torch, so that wrong flags are answered at once; the rest loads when it is first
used.
"""

import importlib
from typing import TYPE_CHECKING, Any

from epslab.audits.options import Choice, parse_attacks

if TYPE_CHECKING:
    from epslab.audits.building import build_attacks as build_attacks
    from epslab.audits.running import audit as audit
    from epslab.audits.targets import Target as Target
    from epslab.audits.targets import find_target as find_target
    from epslab.audits.user_model import load_model as load_model

_LATER = {
    "Target": "targets",
    "audit": "running",
    "build_attacks": "building",
    "find_target": "targets",
    "load_model": "user_model",
}

__all__ = ["Choice", "parse_attacks", *_LATER]


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"epslab.audits.{_LATER[name]}"), name)
