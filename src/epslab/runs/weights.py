"""Weights as safetensors, with their hash, and with errors that say what does not fit."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from epslab.errors import UserError
from epslab.files import write_atomic
from epslab.hashes import ENTRY, HASH, header, read_weights, weights_hash
from epslab.runs.plain import plain

if TYPE_CHECKING:
    from torch import Tensor, nn


def save(path: Path, state: Mapping[str, "Tensor"], about: Mapping[str, object]) -> None:
    """Write a state dict; ``about`` goes into the file's header with the hash of the weights, as JSON."""
    from safetensors.torch import save

    tensors = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in state.items()}
    entries = {**plain(about), HASH: weights_hash(tensors)}
    write_atomic(path, save(tensors, metadata={ENTRY: json.dumps(entries)}))


def about(path: Path) -> dict[str, Any]:
    """The header's entries without the hash; empty where there is no such file."""
    return {name: entry for name, entry in header(path).items() if name != HASH} if path.exists() else {}


def hash_of(path: Path) -> str | None:
    """The hash of the weights in a file: that in its header, or else computed; None where there is no such file.

    Raises:
        UserError: The file is not safetensors, or is damaged.
    """
    if not path.exists():
        return None
    noted = header(path).get(HASH)
    return weights_hash(read_weights(path)) if noted is None else str(noted)


def load(path: Path, model: "nn.Module") -> str:
    """Put the weights into ``model``, on its device; returns their hash.

    Raises:
        UserError: The file is not safetensors, is damaged, or belongs to another architecture.
    """
    state = read_weights(path)
    own = {name: tensor.shape for name, tensor in model.state_dict().items()}
    different = [name for name in sorted(own.keys() | state.keys()) if own.get(name) != _shape(state.get(name))]
    if different:
        name = different[0]
        given, expected = _shape(state.get(name)), own.get(name)
        raise UserError(
            f"The weights in '{path}' belong to another model: {len(different)} entries differ, first"
            f" '{name}' (file: {_describe(given)}, model: {_describe(expected)}); build the model with the run's"
            " own settings (config.yaml)."
        )
    model.load_state_dict(state)
    return weights_hash(state)


def _shape(tensor: "Tensor | None") -> tuple[int, ...] | None:
    return None if tensor is None else tensor.shape


def _describe(shape: tuple[int, ...] | None) -> str:
    return "missing" if shape is None else "×".join(map(str, shape)) or "a number"
