"""What ``evaluate_robustness`` measured, as numbers, tables and files."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from epslab.classifiers import Proportion
from epslab.errors import UserError, unknown
from epslab.evaluation.findings import Finding
from epslab.evaluation.radius_sweep import SweepResult
from epslab.evaluation.robustness_store import Store
from epslab.files import write_atomic
from epslab.runs import Cell, Table
from epslab.types import Images, Labels


@dataclass(frozen=True, eq=False)
class AttackResult:
    """One attack on all n examples, as the evaluation measured it.

    Args:
        settings: The attack in words.
        norm: In which distances are: "linf", "l2" or "l1".
        radius: How far the attack may go; infinite where it has no ball.
        broken: The model is wrong on the returned image, or without an attack already, [n].
        claimed: The attack's own idea of its success, [n].
        predictions: The class given to the returned image, [n].
        distance: From the image, [n] float64.
        queries: Forward evaluations spent, [n].
        gradients: Gradients spent, [n].
        broken_rounded: As ``broken``, of images in 8 bits, [n]: the returned ones rounded, or others in
            the ball where those no longer fool the model.
        rounding: Gradients spent on finding those others, [n]; none of the attack's own.
    """

    settings: str
    norm: str
    radius: float
    broken: Bool[Tensor, " n"]
    claimed: Bool[Tensor, " n"]
    predictions: Labels
    distance: Float[Tensor, " n"]
    queries: Int[Tensor, " n"]
    gradients: Int[Tensor, " n"]
    broken_rounded: Bool[Tensor, " n"]
    rounding: Int[Tensor, " n"]


@dataclass(frozen=True)
class Example:
    """An example by how robust it is."""

    index: int
    label: int
    prediction: int  #: without an attack
    radius: float  #: the smallest radius of the sweep that breaks it; infinite: none does
    margin: float  #: the label's logit over the largest other, without an attack


@dataclass(frozen=True, eq=False)
class RobustnessReport:
    """Accuracies with the evidence that the attacks worked; tensors are on the CPU, in the order of the examples.

    Args:
        labels: The true classes, [n].
        predictions: Without an attack, [n].
        margins: z_y − max_{j≠y} z_j without an attack, [n] float64: positive where the model is right.
        attacks: What each attack did, by name.
        sweep: Accuracy against the radius; None if there was no sweep.
        findings: The checks and their verdicts; none if they were not asked for.
        seed: Of the evaluation.
        model: Class and digest of the model.
        eight_bit: Whether the images have 8 bits, so that rounding means something.
        store: Where the adversarial images are.
    """

    labels: Labels
    predictions: Labels
    margins: Float[Tensor, " n"]
    attacks: Mapping[str, AttackResult]
    sweep: SweepResult | None
    findings: tuple[Finding, ...]
    seed: int
    model: str
    eight_bit: bool
    store: Store

    @property
    def right(self) -> Bool[Tensor, " n"]:
        """Which examples the model gets right without an attack."""
        return self.predictions == self.labels

    @cached_property
    def clean_accuracy(self) -> Proportion:
        """Share of examples the model gets right without an attack."""
        return Proportion.of(self.right)

    @cached_property
    def robust_accuracy(self) -> dict[str, Proportion]:
        """By attack: share of examples the model gets right, without it and on the image it returned."""
        return {name: Proportion.of(~result.broken) for name, result in self.attacks.items()}

    @cached_property
    def worst_case(self) -> Proportion:
        """Share of examples that no attack broke."""
        return Proportion.of(~self.broken)

    @cached_property
    def broken(self) -> Bool[Tensor, " n"]:
        """Which examples some attack broke, or are wrong without one."""
        return torch.stack([result.broken for result in self.attacks.values()]).any(0)

    @cached_property
    def survival(self) -> Proportion | None:
        """Of the examples attacks broke, the share still broken when images are rounded to 8 bits within the ball.

        None where nothing was broken, or the images given are not of 8 bits.
        """
        broken = self.broken & self.right
        if not self.eight_bit or not broken.any():
            return None
        return Proportion.of(torch.stack([result.broken_rounded for result in self.attacks.values()]).any(0)[broken])

    def interval(self, name: str, confidence: float = 0.95) -> tuple[float, float]:
        """The Clopper–Pearson interval of an accuracy: an attack's by its name, or "clean", or "worst-case".

        Raises:
            UserError: There is no attack of that name.
        """
        return self._accuracy(name).interval(confidence)

    def to_table(self) -> Table:
        """One row each for the clean images, every attack, and the worst case.

        Accuracies and their 95 % bounds are shares; ``broken`` is the share of the examples right without an attack;
        the median distance is over those, in the attack's norm; queries and gradients are means per example;
        ``accuracy in 8 bits`` is that on the rounded adversarial images.
        """
        columns = (
            "attack", "accuracy", "low", "high", "broken", "median distance", "norm", "queries", "gradients",
            "accuracy in 8 bits",
        )  # fmt: skip
        clean = ("clean", float(self.clean_accuracy), *self.interval("clean"), None, None, None, None, None, None)
        rows: list[tuple[Cell, ...]] = [clean]
        right = int(self.right.sum())
        for name, result in self.attacks.items():
            broken = result.broken & self.right
            rows.append((
                name,
                float(self.robust_accuracy[name]),
                *self.interval(name),
                int(broken.sum()) / right if right else None,
                result.distance[broken].median().item() if broken.any() else None,
                result.norm,
                result.queries.double().mean().item(),
                result.gradients.double().mean().item(),
                1 - result.broken_rounded.double().mean().item() if self.eight_bit else None,
            ))  # fmt: skip
        rounded = torch.stack([result.broken_rounded for result in self.attacks.values()]).any(0)
        rows.append((
            "worst-case",
            float(self.worst_case),
            *self.interval("worst-case"),
            int((self.broken & self.right).sum()) / right if right else None,
            None,
            None,
            sum(result.queries.double().mean().item() for result in self.attacks.values()),
            sum(result.gradients.double().mean().item() for result in self.attacks.values()),
            1 - rounded.double().mean().item() if self.eight_bit else None,
        ))  # fmt: skip
        return Table("Accuracy", columns, tuple(rows))

    def curve(self) -> Table:
        """Accuracy against the radius, with 95 % bounds: radius 0 first. No rows without a sweep."""
        columns = ("radius", "accuracy", "low", "high")
        if self.sweep is None:
            return Table("Accuracy by radius", columns, ())
        points = [(0.0, self.clean_accuracy), *zip(self.sweep.radii, self.sweep.accuracy, strict=True)]
        return Table(
            "Accuracy by radius", columns, tuple((radius, float(share), *share.interval()) for radius, share in points)
        )

    def per_class(self, classes: Sequence[str] | None = None) -> Table:
        """One row a class that occurs: its examples, and its accuracy clean, under each attack, in the worst case.

        Args:
            classes: The classes' names, by index; their numbers if None.
        """
        standing = [self.right, *(~result.broken for result in self.attacks.values()), ~self.broken]
        rows: list[tuple[Cell, ...]] = []
        for label in sorted(set(self.labels.tolist())):
            own = self.labels == label
            shares = (mask[own].double().mean().item() for mask in standing)
            rows.append((str(label) if classes is None else classes[label], int(own.sum()), *shares))
        return Table("Accuracy by class", ("class", "examples", "clean", *self.attacks, "worst-case"), tuple(rows))

    def least_robust(self, count: int = 10) -> tuple[Example, ...]:
        """The examples right without an attack which the smallest radii break; of equals the smallest margin first.

        Raises:
            UserError: There was no sweep.
        """
        return self._ranked()[:count]

    def most_robust(self, count: int = 10) -> tuple[Example, ...]:
        """The examples which only the greatest radii break, or none does; of equals the greatest margin first.

        Raises:
            UserError: There was no sweep.
        """
        return self._ranked()[::-1][:count]

    def adversarial(self, name: str, indices: Sequence[int]) -> Images:
        """The images an attack returned for these examples, or "sweep": those of the smallest radius that broke each.

        Raises:
            UserError: There is no such attack or example, or its image was not kept (see ``evaluate_robustness``).
        """
        if name == "sweep" and self.sweep is not None:
            return self.store.images("sweep", indices)
        if name not in self.attacks:
            raise unknown("attack", name, self.attacks)
        return self.store.images(f"attacks/{name}", indices)

    def to_dict(self) -> dict[str, Any]:
        """Everything but the examples one by one, for JSON; an infinite number is None."""
        result: dict[str, Any] = {
            "examples": len(self.labels),
            "seed": self.seed,
            "model": self.model,
            "clean_accuracy": self.clean_accuracy.to_dict(),
            "robust_accuracy": {name: share.to_dict() for name, share in self.robust_accuracy.items()},
            "worst_case": self.worst_case.to_dict(),
            "survival": None if self.survival is None else self.survival.to_dict(),
            "attacks": {
                name: {
                    "settings": attack.settings,
                    "norm": attack.norm,
                    "radius": attack.radius,
                    "overclaimed": int((attack.claimed & ~attack.broken).sum()),
                }
                for name, attack in self.attacks.items()
            },
            "table": self.to_table().to_dict(),
            "per_class": self.per_class().to_dict(),
            "findings": [finding.to_dict() for finding in self.findings],
        }
        if self.sweep is not None:
            result["sweep"] = {
                "norm": self.sweep.norm,
                "curve": self.curve().to_dict(),
                "queries": self.sweep.queries.double().mean().item(),
                "gradients": self.sweep.gradients.double().mean().item(),
                "least_robust": [asdict(example) for example in self.least_robust()],
                "most_robust": [asdict(example) for example in self.most_robust()],
            }
        finite: dict[str, Any] = _finite(result)
        return finite

    def examples(self) -> Table:
        """One row an example: index, label, prediction, margin, radius that breaks it, and what each attack did."""
        columns: list[str] = ["index", "label", "prediction", "margin"]
        data: list[list[Cell]] = [
            list(range(len(self.labels))), self.labels.tolist(), self.predictions.tolist(), self.margins.tolist()
        ]  # fmt: skip
        if self.sweep is not None:
            columns.append("broken at")
            data.append(self.sweep.broken_at.tolist())
        for name, result in self.attacks.items():
            for part in ("broken", "predictions", "distance", "queries", "gradients"):
                columns.append(f"{name}/{part}")
                data.append([int(v) if isinstance(v, bool) else v for v in getattr(result, part).tolist()])
        return Table("Images", tuple(columns), tuple(zip(*data, strict=True)))

    def write(self, folder: Path | str) -> None:
        """Write ``robustness.json`` (``to_dict``), ``robustness.csv`` (the table), ``sweep.csv``, ``examples.csv``.

        Raises:
            UserError: The folder cannot be written.
        """
        folder = Path(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            tables = {"robustness": self.to_table(), "examples": self.examples()}
            if self.sweep is not None:
                tables["sweep"] = self.curve()
            for name, table in tables.items():
                write_atomic(folder / f"{name}.csv", table.to_csv())
            write_atomic(folder / "robustness.json", json.dumps(self.to_dict(), indent=1, allow_nan=False) + "\n")
        except OSError as error:
            raise UserError(f"The report cannot be written to '{folder}': {error}.") from error

    def _accuracy(self, name: str) -> Proportion:
        known = {"clean": self.clean_accuracy, **self.robust_accuracy, "worst-case": self.worst_case}
        if name not in known:
            raise unknown("attack", name, known)
        return known[name]

    def _ranked(self) -> tuple[Example, ...]:
        """The examples right without an attack, the least robust first."""
        if self.sweep is None:
            raise UserError(
                "Examples are ranked by the sweep's radii, but there was no sweep: give sweep=RadiusSweep(…)."
            )
        rows = zip(
            range(len(self.labels)), self.labels.tolist(), self.predictions.tolist(), self.sweep.broken_at.tolist(),
            self.margins.tolist(), strict=True,
        )  # fmt: skip
        own = [Example(*row) for row in rows if row[1] == row[2]]
        return tuple(sorted(own, key=lambda example: (example.radius, example.margin, example.index)))


def _finite(value: Any) -> Any:
    """The same, with None for numbers that are not finite."""
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
