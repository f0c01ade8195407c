"""What runs take on the disk, and the part of it that only resuming needs."""

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from epslab.runs.folder import Folder
from epslab.runs.lock import lock
from epslab.runs.run import Run

_INSIDE = {"checkpoints", "figures", "tensorboard", "attacks", "results"}
"""Folders of a run that hold no runs."""


def runs_in(folder: Path | str) -> Iterator[Run]:
    """The runs in a folder and its subfolders, or the folder itself if it is one, by name."""
    for place, inner, files in os.walk(folder):
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        if "config.yaml" in files:
            inner[:] = [name for name in inner if name not in _INSIDE]
            yield Run(place)


def size(folder: Path | str) -> int:
    """Bytes of all files in a folder, each counted once however many links it has."""
    return _bytes(Path(place) / name for place, _, files in os.walk(folder) for name in files)


def checkpoint_size(run: Folder) -> int:
    """Bytes of a run's checkpoints."""
    return _bytes(_checkpoints(run))


def droppable(run: Run) -> bool:
    """Whether a run has checkpoints that it no longer needs: it is finished, and has its weights."""
    return run.result().get("status") == "finished" and run.weights.is_file() and bool(_checkpoints(run))


def drop_checkpoints(run: Run) -> int:
    """Delete the checkpoints of a finished run; returns the bytes that were freed.

    Weights, numbers, curves and pictures stay. Without its checkpoints a run cannot be trained on (``resume=True`` with
    more epochs). Nothing is deleted of a run that is not finished, or has no weights.

    Raises:
        UserError: Another process writes to the run.
        OSError: The folder cannot be written.
    """
    if not droppable(run):
        return 0
    with lock(run.folder, "deleting checkpoints"):
        if not droppable(run):
            return 0
        freed = checkpoint_size(run)
        for path in _checkpoints(run):
            path.unlink(missing_ok=True)
        with suppress(OSError):  # a link, or the user's own files
            run.checkpoints.rmdir()
    return freed


def _checkpoints(run: Folder) -> list[Path]:
    found = run.checkpoints.glob("*.ckpt") if run.checkpoints.is_dir() else ()
    return [path for path in (*found, *run.checkpoints.glob(".*.ckpt.*")) if path.is_file()]


def _bytes(paths: Iterable[Path]) -> int:
    found = {}
    for path in paths:
        with suppress(OSError):  # deleted a moment ago
            about = path.lstat()
            found[about.st_dev, about.st_ino] = about.st_size
    return sum(found.values())
