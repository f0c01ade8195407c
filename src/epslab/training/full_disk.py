"""A disk that fills up during training costs nothing but the time since the last checkpoint."""

import errno
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from epslab.errors import UserError
from epslab.runs import Run

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def full_disk_told(run: Run) -> Iterator[None]:
    """Inside the block, a disk without space gives one sentence, also where TensorBoard's own thread meets it.

    Raises:
        UserError: The disk is full.
    """
    usual = threading.excepthook

    def hook(thread: threading.ExceptHookArgs) -> None:
        if thread.exc_value is None or not _full(thread.exc_value):
            usual(thread)

    threading.excepthook = hook
    try:
        yield
    except (OSError, RuntimeError) as error:
        if not _full(error):
            raise
        kept = "its last checkpoint is whole" if run.last_checkpoint.exists() else "it has no checkpoint yet"
        raise UserError(
            f"The disk of '{run.folder}' is full, and training stopped; {kept}. Free some space, then go on with"
            " `resume=True`."
        ) from error
    finally:
        threading.excepthook = usual


def _full(error: BaseException | None) -> bool:
    """Whether a full disk is behind an error; torch raises one of its own about a file that it could not finish."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _FULL:
            return True
        error = error.__cause__ or error.__context__
    return False
