"""Running sums of per-example values, kept on the device and read once per epoch; and the last few losses."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from epslab.errors import UserError
from epslab.training.processes import reduced
from epslab.types import PerExample


class Sums:
    """Σ over examples of each of an objective's values, in float64.

    Args:
        turn: The turn's name, for error messages; empty if it is the only one.
    """

    def __init__(self, turn: str = "") -> None:
        self._what = spoken(turn)
        self._names: list[str] = []
        self._total: Tensor | None = None  # [names]
        self.count = 0  # examples over all processes

    def clear(self) -> None:
        """Start at 0."""
        self._total, self.count = None, 0

    def checked(self, values: Any, n: int) -> Mapping[str, PerExample]:
        """The values, if there is a loss and all are [n].

        Raises:
            UserError: They are no mapping, there is no "loss", or a value is not one number per example.
        """
        if not isinstance(values, Mapping):
            raise UserError(
                f"{self._what.capitalize()} returned {_named(values)}; return a dictionary with one loss per example,"
                f" {{'loss': losses}} with losses of shape [{n}] here."
            )
        if "loss" not in values:
            raise UserError(
                f"The values of {self._what} ({', '.join(map(str, values)) or 'none'}) have no 'loss'; add the entry of"
                " that name, which training minimises."
            )
        for name, value in values.items():
            if not isinstance(value, Tensor) or value.shape != (n,):
                raise UserError(
                    f"The value '{name}' of {self._what} is {_named(value)} for a batch of {n}: it must be one number"
                    f" per example, a tensor of shape [{n}]; leave the mean over the batch to training."
                )
        return values

    def add(self, values: Mapping[str, PerExample], valid: int, total: int) -> None:
        """Add the first ``valid`` values; ``total`` examples were in the global batch."""
        self._names = list(values)
        stacked = torch.stack([value.detach() for value in values.values()])[:, :valid]
        # Apple's GPUs have no float64.
        sums = stacked.sum(1, dtype=torch.float32 if stacked.device.type == "mps" else torch.float64)
        self._total = sums if self._total is None else self._total.add_(sums)
        self.count += total

    def means(self, device: torch.device) -> dict[str, float]:
        """The mean of every value over all examples of all processes; empty if there were none."""
        if self._total is None:
            return {}
        total = reduced(self._total, "SUM", device).tolist()
        return {name: value / self.count for name, value in zip(self._names, total, strict=True)}

    def state(self, device: torch.device) -> dict[str, Any]:
        """The sums over all processes, for a checkpoint."""
        total = None if self._total is None else reduced(self._total, "SUM", device)
        return {"names": self._names, "total": total, "count": self.count}

    def load(self, state: Mapping[str, Any], device: torch.device, first: bool) -> None:
        """Restore a checkpoint's sums: the first process takes them all, the others begin at 0."""
        self._names, self.count = list(state["names"]), state["count"]
        self._total = None if state["total"] is None else state["total"].to(device) * float(first)


def spoken(turn: str) -> str:
    """A turn's name in a sentence."""
    return f"turn '{turn}'" if turn else "the objective"


def _named(value: object) -> str:
    """What a value is, with its shape: "a tensor of shape [8, 1]", "a float"."""
    return f"a tensor of shape {list(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"


class RecentLosses:
    """The losses since they were last taken; they stay on the device until then, since reading one waits for it."""

    def __init__(self) -> None:
        self._entries: list[tuple[str, int, Tensor]] = []

    def add(self, name: str, step: int, loss: Tensor) -> None:
        """Remember turn ``name``'s loss at a step."""
        self._entries.append((name, step, loss.detach()))

    def take(self) -> tuple[int | None, dict[str, float]]:
        """The first step whose loss was not finite, if any, and each turn's mean; then forget them."""
        if not self._entries:
            return None, {}
        values = torch.stack([loss for _, _, loss in self._entries]).tolist()
        bad = [step for (_, step, _), value in zip(self._entries, values, strict=True) if not math.isfinite(value)]
        by_name: dict[str, list[float]] = {}
        for (name, _, _), value in zip(self._entries, values, strict=True):
            by_name.setdefault(name, []).append(value)
        self._entries = []
        return min(bad, default=None), {name: sum(own) / len(own) for name, own in by_name.items()}
