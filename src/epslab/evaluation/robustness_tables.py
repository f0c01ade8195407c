"""The numbers of a robustness report as tables."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool
from torch import Tensor

from epslab.evaluation.robustness_result import AttackResult, RobustnessResult
from epslab.runs import Cell, Table

_ACCURACIES = (
    "attack", "accuracy", "low", "high", "broken", "median distance", "distance at 10 %", "distance at 90 %", "norm",
    "queries", "gradients", "accuracy in 8 bits",
)  # fmt: skip


def accuracies(report: RobustnessResult) -> Table:
    """One row each for the clean images, every attack, and the worst case.

    Accuracies lie in 0..1, with the ends of their 95 % interval. ``broken`` is a part of the examples that are right
    without an attack. The quantiles of the distance are those of the broken examples, in the attack's norm: for an
    attack without a ball they are its result. Queries and gradients are means per example. ``accuracy in 8 bits`` is
    that on adversarial images of 8 bits.
    """
    results = report.attacks.values()
    right = int(report.right.sum())

    def of(broken: Bool[Tensor, " n"]) -> float | None:
        return int((broken & report.right).sum()) / right if right else None

    def in_8_bits(rounded: Bool[Tensor, " n"]) -> float | None:
        return 1 - rounded.double().mean().item() if report.eight_bit else None

    rows: list[tuple[Cell, ...]] = [
        ("clean", float(report.clean_accuracy), *report.interval("clean"), *[None] * (len(_ACCURACIES) - 4))
    ]
    for name, result in report.attacks.items():
        accuracy = (float(report.robust_accuracy[name]), *report.interval(name), of(result.broken))
        distances = _quantiles(result, result.broken & report.right)
        rows.append((name, *accuracy, *distances, result.norm, *_spent([result]), in_8_bits(result.broken_rounded)))
    worst = (float(report.worst_case), *report.interval("worst-case"), of(report.broken))
    rounded = torch.stack([result.broken_rounded for result in results]).any(0)
    rows.append(("worst-case", *worst, None, None, None, None, *_spent(list(results)), in_8_bits(rounded)))
    return Table("Accuracy", _ACCURACIES, tuple(rows))


def curve(report: RobustnessResult) -> Table:
    """Accuracy against the radius, with its 95 % interval: radius 0 first. No rows without a sweep."""
    rows: list[tuple[Cell, ...]] = []
    if report.sweep is not None:
        points = [(0.0, report.clean_accuracy), *zip(report.sweep.radii, report.sweep.accuracy, strict=True)]
        rows = [(radius, float(accuracy), *accuracy.interval()) for radius, accuracy in points]
    return Table("Accuracy by radius", ("radius", "accuracy", "low", "high"), tuple(rows))


def per_class(report: RobustnessResult, classes: Sequence[str] | None = None) -> Table:
    """One row per class that occurs: its examples, and its accuracy clean, under each attack, in the worst case.

    Args:
        report: The report.
        classes: The classes' names, by index; their numbers if None.
    """
    standing = [report.right, *(~result.broken for result in report.attacks.values()), ~report.broken]
    rows: list[tuple[Cell, ...]] = []
    for label in sorted(set(report.labels.tolist())):
        own = report.labels == label
        parts = (mask[own].double().mean().item() for mask in standing)
        rows.append((str(label) if classes is None else classes[label], int(own.sum()), *parts))
    return Table("Accuracy by class", ("class", "examples", "clean", *report.attacks, "worst-case"), tuple(rows))


def examples(report: RobustnessResult) -> Table:
    """One row per example: index, label, prediction, margin, radius that breaks it, and what each attack did."""
    columns: list[str] = ["index", "label", "prediction", "margin"]
    known = (report.labels, report.predictions, report.margins)
    data: list[list[Cell]] = [list(range(len(report.labels))), *(part.tolist() for part in known)]
    if report.sweep is not None:
        columns.append("broken at")
        data.append(report.sweep.broken_at.tolist())
    for name, result in report.attacks.items():
        for part in ("broken", "predictions", "distance", "queries", "gradients"):
            columns.append(f"{name}/{part}")
            data.append([int(v) if isinstance(v, bool) else v for v in getattr(result, part).tolist()])
    return Table("Examples", tuple(columns), tuple(zip(*data, strict=True)))


def _quantiles(result: AttackResult, broken: Bool[Tensor, " n"]) -> tuple[float | None, ...]:
    """The median, the lowest and the highest tenth of the distances: numbers that were measured, not between two."""
    if not broken.any():
        return (None, None, None)
    distances = result.distance[broken]
    return tuple(distances.quantile(q, interpolation="lower").item() for q in (0.5, 0.1, 0.9))


def _spent(results: Sequence[AttackResult]) -> tuple[float, float]:
    """Queries and gradients per example, of all these attacks together."""
    queries = sum(result.queries.double().mean().item() for result in results)
    return queries, sum(result.gradients.double().mean().item() for result in results)
