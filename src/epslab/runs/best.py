"""The best epoch of a run, by the monitored column."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from epslab.runs.columns import Column, undeclared
from epslab.runs.text import number, percent


@dataclass(frozen=True)
class Best:
    """The best epoch so far.

    Args:
        epoch: Its number, from 1.
        last: Epochs completed so far.
        value: The monitored value.
        column: The monitored column.
        stage: What the value was computed on: "validation" or "training".
        examples: "images" or "points".
    """

    epoch: int
    last: int
    value: float
    column: Column
    stage: str
    examples: str = "images"

    @property
    def number(self) -> str:
        """The value with its unit: "1.10 %", "0.6200 bits/dim"."""
        if self.column.unit == "fraction":
            return percent(self.value)
        return f"{number(float(self.value))} {self.column.unit}".rstrip()

    @property
    def text(self) -> str:
        """The value, what it is and when: "Error 1.10 % on the validation images at the best epoch, 2 of 3"."""
        when = f"at the best epoch, {self.epoch} of {self.last}"
        return f"{self.column.label} {self.number} on the {self.stage} {self.examples} {when}"


def best(
    metrics: Mapping[str, Sequence[float]], monitor: str | None, columns: Mapping[str, Column], examples: str
) -> Best | None:
    """The first epoch of training with the best monitored value: the smallest, or the greatest where higher is better.

    None if there is no epoch yet, or no monitor.

    Args:
        metrics: Columns of ``metrics.csv``.
        monitor: The monitored column, e.g. "val/loss"; None if the last weights are kept.
        columns: The declared columns, by key.
        examples: "images" or "points".
    """
    values = metrics.get(monitor or "", [])
    finite = [(value, i) for i, value in enumerate(values) if i and math.isfinite(value)]
    if monitor is None or not finite:
        return None
    stage, _, key = monitor.partition("/")
    column = columns.get(key, undeclared(key))
    sign = -1 if column.better == "higher" else 1
    value, i = min(finite, key=lambda pair: (sign * pair[0], pair[1]))
    epochs = metrics["epoch"]
    stage = "training" if stage == "train" else "validation"
    return Best(int(epochs[i]), int(max(epochs)), value, column, stage, examples)
