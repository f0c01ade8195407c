"""One question each: train what is needed, measure, return tables and figures.

Names and questions load without torch, so that help answers at once; a study loads when it runs.
"""

import ast
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from epslab.errors import unknown

if TYPE_CHECKING:
    from epslab.studies.context import Context as Context
    from epslab.studies.running import run_study as run_study
    from epslab.studies.running import tour as tour

GENERATIVE = ("vae", "manifold", "beta", "estimators", "reparameterisation", "divergences")
"""The studies of generative models, in reading order."""
ADVERSARIAL = ("fgsm", "fgsm-or-pgd", "defence", "transfer", "findings")
"""Those of classifiers under attack."""
NAMES = (*GENERATIVE, *ADVERSARIAL)
"""Every study, in reading order; each is a module (``module``) with its ``QUESTION`` and ``run(context)``."""

_LAZY = {"Context": "context", "run_study": "running", "tour": "running"}

__all__ = ["ADVERSARIAL", "GENERATIVE", "NAMES", "module", "question", *_LAZY]


def module(name: str) -> str:
    """The module of a study: "fgsm-or-pgd" is ``epslab.studies.fgsm_or_pgd``."""
    return f"{__name__}.{name.replace('-', '_')}"


def question(name: str) -> str:
    """What a study asks, read from its source without running it.

    Raises:
        UserError: An unknown study.
    """
    if name not in NAMES:
        raise unknown("study", name, NAMES)
    spec = find_spec(module(name))
    source = Path(spec.origin).read_text(encoding="utf-8") if spec is not None and spec.origin else ""
    for statement in ast.parse(source).body:
        match statement:
            case ast.Assign(targets=[ast.Name(id="QUESTION")], value=ast.Constant(value=str(text))):
                return text
    raise LookupError(f"{module(name)} has no QUESTION")


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        from importlib import import_module

        return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
