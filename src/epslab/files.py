"""Where may be written, and atomic writes: a kill at any moment leaves the old content or the new, never half of it."""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from epslab.errors import UserError

PAGE, PICTURE, ARRAY = (".html", ".htm"), (".png",), (".npy",)  # the suffixes of what users let epslab write
FULL = (errno.ENOSPC, errno.EDQUOT)  # the errors of a full disk
_LONGEST = 255  # bytes in a name, on every common file system
_MARKS = ("config.yaml", "result.json", "robustness.json", "evaluation.json", "results", "found")
"""What makes a folder one of epslab's: a run, an attack, an evaluation or a study, finished or not."""
_OWN_FILES = (
    *("config.yaml", "result.json", "metrics.csv", "timing.csv", "model.safetensors"),
    *("classes.csv", "evaluation.json", "robustness.json", "robustness.csv", "sweep.csv", "examples.csv"),
    "provenance.json",
)
_OWN_FOLDERS = ("checkpoints", "figures", "results", "tables", "found", "tensorboard", "attacked")


def check_output(path: Path | str, suffixes: Sequence[str]) -> Path:
    """The path of one file to write, checked before the work that would be lost.

    A file that lies there already is replaced, as everywhere; but never a file that a run, an attack or a study keeps.

    >>> check_output("page.html", PAGE).name
    'page.html'

    Args:
        path: Where it shall lie.
        suffixes: What its name may end in, in lower case and with the dot.

    Raises:
        UserError: Another suffix, a name that is too long, a folder, a place that cannot be written, or a name under
            which a folder of epslab's keeps its own files.
    """
    file = Path(path)
    _require_short(file)
    if file.is_dir():
        raise UserError(f"'{file}' is a folder; give `out=` the path of a file.")
    if file.suffix.lower() not in suffixes:
        named = " or ".join(suffixes)
        raise UserError(
            f"'{file}' does not end in {named}; give `out=` a name that does, e.g. '{file.with_suffix(suffixes[0])}'."
        )
    if (owner := _owner(file.resolve())) is not None:
        raise UserError(f"'{file}' is among the files that '{owner.name}' keeps for itself; choose another `out=`.")
    _require_writable(file, file.parent)
    return file


def check_folder(path: Path | str) -> Path:
    """The path of a folder to write into, checked before the work that would be lost.

    Raises:
        UserError: A name that is too long, a file, or a place that cannot be written.
    """
    folder = Path(path)
    _require_short(folder)
    if folder.exists() and not folder.is_dir():
        raise UserError(f"'{folder}' is a file; give `out=` the path of a folder.")
    _require_writable(folder, folder)
    return folder


def _require_short(path: Path) -> None:
    for name in path.parts:
        if len(os.fsencode(name)) > _LONGEST:
            raise UserError(
                f"The name '{name[:20]}…' has {len(name)} letters, more than a disk takes ({_LONGEST} bytes); choose a"
                " shorter `out=`."
            )


def _owner(file: Path) -> Path | None:
    """The folder of epslab's that keeps its own files under this name; None if none does."""
    if file.name.lower() in _OWN_FILES and _is_ours(file.parent):
        return file.parent
    inside = (folder for folder in file.parents if folder.name.lower() in _OWN_FOLDERS)
    return next((folder.parent for folder in inside if _is_ours(folder.parent)), None)


def _is_ours(folder: Path) -> bool:
    return any((folder / mark).exists() for mark in _MARKS)


def _require_writable(path: Path, folder: Path) -> None:
    """Check that a path's folder can be written, or made."""
    existing = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise UserError(
            f"Cannot write '{path}': '{existing}' is not a folder that can be written; choose another `out=`."
        )


def write_atomic(path: Path, content: bytes | str) -> None:
    """Write ``content`` to ``path``; see ``writing``."""
    with writing(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


@contextmanager
def writing(path: Path) -> Iterator[BinaryIO]:
    """A temporary file next to ``path``, flushed to disk and renamed to ``path`` at the end.

    Raises:
        OSError: The disk refused; its ``filename`` is ``path``.
    """
    # The temporary name is longer than the file's; of a very long one the start is enough.
    start = path.name if len(os.fsencode(path.name)) < _LONGEST - 20 else path.name[:50]
    temporary = ""
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{start}.", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes private files; the result gets the permissions any other new file would have.
        umask = os.umask(0)
        os.umask(umask)
        Path(temporary).chmod(0o666 & ~umask)
        Path(temporary).replace(path)
    except BaseException as error:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
        if isinstance(error, OSError):  # a write that fails names no file, or the temporary one
            error.filename, error.filename2 = str(path), None
        raise


def require_space(folder: Path, needed: int, purpose: str) -> None:
    """Check that the disk of ``folder`` has ``needed`` bytes free.

    Raises:
        UserError: It has less (the sentence names both figures and the purpose), or a name is too long.
    """
    _require_short(folder)
    existing = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise UserError(
            f"Not enough disk: {purpose} needs {needed / 1e6:,.0f} MB in {existing}, which has {free / 1e6:,.0f} MB"
            " free; free some, or choose a folder on another disk."
        )
