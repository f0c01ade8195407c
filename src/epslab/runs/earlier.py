"""Old runs, which do not describe themselves: names for their numbers, curves and pictures.

Those folders have an ``evaluation`` entry in ``result.json``, no ``columns`` and no ``figures/index.json``.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from epslab.runs.columns import Better, Column
from epslab.runs.measurement import Measured, Measurement
from epslab.runs.tables import Table
from epslab.runs.text import percent

_NAMES: dict[str, tuple[str, str, Better | None]] = {
    "accuracy": ("accuracy", "fraction", "higher"),
    "cross_entropy": ("cross-entropy", "nats", "lower"),
    "calibration_error": ("expected calibration error", "", "lower"),
    "confidence": ("mean confidence in the predicted class", "", None),
    "bits_per_dim": ("negative ELBO", "bits/dim", "lower"),
    "elbo": ("ELBO, a lower bound on log p(x)", "nats", "higher"),
    "reconstruction": ("reconstruction, −E log p(x|z)", "nats", "lower"),
    "kl": ("KL from posterior to prior", "nats", None),
    "regularisation": ("KL from posterior to prior", "nats", None),
    "importance_weighted": ("importance-weighted bound on log p(x)", "nats", "higher"),
    "bits_per_dim_importance_weighted": ("negative importance-weighted bound", "bits/dim", "lower"),
    "prior_monte_carlo": ("log p(x) by prior Monte Carlo", "nats", "higher"),
    "bits_per_dim_prior_monte_carlo": ("−log p(x) by prior Monte Carlo", "bits/dim", "lower"),
    "active_units": ("active latent dimensions", "", None),
    "units": ("latent dimensions", "", None),
    "mutual_information": ("mutual information of image and code", "nats", None),
    "marginal_kl": ("KL from all codes together to prior", "nats", "lower"),
    "decoder_spread": ("variance of log p(x|z) over z from the prior", "nats²", None),
    "importance_samples": ("draws K of the importance-weighted bound", "", None),
    "prior_samples": ("draws L of prior Monte Carlo", "", None),
    "samples": ("draws of z for the ELBO", "", None),
}
_HEADLINES = ("accuracy", "bits_per_dim", "elbo")

_COLUMNS = {
    "bits_per_dim": Column("Negative ELBO", "bits/dim", "lower"),
    "reconstruction": Column("Reconstruction −E log p(x|z)", "nats", "lower"),
    "regularisation": Column("KL from posterior to prior", "nats"),
    "kl": Column("KL from posterior to prior", "nats"),
    "error": Column("Error", "fraction", "lower"),
    "robust_error": Column("Error under the training attack", "fraction", "lower"),
    "loss": Column("Training objective", "nats", "lower"),
}
_CAPTIONS = {
    "reliability": "How often the classifier is right against how sure it is; below the dashed line it is too sure.",
    "confusion": "What test images of each class (row) were wrongly taken for (column); right answers are left out.",
    "mistakes": "The wrong answers given with the most confidence: class → answer, and how sure the classifier was.",
    "reconstructions": "Test images above, what the model makes of their codes below.",
    "manifold": "The latent plane: mean images decoded on a grid of normal quantiles, so each has the same prior mass.",
    "codes": "Where test images lie in the latent plane (posterior means), by class.",
    "interpolations": "Straight lines in latent space between the codes of two test images, decoded.",
    "traversals": "One image, one latent coordinate changed at a time; a row that stays the same is unused.",
    "kl-per-dimension": "What each latent dimension costs: KL from posterior to prior, averaged over test images.",
    "accuracies": "Accuracy without an attack and under each, with 95 % confidence intervals (Clopper–Pearson).",
    "radius": "Accuracy against the radius of the ball, with its 95 % confidence band; at radius 0 the clean one.",
    "least-robust": "The images broken at the smallest radius, among those the model gets right.",
    "most-robust": "The images that withstood the largest radius.",
}


def columns(metrics: Mapping[str, Any]) -> dict[str, Column]:
    """The columns of old runs; without the objective if it is the bound in nats."""
    same = "val/bits_per_dim" in metrics
    return {key: column for key, column in _COLUMNS.items() if key != "loss" or not same}


def captions(names: Iterable[str]) -> dict[str, str]:
    """Captions of pictures without an index, in the order shown: samples, those known by name, others."""
    names = list(names)
    samples = {
        name: f"Samples {f'after epoch {int(match[1])}' if int(match[1]) else 'before training'}."
        for name in names
        if (match := re.fullmatch(r"samples-epoch-(\d+)", name))
    }
    known = {name: caption for name, caption in _CAPTIONS.items() if name in names}
    changed = {
        name: f"What {name.removeprefix('grid-')} changed, magnified (mid-grey: nothing), and what the model says."
        for name in names
        if name.startswith("grid-")
    }
    # Of an attack: the accuracies, the changes, the least robust images.
    before = {name: known.pop(name) for name in ("accuracies", "radius") if name in known}
    first = samples | before | changed | known
    return first | {name: name.replace("-", " ").capitalize() for name in names if name not in first}


def measured_pictures(folder: Path) -> dict[str, str]:
    """The captions of the pictures in a folder that are known by name to show what was measured."""
    return {name: caption for name, caption in _CAPTIONS.items() if (folder / f"{name}.png").is_file()}


def monitor(metrics: Mapping[str, Any]) -> str | None:
    """The column that marked the best epoch of an old run."""
    columns = ("val/robust_error", "val/error", "val/bits_per_dim", "val/loss")
    return next((column for column in columns if column in metrics), None)


def measured(evaluation: Mapping[str, Any], config: Mapping[str, Any]) -> Measured:
    """The numbers of an ``evaluation`` entry, those with a name of ``_NAMES`` first; lists are left out.

    Args:
        evaluation: The entry.
        config: The run's settings.
    """
    found: dict[str, Measurement] = {}
    for entry in _walk(evaluation):
        # Where two parts of the evaluation hold the same quantity, the first is shown.
        found.setdefault(entry.key, entry)
    order = list(_NAMES)
    ranked = sorted(found.values(), key=lambda entry: order.index(entry.key) if entry.key in order else len(order))
    statements, warnings = _said(evaluation)
    return Measured(
        ranked, _by_class(evaluation.get("accuracy_per_class", {})), statements, warnings, _conditions(config)
    )


def _said(evaluation: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Statements and warnings about the latent space, and about a classifier's confidence."""
    latents, accuracy, sure = evaluation.get("latents", {}), evaluation.get("accuracy"), evaluation.get("confidence")
    said = [str(latents["statement"])] if latents.get("statement") else []
    if latents.get("collapsed"):
        return [], said or ["The posterior has collapsed: the code says nothing of the image."]
    if accuracy is not None and sure is not None and not accuracy["low"] <= sure <= accuracy["high"]:
        which = "surer than it is right" if sure > accuracy["high"] else "right more often than it is sure"
        said.append(f"It is {which}: its mean confidence is {percent(sure)}.")
    return said, []


