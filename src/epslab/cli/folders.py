"""Where a verb writes when no folder is given, and which process makes it."""

import itertools
import os
from pathlib import Path

RUNS = Path("runs")
_RANKS = ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID")


def first_process() -> bool:
    """Whether this is the only process, or the first of several: the one that prints and makes folders."""
    return all(int(os.environ.get(rank) or 0) == 0 for rank in _RANKS)


def automatic(name: str, resume: bool = False, overwrite: bool = False) -> Path:
    """The folder ``runs/NAME``; where it exists, ``runs/NAME-2``, ``-3``, ….

    Args:
        name: What the run is, e.g. ``vae-digits``.
        resume: Take the last of those that exist instead.
        overwrite: Take ``runs/NAME`` whether it exists or not.
    """
    names = (RUNS / (name if number == 1 else f"{name}-{number}") for number in itertools.count(1))
    if overwrite:
        return next(names)
    last = None
    for folder in names:
        if not folder.exists():
            break
        last = folder
    return last if resume and last is not None else folder
