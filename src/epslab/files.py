"""Atomic writes: a kill at any moment leaves the old content or the new, never half of it."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from epslab.errors import UserError


def write_atomic(path: Path, content: bytes | str) -> None:
    """Write ``content`` to ``path``; see ``writing``."""
    with writing(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


@contextmanager
def writing(path: Path) -> Iterator[BinaryIO]:
    """A temporary file next to ``path``, flushed to disk and renamed to ``path`` at the end."""
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes private files; the result gets the permissions any other new file would have.
        umask = os.umask(0)
        os.umask(umask)
        Path(temporary).chmod(0o666 & ~umask)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def require_space(folder: Path, needed: int, purpose: str) -> None:
    """Check that the disk of ``folder`` has ``needed`` bytes free.

    Raises:
        UserError: It has less; the sentence names both figures and the purpose.
    """
    existing = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise UserError(
            f"Not enough disk: {purpose} needs {needed / 1e6:,.0f} MB in {existing}, which has {free / 1e6:,.0f} MB"
            " free; free some, or choose a folder on another disk."
        )
