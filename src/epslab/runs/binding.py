"""What was measured is bound to what it was measured on: weights, data, settings; and is stale when they change.

A result carries ``of``: ``weights`` (``epslab.hashes.weights_hash``), ``data`` (the checksum of the examples),
``settings`` (those of the run's settings that shape the model and its examples), ``run`` (the weights of the run among
whose attacks an evaluation from Python lies) and ``state`` (the file that the weights of the user's own model came
from). Results without it come from earlier versions: whether they are stale is unknown, until training replaces the
weights under them.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from epslab.errors import UserError
from epslab.files import write_atomic
from epslab.runs import earlier, weights
from epslab.runs.plain import plain

ATTACKS = ("result.json", "robustness.json")
"""Where the folder of an attack keeps its result: what ``epslab attack`` writes, what ``evaluate_robustness`` does."""
UNKNOWN = "unknown"
"""Stands for the hash of weights that cannot be read any more."""


def difference(of: Mapping[str, Any] | None, own: str | None, config: Mapping[str, Any]) -> str | None:
    """What has changed since a result was measured, a clause; None if nothing has, or if it does not say.

    Args:
        of: What the result is bound to.
        own: The hash of the run's weights now.
        config: The run's settings now.
    """
    if not of:
        return None
    # A model from Python may hold a run's weights under other names: the run around the folder decides.
    then = of.get("run") or of.get("weights")
    if own is not None and then is not None and then != own:
        return "the weights have changed since"
    for name, then in (of.get("settings") or {}).items():
        if name in config and plain(config[name]) != then:
            return f"{name} was {then} then, and config.yaml says {config[name]} now"
    return None


def hash_here(folder: Path) -> str | None:
    """The hash of the weights in a run's folder; None if there are none, "unknown" if they cannot be read."""
    try:
        return weights.hash_of(folder / "model.safetensors")
    except UserError:
        return UNKNOWN


def run_around(attack: Path) -> Path | None:
    """The folder of the run among whose attacks this one lies; None if it lies elsewhere."""
    parent = attack.absolute().parent
    return parent.parent if parent.name == "attacks" and (parent.parent / "config.yaml").is_file() else None


def attack_folders(folder: Path) -> dict[Path, dict[str, Any]]:
    """The finished attacks on a run, in the order of their names: folder and content.

    That is ``result.json``, or else ``robustness.json``, which ``evaluate_robustness`` writes.
    """
    found = {}
    for attack in sorted(folder.glob("attacks/*")):
        path = next((attack / name for name in ATTACKS if (attack / name).is_file()), None)
        if path is None:
            continue
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(content, dict) and (path.name == ATTACKS[1] or content.get("kind") == "attack"):
            found[attack] = content
    return found


def bind_earlier(folder: Path, result: Mapping[str, Any]) -> dict[str, Any] | None:
    """Bind what an earlier version measured to the weights that lie here, before other weights replace them.

    Attacks and pictures are bound in their own files; what is to be added to ``result`` is returned.

    Args:
        folder: Of the run.
        result: Its ``result.json``.
    """
    of = {"weights": hash_here(folder)}
    if of["weights"] is None:
        return None
    for attack, content in attack_folders(folder).items():
        if "of" not in content:
            _write(next(path for name in ATTACKS if (path := attack / name).is_file()), {**content, "of": of})
    if "of" in result or not ("measurements" in result or "evaluation" in result):
        return None
    _bind_pictures(folder / "figures", of)
    return {"of": of}


def _bind_pictures(figures: Path, of: Mapping[str, Any]) -> None:
    """Of the pictures, those drawn during training have an order; the others show what was measured."""
    path = figures / "index.json"
    try:
        index = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        found = {name: {"caption": text} for name, text in earlier.measured_pictures(figures).items()} | index
        free = {name: entry for name, entry in found.items() if not {"of", "order"} & entry.keys()}
    except (OSError, ValueError, AttributeError, TypeError):
        return
    if free:
        _write(path, index | {name: {**entry, "of": of} for name, entry in free.items()})


def _write(path: Path, content: Mapping[str, Any]) -> None:
    write_atomic(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
