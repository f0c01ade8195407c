"""The numbers of a run's ``result.json`` under the names a reader knows, with units and standard errors."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from epslab.report.blocks import number

NAMES = {
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


LEADING = "bits_per_dim"
"""The quantity a run is summed up by."""


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


def headline(result: Mapping[str, Any]) -> str | None:
    """The result in a few words: "0.536 ± 0.001 bits/dim on 10,000 test images"; None if nothing was measured."""
    by_key = {entry.key: entry for entry in measurements(result)}
    chosen = by_key.get(LEADING) or by_key.get("elbo")
    if chosen is None:
        return None
    evaluation = result["evaluation"]
    count = evaluation.get("images")
    where = " ".join(filter(None, (number(count) if isinstance(count, int) else "", evaluation.get("split"), "images")))
    return f"{chosen.text} {chosen.unit if chosen.key == LEADING else 'nats (ELBO)'} on {where}"


def with_error(mean: float, error: float) -> str:
    """A number with its standard error, to the error's second significant digit: "0.5361 ± 0.0012"."""
    if not (math.isfinite(mean) and math.isfinite(error)):
        return f"{number(float(mean))} ± {number(float(error))}"
    decimals = 4 if error <= 0 else min(8, max(0, 1 - math.floor(math.log10(error))))
    return f"{mean:,.{decimals}f} ± {error:.{decimals}f}".replace("-", "−")


def _walk(entries: Mapping[str, Any]) -> Iterator[Measurement]:
    for key, value in entries.items():
        name, unit, quantity = NAMES.get(key, (key.replace("_", " "), "", ""))
        if isinstance(value, Mapping):
            if {"mean", "standard_error"} <= value.keys():
                yield Measurement(key, name, with_error(value["mean"], value["standard_error"]), unit, quantity)
            else:
                yield from _walk(value)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield Measurement(key, name, number(value), unit, quantity)
