"""One question each: train what is needed, measure, tell.

A study is a module (or any object) with ``QUESTION``, ``measure(context) -> Found`` and ``tell(found) -> StudyResult``.
``Found``, a dataclass of plain values and tensors, is kept on disk: words and figures change without training or
attacking again. A package brings studies through the entry points ``epslab.studies``; a ``package.module:name`` will do
too.

Names and questions load without torch, so that help answers at once; a study loads when it runs.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from epslab.studies.names import NAMES, STUDIES, question

if TYPE_CHECKING:
    from epslab.studies.context import Context as Context
    from epslab.studies.running import run_study as run_study
    from epslab.studies.running import tour as tour

_LAZY = {"Context": "context", "run_study": "running", "tour": "running"}

__all__ = ["NAMES", "STUDIES", "question", *_LAZY]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
    if name.replace("_", "-") in NAMES:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
