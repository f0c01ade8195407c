"""Pickles of arrays, opened by an unpickler that can build nothing else.

A pickle is a program that may call any function. This unpickler knows only the functions that numpy's own pickles of
arrays call, so the worst a file can do is fail to load.
"""

import io
import pickle
from typing import Any

import numpy as np

# The objects themselves, as numpy's own pickles refer to them: a name in a file is looked up here and never imported.
_RECONSTRUCT = np.empty(0, np.uint8).__reduce__()[0]
_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
}


def load_arrays(content: bytes) -> Any:
    """Unpickle containers, numbers, strings and numpy arrays; Python 2's strings come as bytes.

    Raises:
        ValueError: It is no pickle, or names anything else; nothing of it has been run.
    """
    try:
        return _ArraysOnly(io.BytesIO(content), encoding="bytes").load()
    except _ForbiddenError:
        raise
    except Exception as error:  # a damaged pickle fails in any way it likes
        raise ValueError(f"is no readable pickle ({type(error).__name__})") from error


class _ForbiddenError(ValueError):
    """A pickle that names something other than an array."""


class _ArraysOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """The object for a name, of the few there are."""
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise _ForbiddenError(
                f"is a pickle that wants to run {module}.{name}, and only arrays are allowed: nothing of it was run"
            ) from None
