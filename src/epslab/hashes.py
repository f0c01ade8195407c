"""Hashes that bind a result to the weights it was measured with, and a file of weights to its content."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from epslab.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

ENTRY = "epslab"
"""The one entry of a safetensors header: several would be written in an order that differs from process to process."""
HASH = "weights_hash"


def weights_hash(state: Mapping[str, "Tensor"]) -> str:
    """SHA-256 of a state dict: of its names, dtypes, shapes and values, in hex.

    It depends neither on the order of the entries nor on their device or memory format.

    >>> import torch
    >>> net = torch.nn.Linear(2, 1)
    >>> before = weights_hash(net.state_dict())
    >>> net.weight.data[0, 0] += 1
    >>> weights_hash(net.state_dict()) == before
    False

    Args:
        state: Tensors by name, as ``Module.state_dict()`` gives them.
    """
    import torch

    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        digest.update(repr((name, str(tensor.dtype), tuple(tensor.shape))).encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def file_hash(path: Path) -> str | None:
    """SHA-256 of a file's content, in hex; None where there is no such file."""
    if not path.is_file():
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def header(path: Path) -> dict[str, Any]:
    """What epslab wrote into the header of a safetensors file; empty where it wrote nothing.

    Raises:
        UserError: It is no safetensors file, or its header is damaged.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            entries = json.loads((file.metadata() or {}).get(ENTRY, "{}"))
    except (SafetensorError, json.JSONDecodeError, OSError) as error:
        raise _broken(path) from error
    return entries if isinstance(entries, dict) else {}


def read_weights(path: Path) -> dict[str, "Tensor"]:
    """The tensors of a safetensors file, checked against the hash in its header.

    A file without a hash (an older one, or one that ``safetensors.torch.save_file`` wrote) is read unchecked.

    Raises:
        UserError: It is no safetensors file, or its content is damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    wanted = header(path).get(HASH)
    try:
        state: dict[str, Tensor] = load_file(path)
    except SafetensorError as error:
        raise _broken(path) from error
    if wanted is not None and weights_hash(state) != wanted:
        raise UserError(
            f"The weights in '{path}' are damaged: they differ from those that were saved there (their checksum does"
            " not match); restore the file, or train again."
        )
    return state


def _broken(path: Path) -> UserError:
    return UserError(f"'{path}' is not a safetensors file, or is damaged; restore it, or train again.")
