"""Pretrained weights from a file or a URL, read as tensors and plain values only."""

import pickle
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import urlsplit

import torch
from torch import Tensor, nn

from epslab.errors import UserError
from epslab.hashes import read_weights
from epslab.names import cause

FREE = ("conv1.", "fc.")
"""The parts that may differ: the stem depends on the image size, the head on the classes."""


def load_pretrained(
    net: nn.Module, source: Path | str, free: tuple[str, ...] = FREE, progress: bool = True
) -> tuple[str, ...]:
    """Load weights into ``net``. The parts listed in ``free`` may have another shape; they then keep their own weights.

    A free part is kept as a whole if any of its entries is missing or has another shape. The file may hold the weights
    under "state_dict" or "model", and their names may begin with "module.".

    >>> from epslab.nets import resnet18
    >>> load_pretrained(resnet18(classes=10), "resnet18-imagenet.pth")  # doctest: +SKIP
    ('conv1.weight', 'fc.weight', 'fc.bias')

    Args:
        net: Is changed in place and keeps its dtype and device. If anything is wrong, it is not changed at all.
        source: A ``.safetensors`` file, a file written by ``torch.save`` (``.pth``, ``.pt``), or the URL of a ``.pth``
            file. Downloads are kept in torch's hub cache; if the file's name ends in a hash, the hash is checked.
        free: Prefixes of the names that belong to a free part.
        progress: Show a bar during the download.

    Returns:
        The names of the entries that kept their own weights; () if all were loaded.

    Raises:
        UserError: The source cannot be read, would run code, holds no weights, or holds the weights of another net.
    """
    weights, own = _weights(_read(source, progress), source), net.state_dict()

    def differs(name: str) -> bool:
        # Files from before torch 0.4.1 lack BatchNorm's count of batches, which no forward pass of these nets uses.
        if name in own and name not in weights:
            return not name.endswith("num_batches_tracked")
        return name not in own or weights[name].shape != own[name].shape

    wrong = [name for name in own | weights if differs(name)]
    parts = tuple(part for part in free if any(name.startswith(part) for name in wrong))
    elsewhere = [name for name in wrong if not name.startswith(parts)]
    if elsewhere:
        first = elsewhere[0]
        given, wanted = (list(entries[first].shape) if first in entries else "none" for entries in (weights, own))
        raise UserError(
            f"The weights in '{source}' are for another net: {len(elsewhere)} of its entries differ, first '{first}'"
            f" (shape there: {given}, in the net: {wanted}); build the net they were made for."
        )
    taken = {name: tensor for name, tensor in weights.items() if name in own and not name.startswith(parts)}
    net.load_state_dict(taken, strict=False)
    return tuple(name for name in own if name.startswith(parts))


def _weights(content: Any, source: Path | str) -> dict[str, Tensor]:
    """The tensors by their names in the net."""
    for key in ("state_dict", "model", "state_dict"):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not content or not all(isinstance(t, Tensor) for t in content.values()):
        raise UserError(
            f"'{source}' holds no weights: a state dict was expected (names and tensors), or one under 'state_dict' or"
            " 'model'; save it with torch.save(net.state_dict(), FILE)."
        )
    prefix = "module." if all(str(name).startswith("module.") for name in content) else ""
    return {str(name).removeprefix(prefix): tensor.detach() for name, tensor in content.items()}


def _read(source: Path | str, progress: bool) -> Any:
    """What the source holds, on the CPU."""
    url = str(source) if "://" in str(source) else None
    if url is None and not Path(source).is_file():
        raise UserError(f"There is no file '{source}': give a .safetensors or .pth file of weights, or a URL of one.")
    safetensors = urlsplit(str(source)).path.endswith(".safetensors")
    if url is not None and safetensors:
        raise UserError(
            f"'{source}' cannot be fetched: of URLs only .pth files are read; download it and give the file."
        )
    try:
        if safetensors:
            return read_weights(Path(source))
        with warnings.catch_warnings():
            # Torch warns about foreign pickles before it refuses them; the error is enough.
            warnings.simplefilter("ignore", UserWarning)
            if url is None:
                return torch.load(source, map_location="cpu", weights_only=True)
            # A name such as resnet18-f37072fd.pth holds the beginning of the content's SHA-256.
            checked = re.search(r"-[0-9a-f]{8,}\.[^/]*$", urlsplit(url).path) is not None
            return torch.hub.load_state_dict_from_url(
                url, map_location="cpu", progress=progress, check_hash=checked, weights_only=True
            )
    except UserError:
        raise
    except pickle.UnpicklingError as error:
        raise UserError(
            f"'{source}' was not opened: it is no file of weights, or holds other things than tensors and plain values,"
            " which could run any code; save the weights alone, torch.save(net.state_dict(), FILE)."
        ) from error
    except URLError as error:
        raise UserError(
            f"'{source}' could not be fetched ({error}); check the address and the network, or download the file by"
            " other means and give its path."
        ) from error
    except Exception as error:  # a damaged file can fail in any way
        # A single word, such as the key that was not found, says little without the error's type.
        reason = (cause(error).partition(": ")[2] if " " in str(error) else cause(error)).rstrip(".")
        raise UserError(f"'{source}' is no file of weights, or is damaged ({reason}); fetch it again.") from error
