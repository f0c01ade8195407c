"""What ``evaluate_robustness`` wrote or returned, in the form of an audit's ``result.json``, and pictures of it."""

import json
import re
from collections.abc import Mapping
from math import inf
from pathlib import Path
from typing import Any

import numpy as np

from epslab import figures
from epslab.evaluation.robustness_text import model_name
from epslab.report.blocks import Picture
from epslab.report.threat import records
from epslab.report.training_run import made_by
from epslab.runs import radius_axis, radius_text


def content_of(robustness: Mapping[str, Any], provenance: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The entries that an audit adds: what was attacked, with what settings, and how to repeat it.

    Args:
        robustness: The content of ``robustness.json``, ``RobustnessReport.to_dict()``.
        provenance: The content of ``provenance.json``.
    """
    attacks: Mapping[str, Any] = robustness["attacks"]
    settings = {
        "model": model_name(str(robustness["model"])),
        "images": robustness["examples"],
        "attacks": list(attacks),
        "seed": robustness["seed"],
        **{f"attack {name}": _short(attack["settings"]) for name, attack in attacks.items()},
    }
    # The ball of all attacks, where they share one.
    balls = {(one["norm"], one["radius"]) for one in attacks.values() if one["radius"] not in (None, inf)}
    if len(balls) == 1:
        norm, radius = balls.pop()
        settings |= {"norm": norm, "radius": radius_text(radius)}
    return {**robustness, "kind": "attack", "settings": settings, "command": made_by(provenance or {})}


def read(folder: Path) -> dict[str, Any] | None:
    """The content of a folder that ``evaluate_robustness(out=…)`` finished; None if it is none or cannot be read."""
    try:
        robustness = json.loads((folder / "robustness.json").read_text(encoding="utf-8"))
        known = folder / "provenance.json"
        provenance = json.loads(known.read_text(encoding="utf-8")) if known.is_file() else {}
        return content_of(robustness, provenance)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def drawn(content: Mapping[str, Any]) -> list[Picture]:
    """Accuracies as bars, and against the radius if that was measured: what can be drawn without images."""
    bars = figures.accuracy_bars(
        [row["attack"] for row in records(content["table"])], intervals(content["table"]), first=1
    )
    found = [Picture("Accuracy without an attack and under each, with 95 % confidence intervals.", bars)]
    if sweep := content.get("sweep"):
        radii, label = radii_of(sweep)
        curve = figures.accuracy_curves(radii, {"under attack (pgd)": intervals(sweep["curve"])}, x_label=label)
        found.append(Picture("Accuracy against the radius of the ball, with its 95 % confidence band.", curve))
    return found


def _short(settings: str) -> str:
    """An attack's settings as they are typed, without modules: "PGD(ball=Ball(norm='linf', radius=8/255), …)"."""
    named = re.sub(r"\b(?:[a-z_]\w*\.)+(?=[A-Za-z_])", "", settings)
    return re.sub(r"\b\d+\.\d{6,}(?:e-\d+)?", lambda found: radius_text(float(found[0])), named)


def radii_of(sweep: Mapping[str, Any]) -> tuple[np.ndarray, str]:
    """The radii of a sweep as they are drawn, and the label of their axis."""
    radii = np.array([row["radius"] for row in records(sweep["curve"])], dtype=float)
    scale, label = radius_axis(sweep["norm"], radii.tolist())
    return scale * radii, label


def intervals(table: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Accuracy, low and high of a table's rows."""
    rows = records(table)
    accuracy, low, high = (np.array([row[name] for row in rows], dtype=float) for name in ("accuracy", "low", "high"))
    return accuracy, low, high
