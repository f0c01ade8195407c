"""An evaluation of attacks in words: one line, a few lines for ``print``, and tables for a page."""

import re
from collections import Counter
from math import isfinite

from epslab.evaluation.robustness_result import AttackResult, RobustnessResult
from epslab.runs import Cell, Table, norm_text, percent, radius_text

_MODEL = re.compile(r"(?:[\w.]+\.)?(?:<locals>\.)?([\w<>]+)")


def model_name(fingerprint: str) -> str:
    """The class or function of a model, from the words that describe it: "Sequential"."""
    match = _MODEL.match(fingerprint)
    return match[1] if match else "model"


def title(result: RobustnessResult) -> str:
    """What was attacked, and by what."""
    return f"{model_name(result.model)} under attack: {', '.join(result.attacks)}"


def headline(result: RobustnessResult) -> str:
    """The worst case and the clean accuracy, with their intervals."""
    balls = list(dict.fromkeys(_ball(one) for one in result.joint))
    where = f" in the {' or the '.join(balls)}" if all(balls) else " at any distance"
    return (
        f"Worst-case accuracy {result.worst_case}{where} over {len(result.labels):,} examples;"
        f" {result.clean_accuracy} without an attack."
    )


def accuracies(result: RobustnessResult) -> Table:
    """Every accuracy with its interval, where the attack searched, and what it cost."""
    rows: list[tuple[Cell, ...]] = [("clean", str(result.clean_accuracy), None, None, None)]
    for name, one in result.attacks.items():
        cost = (one.queries.double().mean().item(), one.gradients.double().mean().item())
        rows.append((name, str(result.robust_accuracy[name]), _ball(one) or f"{norm_text(one.norm)}, no ball", *cost))
    rows.append(("worst-case", str(result.worst_case), None, None, None))
    note = (
        "[low, high] is the 95 % confidence interval (Clopper & Pearson). In the worst case an example counts as right"
        " only if it withstands every attack. Queries (forward passes) and gradients: means per example."
    )
    return Table("Accuracy", ("attack", "accuracy", "perturbations", "queries", "gradients"), rows, note)


def in_percent(table: Table, title: str, *, numbers: int) -> Table:
    """A table of fractions as percentages; the first columns, ``numbers`` of them, hold other things."""
    rows = [
        (*(cell if isinstance(cell, str | int) else radius_text(cell or 0.0) for cell in row[:numbers]),
         *(percent(float(cell or 0.0)) for cell in row[numbers:]))
        for row in table.rows
    ]  # fmt: skip
    return Table(title, table.columns, rows, table.note)


def findings(result: RobustnessResult) -> Table:
    """The checks, those that failed first."""
    order = ("fail", "not checked", "pass")
    ranked = sorted(result.findings, key=lambda finding: order.index(finding.verdict))
    return Table(
        "Findings: did the attack work?",
        ("finding", "verdict", "evidence"),
        [(one.name, one.verdict, one.evidence) for one in ranked],
    )


def lines(result: RobustnessResult) -> str:
    """The same for ``print``: the accuracies, then the findings that speak against the attacks."""
    names = ["clean", *result.attacks, "worst-case"]
    shares = [result.clean_accuracy, *result.robust_accuracy.values(), result.worst_case]
    places = ["", *(_ball(one) for one in result.attacks.values()), ""]
    wide = max(map(len, names))
    told = [headline(result)]
    rows = zip(names, shares, places, strict=True)
    told += [f"  {name:<{wide}}  {share!s:>20}  {where}".rstrip() for name, share, where in rows]
    if result.findings:
        count = Counter(one.verdict for one in result.findings)
        told.append(f"Findings: {count['pass']} hold, {count['fail']} do not, {count['not checked']} were not checked.")
        told += [f"  {one}" for one in result.findings if one.verdict == "fail"]
    return "\n".join(told)


def _ball(result: AttackResult) -> str:
    """``L∞ ball of radius 8/255``; empty without a ball."""
    if not isfinite(result.radius):
        return ""
    return f"{norm_text(result.norm)} ball of radius {radius_text(result.radius)}"
