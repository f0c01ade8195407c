"""What makes two evaluations the same: model, data, attacks, seed, radii, findings."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from epslab import __version__
from epslab.attacks import Attack
from epslab.evaluation.fingerprints import fingerprint
from epslab.evaluation.portions import TestSet
from epslab.evaluation.radius_sweep import RadiusSweep
from epslab.evaluation.robustness_plan import Plan
from epslab.hashes import weights_hash
from epslab.runs.binding import hash_here, run_around
from epslab.types import Classifier

_NAMES = {
    "epslab": "measured by another version of epslab",
    "fingerprints": "as another version of epslab describes it",
    "model": "of another model, or of one with other weights or another normalisation",
    "images": "on other images",
    "labels": "on images with other labels",
    "attacks": "by other attacks",
    "seed": "with another seed",
    "sweep": "with other radii",
    "findings": "with or without findings, unlike this one",
}


class Identity(NamedTuple):
    """All that an evaluation's result depends on, as ``evaluation.json`` holds it.

    Args:
        settings: Descriptions of model, data and attacks, and the rest.
        unknown: Parts that cannot be described, so that a change in them would go unnoticed.
    """

    settings: dict[str, Any]
    unknown: tuple[str, ...]

    @property
    def digest(self) -> str:
        """A hash of the settings, in hex."""
        return hashlib.sha256(json.dumps(self.settings, sort_keys=True).encode()).hexdigest()

    def unlike(self, folder: Path) -> str | None:
        """In what the evaluation that a folder holds differs from this one, in words; None if it is this one."""
        try:
            before = {"epslab": self.settings["epslab"], **_read(folder / "evaluation.json")}
            if (begun := folder / "provenance.json").is_file():
                before["epslab"] = _read(begun)["versions"]["epslab"]
            names = [name for name in _NAMES if before.get(name) != self.settings.get(name)]
        except (OSError, ValueError, AttributeError, KeyError, TypeError):
            return "that cannot be read"
        if names:
            return _NAMES[names[0]]
        return f"that cannot be compared with this one, because {self.unknown[0]}" if self.unknown else None


def _read(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8")))


def measured_of(model: Classifier, images: Tensor, labels: Tensor, out: Path | str | None = None) -> dict[str, str]:
    """Hashes of what an evaluation measures (``epslab.runs.weights_hash``).

    Args:
        model: ``weights`` is the hash of its weights; a function has none.
        images: ``data`` is the hash of images and labels.
        labels: The true classes.
        out: If this folder is among the attacks on a run, ``run`` is the hash of that run's weights.
    """
    of = {"data": weights_hash({"images": images, "labels": labels})}
    if isinstance(model, nn.Module):
        state = {name: part for name, part in model.state_dict().items() if isinstance(part, Tensor)}
        of = {"weights": weights_hash(state), **of}
    around = None if out is None else run_around(Path(out))
    own = None if around is None else hash_here(around)
    return of if own is None else {**of, "run": own}


def identity(
    model: Classifier,
    images: Tensor,
    labels: Tensor,
    attacks: Mapping[str, Attack],
    *,
    seed: int = 0,
    sweep: RadiusSweep | None = RadiusSweep(),  # noqa: B008 - frozen
    findings: bool = True,
) -> Identity:
    """The identity of what ``evaluate_robustness`` would do with these arguments; nothing is asked of the model."""
    plan = Plan.of(attacks, len(images), sweep=sweep, findings=findings, seed=seed)
    examples = TestSet(images, labels, images.device, torch.float32, seed)
    settings, unknown = plan.settings(fingerprint(model), examples)
    return Identity(json.loads(json.dumps({"epslab": __version__, **settings})), tuple(unknown))
