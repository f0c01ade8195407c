"""Weights as safetensors, with errors that say what does not fit."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from epslab.errors import UserError
from epslab.files import write_atomic
from epslab.runs.plain import plain

if TYPE_CHECKING:
    from torch import Tensor, nn


def save(path: Path, state: Mapping[str, "Tensor"], about: Mapping[str, object]) -> None:
    """Write a state dict; ``about`` goes into the file's header, as JSON."""
    from safetensors.torch import save

    tensors = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in state.items()}
    # One entry: safetensors writes several in an order that differs from process to process.
    write_atomic(path, save(tensors, metadata={"epslab": json.dumps(plain(about))}))


def about(path: Path) -> dict[str, Any]:
    """The header's entries; empty where there is no such file."""
    from safetensors import SafetensorError, safe_open

    if not path.exists():
        return {}
    try:
        with safe_open(path, framework="pt") as file:
            entries = json.loads((file.metadata() or {}).get("epslab", "{}"))
    except (SafetensorError, json.JSONDecodeError) as error:
        raise _broken(path) from error
    return dict(entries)


def load(path: Path, model: "nn.Module") -> None:
    """Put the weights into ``model``, on its device.

    Raises:
        UserError: The file is not safetensors, or belongs to another architecture.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        state = load_file(path)
    except SafetensorError as error:
        raise _broken(path) from error
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


def _broken(path: Path) -> UserError:
    return UserError(f"'{path}' is not a safetensors file; train again, or restore it.")


def _shape(tensor: "Tensor | None") -> tuple[int, ...] | None:
    return None if tensor is None else tensor.shape


def _describe(shape: tuple[int, ...] | None) -> str:
    return "missing" if shape is None else "×".join(map(str, shape)) or "a number"
