"""Run folders, attacks and studies put together on one page, with one table that compares the runs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from epslab.errors import UserError
from epslab.report.blocks import Cell, Page, Section, Table
from epslab.report.numbers import headline, measurements, validated
from epslab.report.page import write
from epslab.report.robustness import AttackResult, attacks_of, is_attack, robustness_section
from epslab.report.study import StudyResult, study_section
from epslab.report.training_run import best, run_name, run_section
from epslab.runs import Run

COMPARED = {
    "accuracy": "accuracy",
    "cross_entropy": "cross-entropy, nats",
    "calibration_error": "calibration error",
    "bits_per_dim": "bits/dim",
    "importance_weighted": "log p bound, nats",
    "kl": "KL, nats",
    "active_units": "active dimensions",
}
"""What the table of several runs shows, if any of them has it."""


Item = Run | AttackResult | StudyResult
"""What a page can show."""
_IMAGES = ("data", "likelihood", "levels", "binarise", "std")  # settings that say what an image is to a likelihood
# What clean accuracy is given up for: with it, the more accurate classifier is not the better one.
_DEFENCE = ("defence", "attack", "norm", "radius")


def write_report(items: Sequence[Item | Path], out: Path, *, title: str = "", lead: str = "") -> Path:
    """One page of these runs, attacks and studies, in the order given; several runs are compared in a table first.

    A run's section is followed by those of its finished attacks.

    Args:
        items: Runs, attacks, results of studies, or the folders of any of them.
        out: The HTML file.
        title: Heading of the page; made from what is on it if empty.
        lead: The page's result in one line; made from the runs if empty.

    Raises:
        UserError: A folder holds none of them, or ``out`` cannot be written.
    """
    opened = [_open(item) for item in items]
    runs = [item for item in opened if isinstance(item, Run)]
    sections = [section for item in opened for section in _sections(item)]
    if len(runs) > 1:
        sections.insert(0, comparison(runs))
    if not title:
        title = f"epslab: {_count(opened)}" if len(opened) > 1 else sections[0].title
        # A page of one run and its attacks has more than that one section: it does not repeat its heading.
        title += ", attacked" if len(opened) == 1 and len(sections) > 1 else ""
    return write(Page(title, lead or (_lead(runs) if len(opened) > 1 else ""), sections), out)


def comparison(runs: Sequence[Run]) -> Section:
    """One row a run: the settings in which they differ, and what each came to."""
    configs = [{key: value for key, value in run.config.items() if key != "provenance"} for run in runs]
    keys = list(dict.fromkeys(key for config in configs for key in config))
    missing = object()
    differing = [key for key in keys if len({repr(config.get(key, missing)) for config in configs}) > 1]
    found = [{entry.key: entry.text for entry in measurements(run.result())} for run in runs]
    shown = [key for key in COMPARED if any(key in numbers for numbers in found)]
    rows = []
    for run, config, numbers in zip(runs, configs, found, strict=True):
        at_best = best(config, run.metrics())
        row: list[Cell] = [run.folder.absolute().name, *(_cell(config.get(key)) for key in differing)]
        row += [numbers.get(key) for key in shown]
        row += [None if at_best is None else f"{validated(at_best[1], at_best[2])[0]} (epoch {at_best[0]})"]
        rows.append(row)
    columns = [
        "run",
        *(key.replace("_", " ") for key in differing),
        *(COMPARED[key] for key in shown),
        "best validation",
    ]
    note = "± is the standard error over images." if shown else "None of these runs has been evaluated yet."
    if "accuracy" in shown:
        note += " […] is the 95 % interval (Clopper & Pearson)."
    if not _alike(runs, _IMAGES):
        note += (
            " These runs were measured on different data: their accuracies do not compare."
            if "accuracy" in shown
            else " These runs describe different images (data, levels or binarisation): their bounds do not compare."
        )
    return Section("The runs compared", tables=(Table("", columns, rows, note),))


def _sections(item: Item) -> list[Section]:
    if isinstance(item, Run):
        return [run_section(item), *map(robustness_section, attacks_of(item.folder))]
    return [robustness_section(item) if isinstance(item, AttackResult) else study_section(item)]


def _open(item: Item | Path) -> Item:
    if isinstance(item, Run | AttackResult | StudyResult):
        return item
    if is_attack(item):
        return AttackResult.load(item)
    if (item / "config.yaml").is_file():
        return Run.open(item)
    if (item / "result.json").is_file():
        return StudyResult.load(item)
    raise UserError(
        f"'{item}' holds neither a run nor a study nor an attack (no config.yaml, no result.json); give a folder"
        " that `epslab train`, `epslab attack` or `epslab study` wrote."
    )


def _lead(runs: Sequence[Run]) -> str:
    """The best measured run in words; empty if none was measured, or if their numbers do not compare."""
    if not _alike(runs, _IMAGES + _DEFENCE):
        return ""
    lines = [(_rank(run), f"{run_name(run)}: {line}.") for run in runs if (line := headline(run.result())) is not None]
    return f"Best of {len(lines)}: {min(lines)[1]}" if len(lines) > 1 else lines[0][1] if lines else ""


def _alike(runs: Sequence[Run], settings: Sequence[str]) -> bool:
    """Whether all runs agree in these settings."""
    return len({tuple(str(run.config.get(key)) for key in settings) for run in runs}) <= 1


def _rank(run: Run) -> float:
    """The smaller the better, among comparable runs."""
    evaluation = run.result()["evaluation"]
    if "accuracy" in evaluation:
        return -float(evaluation["accuracy"]["value"])
    value = evaluation.get("bits_per_dim", float("inf"))
    return float(value["mean"] if isinstance(value, dict) else value)


def _cell(value: Any) -> Cell:
    return value if isinstance(value, str | int | float) or value is None else str(value)


def _count(opened: Sequence[Item]) -> str:
    counted = []
    for kind, one, many in (
        (Run, "run", "runs"),
        (AttackResult, "attack", "attacks"),
        (StudyResult, "study", "studies"),
    ):
        n = sum(isinstance(item, kind) for item in opened)
        if n:
            counted.append(f"{n} {one if n == 1 else many}")
    return " and ".join(counted)
