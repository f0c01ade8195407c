"""The numbers of a run's ``result.json`` under the names a reader knows, with units and standard errors."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from epslab.report.blocks import number

NAMES = {
    "accuracy": ("accuracy", "", "accuracy"),
    "cross_entropy": ("cross-entropy", "nats", ""),
    "calibration_error": ("expected calibration error", "", ""),
    "confidence": ("mean confidence in the predicted class", "", ""),
    "bits_per_dim": ("negative ELBO", "bits/dim", "bits_per_dim"),
    "elbo": ("ELBO, a lower bound on log p(x)", "nats", "elbo"),
    "reconstruction": ("reconstruction, −E log p(x|z)", "nats", ""),
    "kl": ("KL from posterior to prior", "nats", ""),
    "regularisation": ("KL from posterior to prior", "nats", ""),
    "importance_weighted": ("importance-weighted bound on log p(x)", "nats", "log_p"),
    "bits_per_dim_importance_weighted": ("negative importance-weighted bound", "bits/dim", ""),
    "prior_monte_carlo": ("log p(x) by prior Monte Carlo", "nats", ""),
    "bits_per_dim_prior_monte_carlo": ("−log p(x) by prior Monte Carlo", "bits/dim", ""),
    "active_units": ("active latent dimensions", "", ""),
    "units": ("latent dimensions", "", ""),
    "mutual_information": ("mutual information of image and code", "nats", ""),
    "marginal_kl": ("KL from all codes together to prior", "nats", ""),
    "decoder_spread": ("variance of log p(x|z) over z from the prior", "nats²", ""),
    "images": ("images measured", "", ""),
    "importance_samples": ("draws K of the importance-weighted bound", "", ""),
    "prior_samples": ("draws L of prior Monte Carlo", "", ""),
    "samples": ("draws of z for the ELBO", "", ""),
}
"""Key in ``result.json`` → name, unit, and the quantity of ``epslab.report.published`` it is compared with."""


_LEADING = ("accuracy", "bits_per_dim", "elbo")
"""What a run is summed up by: the first of these that was measured."""
_BY_CLASS = "accuracy_per_class"
_VALIDATED = {
    "error": "accuracy",
    "robust_error": "accuracy under the training attack",
    "bits_per_dim": "bits/dim",
    "loss": "nats of training objective",
}
"""What the best epoch is chosen by → what its value is said to be."""


@dataclass(frozen=True)
class Measurement:
    """One number as a table shows it.

    Args:
        key: Its key in ``result.json``.
        name: What it is.
        text: The number, with its standard error if it has one: "0.536 ± 0.002".
        unit: Its unit, empty for counts.
        quantity: What it is compared with in ``epslab.report.published``; empty if with nothing.
    """

    key: str
    name: str
    text: str
    unit: str
    quantity: str


def measurements(result: Mapping[str, Any]) -> list[Measurement]:
    """Every number of the evaluation, those of ``NAMES`` first and in its order; lists and texts are passed over."""
    # Where two parts of the evaluation hold the same quantity, the first is shown.
    found: dict[str, Measurement] = {}
    for entry in _walk(result.get("evaluation", {})):
        found.setdefault(entry.key, entry)
    order = list(NAMES)
    return sorted(found.values(), key=lambda entry: order.index(entry.key) if entry.key in order else len(order))


def leading(result: Mapping[str, Any]) -> Measurement | None:
    """The number a run is summed up by; None if nothing was measured."""
    by_key = {entry.key: entry for entry in measurements(result)}
    return next((by_key[key] for key in _LEADING if key in by_key), None)


def headline(result: Mapping[str, Any]) -> str | None:
    """The result in a few words; None if nothing was measured.

    "0.536 ± 0.001 bits/dim on 10,000 test images", or "98.9 % [98.6, 99.1] test accuracy on 10,000 images".
    """
    chosen = leading(result)
    if chosen is None:
        return None
    evaluation = result["evaluation"]
    count = evaluation.get("images")
    images, split = number(count) if isinstance(count, int) else "", evaluation.get("split")
    if chosen.key == "accuracy":
        return " ".join(filter(None, (chosen.text, split, "accuracy on", images, "images")))
    unit = chosen.unit if chosen.key == "bits_per_dim" else "nats (ELBO)"
    return " ".join(filter(None, (chosen.text, unit, "on", images, split, "images")))


def by_class(result: Mapping[str, Any]) -> list[tuple[str, str, int]]:
    """Class, accuracy with its interval and number of images, the least accurate class first."""
    shares = result.get("evaluation", {}).get(_BY_CLASS, {})
    ordered = sorted(shares.items(), key=lambda item: float(item[1]["value"]))
    return [(name, _share(share), int(share["n"])) for name, share in ordered]


def validated(value: float, quantity: str) -> tuple[str, str]:
    """The value that chose the best epoch, and what it is: ("98.90 %", "accuracy") for an error of 0.011."""
    unit = _VALIDATED[quantity]
    if quantity.endswith("error"):
        return f"{100 * (1 - value):.2f} %", unit
    return f"{value:.4f}" if quantity == "bits_per_dim" else number(value), unit


def with_error(mean: float, error: float) -> str:
    """A number with its standard error, to the error's second significant digit: "0.5361 ± 0.0012"."""
    if not (math.isfinite(mean) and math.isfinite(error)):
        return f"{number(float(mean))} ± {number(float(error))}"
    decimals = 4 if error <= 0 else min(8, max(0, 1 - math.floor(math.log10(error))))
    return f"{mean:,.{decimals}f} ± {error:.{decimals}f}".replace("-", "−")


def _walk(entries: Mapping[str, Any]) -> Iterator[Measurement]:
    for key, value in entries.items():
        name, unit, quantity = NAMES.get(key, (key.replace("_", " "), "", ""))
        if key == _BY_CLASS:
            continue
        if isinstance(value, Mapping):
            if {"value", "low", "high"} <= value.keys():
                yield Measurement(key, name, _share(value), unit, quantity)
            elif {"mean", "standard_error"} <= value.keys():
                yield Measurement(key, name, with_error(value["mean"], value["standard_error"]), unit, quantity)
            else:
                yield from _walk(value)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield Measurement(key, name, number(value), unit, quantity)


def _share(share: Mapping[str, float]) -> str:
    """A share with its 95 % interval: "98.9 % [98.6, 99.1]"."""
    value, low, high = (100 * share[key] for key in ("value", "low", "high"))
    return f"{value:.1f} % [{low:.1f}, {high:.1f}]"