def _conditions(config: Mapping[str, Any]) -> str:
    """How a likelihood treats the images, or what a classifier was defended against."""
    likelihood = config.get("likelihood")
    if likelihood == "categorical":
        return f"{config.get('levels')} grey levels"
    if likelihood is not None:
        return f"{likelihood} likelihood, binarised: {config.get('binarise')}, std {config.get('std')}"
    defence = config.get("defence", "none")
    if defence == "none":
        return ""
    return f"trained by {defence}, {config.get('attack')} at radius {config.get('radius')}"


def _walk(entries: Mapping[str, Any]) -> Iterator[Measurement]:
    headline = next((key for key in _HEADLINES if key in entries), None)
    for key, value in entries.items():
        if key in ("accuracy_per_class", "images"):
            continue
        name, unit, better = _NAMES.get(key, (key.replace("_", " "), "", None))
        first = key == headline
        if isinstance(value, Mapping) and {"value", "low", "high"} <= value.keys():
            ends = (float(value["low"]), float(value["high"]))
            yield Measurement(key, name, "fraction", float(value["value"]), ends, None, better, first)
        elif isinstance(value, Mapping) and {"mean", "standard_error"} <= value.keys():
            yield Measurement(key, name, unit, value["mean"], None, value["standard_error"], better, first)
        elif isinstance(value, Mapping):
            yield from _walk(value)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield Measurement(key, name, unit, value, None, None, better, first)


def _by_class(shares: Mapping[str, Any]) -> list[Table]:
    """The accuracy of each class, the least accurate class first."""
    ordered = sorted(shares.items(), key=lambda item: float(item[1]["value"]))
    rows = [(name, percent(one["value"], (one["low"], one["high"])), int(one["n"])) for name, one in ordered]
    columns = ("class", "accuracy", "images")
    return (
        [Table("Accuracy by class", columns, rows, "[low, high] is the 95 % interval (Clopper & Pearson).")]
        if rows
        else []
    )
