"""Several attacks side by side: their worst cases, their curves over the radius, their paired differences."""

from collections.abc import Sequence

from epslab import figures
from epslab.report.blocks import Picture, Section
from epslab.report.evaluation import intervals, radii_of
from epslab.report.outcomes import Outcomes
from epslab.report.pairs import differences_of_attacks
from epslab.report.robustness import AuditFolder, model_of, share
from epslab.report.threat import balls, threats
from epslab.runs import Cell, Table


def attacks_compared(audits: Sequence[AuditFolder]) -> Section:
    """One row per attack; differences where the same examples were attacked; curves over the same radii in one."""
    names = names_of(audits)
    rows: list[list[Cell]] = []
    for name, audit in zip(names, audits, strict=True):
        found = threats(audit.content)
        rows.append([
            name, model_of(audit.content), ", ".join(one.attack for one in found),
            balls(found).removeprefix(" in the ") or "any distance",
            share(audit.content["clean_accuracy"]), share(audit.content["worst_case"]),
        ])  # fmt: skip
    columns = ("attack", "model", "of", "perturbations", "without an attack", "worst case")
    table = Table("", columns, rows, "[low, high] is the 95 % confidence interval (Clopper & Pearson).")
    outcomes = [(name, Outcomes.of(audit)) for name, audit in zip(names, audits, strict=True)]
    known = [(name, one) for name, one in outcomes if one is not None]
    paired = differences_of_attacks([one for _, one in known], [name for name, _ in known])
    return Section(
        "The attacks compared", pictures=_curves(audits, names), tables=(table, *([paired] if paired.rows else []))
    )


def names_of(audits: Sequence[AuditFolder]) -> list[str]:
    """Short names that tell them apart: the runs, the attacks, or both; numbered where nothing does."""
    whole = [audit.name for audit in audits]
    for names in ([name.partition(": ")[0] for name in whole], [name.rpartition(": ")[2] for name in whole], whole):
        if len(set(names)) == len(names):
            return names
    return [f"{name} ({i})" for i, name in enumerate(whole, start=1)]


def _curves(audits: Sequence[AuditFolder], names: Sequence[str]) -> list[Picture]:
    """Accuracy against the radius, of those whose sweeps have the norm and the radii of the first."""
    found = {name: sweep for name, audit in zip(names, audits, strict=True) if (sweep := audit.content.get("sweep"))}
    axes = {name: (radii.tolist(), label) for name, sweep in found.items() for radii, label in [radii_of(sweep)]}
    first = next(iter(axes.values()), None)
    alike = [name for name, axis in axes.items() if axis == first]
    if first is None or len(alike) < 2:
        return []
    curves = {name: intervals(found[name]["curve"]) for name in alike}
    drawing = figures.accuracy_curves(first[0], curves, x_label=first[1])
    return [Picture("Accuracy under PGD against the radius of the ball, with 95 % confidence bands.", drawing)]
