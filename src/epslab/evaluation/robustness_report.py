"""What ``evaluate_robustness`` measured, as numbers, tables and files."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from epslab.classifiers import Proportion
from epslab.errors import UserError, unknown
from epslab.evaluation import robustness_text
from epslab.evaluation.robustness_result import AttackResult, Example, RobustnessResult
from epslab.evaluation.short_page import short_page, written
from epslab.files import write_atomic
from epslab.runs import Cell, Table
from epslab.types import Images

_ACCURACIES = (
    "attack", "accuracy", "low", "high", "broken", "median distance", "distance at 10 %", "distance at 90 %", "norm",
    "queries", "gradients", "accuracy in 8 bits",
)  # fmt: skip


class RobustnessReport(RobustnessResult):
    """What was measured, with its tables, pages and files; the fields are those of ``RobustnessResult``.

    ``print(report)`` tells it in a few lines. Made by ``evaluate_robustness``:

    >>> import torch
    >>> from epslab.attacks import FGSM
    >>> from epslab.evaluation import evaluate_robustness
    >>> from epslab.geometry import Linf
    >>> images, labels = torch.eye(4).view(4, 1, 2, 2), torch.arange(4)
    >>> report = evaluate_robustness(torch.nn.Flatten(), images, labels, {"fgsm": FGSM(Linf(0.6))}, findings=False)
    >>> print(report.clean_accuracy, report.robust_accuracy["fgsm"])
    100.0 % [39.8, 100.0] 0.0 % [0.0, 60.2]
    """

    def __str__(self) -> str:
        return robustness_text.lines(self)

    def __repr__(self) -> str:
        return f"<RobustnessReport: {robustness_text.headline(self)}>"

    def _repr_html_(self) -> str:
        failed = [f"Not passed: {one.name}." for one in self.findings if one.verdict == "fail"]
        table = robustness_text.accuracies(self)
        note = " ".join(failed) or table.note
        return Table(robustness_text.headline(self), table.columns, table.rows, note)._repr_html_()

    def to_html(self, out: Path | str | None = None) -> str:
        """A self-contained page: the worst case, the findings that failed, accuracies, findings, classes, radii.

        ``epslab.report.write_report([report], "page.html")`` makes a page with pictures.

        Args:
            out: A file to write it to as well.

        Raises:
            UserError: ``out`` cannot be written.
        """
        tables = [
            robustness_text.accuracies(self),
            robustness_text.findings(self),
            robustness_text.in_percent(self.per_class(), "Accuracy by class", numbers=2),
            robustness_text.in_percent(self.curve(), "Accuracy by radius", numbers=1),
        ]
        warnings = [f"Not passed: {one.name}. {one.evidence}" for one in self.findings if one.verdict == "fail"]
        return written(short_page(robustness_text.title(self), robustness_text.headline(self), tables, warnings), out)

    def to_table(self) -> Table:
        """One row each for the clean images, every attack, and the worst case.

        Accuracies lie in 0..1, with the ends of their 95 % interval. ``broken`` is a part of the examples that are
        right without an attack. The quantiles of the distance are those of the broken examples, in the attack's norm:
        for an attack without a ball they are its result. Queries and gradients are means per example. ``accuracy in 8
        bits`` is that on adversarial images of 8 bits. The worst case is that of the attacks in a ball where there are
        any.
        """
        rows: list[tuple[Cell, ...]] = [
            ("clean", float(self.clean_accuracy), *self.interval("clean"), *[None] * (len(_ACCURACIES) - 4))
        ]
        for name, result in self.attacks.items():
            distances = (*self._distances(result).values(), result.norm)
            rows.append((name, *self._accuracies(name, result, self.robust_accuracy[name], distances, [result])))
        none = (None,) * 4
        rows.append(("worst-case", *self._accuracies("worst-case", self, self.worst_case, none, self.joint)))
        return Table("Accuracy", _ACCURACIES, tuple(rows))

    def _accuracies(
        self,
        name: str,
        whole: "AttackResult | RobustnessResult",
        accuracy: Proportion,
        distances: tuple[Cell, ...],
        results: Sequence[AttackResult],
    ) -> tuple[Cell, ...]:
        """A row but for its name."""
        right = int(self.right.sum())
        return (
            float(accuracy),
            *self.interval(name),
            int((whole.broken & self.right).sum()) / right if right else None,
            *distances,
            sum(result.queries.double().mean().item() for result in results),
            sum(result.gradients.double().mean().item() for result in results),
            1 - whole.broken_rounded.double().mean().item() if self.eight_bit else None,
        )

    def curve(self) -> Table:
        """Accuracy against the radius, with its 95 % interval: radius 0 first. No rows without a sweep."""
        points: list[tuple[float, Proportion]] = []
        if self.sweep is not None:
            points = [(0.0, self.clean_accuracy), *zip(self.sweep.radii, self.sweep.accuracy, strict=True)]
        rows = tuple((radius, float(accuracy), *accuracy.interval()) for radius, accuracy in points)
        return Table("Accuracy by radius", ("radius", "accuracy", "low", "high"), rows)

    def per_class(self, classes: Sequence[str] | None = None) -> Table:
        """One row per class that occurs: its examples, and its accuracy clean, under each attack, in the worst case.

        Args:
            classes: The classes' names, by index; their numbers if None.
        """
        standing = [self.right, *(~result.broken for result in self.attacks.values()), ~self.broken]
        rows: list[tuple[Cell, ...]] = []
        for label in sorted(set(self.labels.tolist())):
            own = self.labels == label
            parts = (mask[own].double().mean().item() for mask in standing)
            rows.append((str(label) if classes is None else classes[label], int(own.sum()), *parts))
        return Table("Accuracy by class", ("class", "examples", "clean", *self.attacks, "worst-case"), tuple(rows))

    def examples(self) -> Table:
        """One row per example: index, label, prediction, margin, radius that breaks it, and what each attack did."""
        columns: dict[str, Tensor] = {
            "index": torch.arange(len(self.labels)),
            "label": self.labels,
            "prediction": self.predictions,
            "margin": self.margins,
        }
        if self.sweep is not None:
            columns["broken at"] = self.sweep.broken_at
        for name, result in self.attacks.items():
            columns[f"{name}/broken"] = result.broken.int()
            for part in ("predictions", "distance", "queries", "gradients"):
                columns[f"{name}/{part}"] = getattr(result, part)
        rows = zip(*(column.tolist() for column in columns.values()), strict=True)
        return Table("Examples", tuple(columns), tuple(rows))

    def least_robust(self, count: int = 10) -> tuple[Example, ...]:
        """The examples right without an attack that the smallest radii break; on ties the smallest margin first.

        Raises:
            UserError: There was no sweep.
        """
        return self._ranked()[:count]

    def most_robust(self, count: int = 10) -> tuple[Example, ...]:
        """The examples that only the greatest radii break, or none; on ties the greatest margin first.

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
            "of": dict(self.of),
            "clean_accuracy": self.clean_accuracy.to_dict(),
            "robust_accuracy": {name: share.to_dict() for name, share in self.robust_accuracy.items()},
            "worst_case": self.worst_case.to_dict(),
            "survival": None if self.survival is None else self.survival.to_dict(),
            "attacks": {
                name: {
                    "settings": attack.settings,
                    "norm": attack.norm,
                    "radius": attack.radius,
                    "distance": self._distances(attack),
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

    def write(self, folder: Path | str) -> None:
        """Write ``robustness.json`` (``to_dict``), ``robustness.csv`` (the table), ``sweep.csv``, ``examples.csv``.

        Raises:
            UserError: The folder cannot be written.
        """
        folder = Path(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            written = {"robustness": self.to_table(), "examples": self.examples()}
            if self.sweep is not None:
                written["sweep"] = self.curve()
            for name, table in written.items():
                write_atomic(folder / f"{name}.csv", table.to_csv())
            write_atomic(folder / "robustness.json", json.dumps(self.to_dict(), indent=1, allow_nan=False) + "\n")
        except OSError as error:
            raise UserError(f"The report cannot be written to '{folder}': {error}.") from error

    def _distances(self, result: AttackResult) -> dict[str, float | None]:
        """The median and the lowest and highest tenth of the broken examples' distances: measured, not interpolated."""
        parts, distances = {"median": 0.5, "10 %": 0.1, "90 %": 0.9}, result.distance[result.broken & self.right]
        if not len(distances):
            return dict.fromkeys(parts)
        return {name: distances.quantile(q, interpolation="lower").item() for name, q in parts.items()}

    def _ranked(self) -> tuple[Example, ...]:
        """The examples right without an attack, the least robust first."""
        if self.sweep is None:
            raise UserError("Examples are ranked by the sweep's radii, but there was no sweep: evaluate with one.")
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
