"""A section of a page from the folder of an attack: the worst case first, then the evidence that the attack worked.

The folder holds ``result.json`` as ``epslab.audits.running`` writes it, and ``figures/*.png``.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from epslab.errors import UserError
from epslab.report.blocks import Picture, Section
from epslab.runs import Cell, Table, norm_text, number, percent, pictures_in, radius_text

_SWEEP = "By PGD at each radius in turn; an image broken at one radius counts as broken at all larger ones."
_MARKS = {"pass": "✓", "fail": "✗"}


@dataclass(frozen=True)
class AuditFolder:
    """An attack's folder, read.

    Args:
        folder: Where it is.
        content: Its ``result.json``.
    """

    folder: Path
    content: Mapping[str, Any]

    @classmethod
    def load(cls, folder: Path) -> "AuditFolder":
        """Read the folder.

        Raises:
            UserError: It holds no finished attack, or one that cannot be read.
        """
        content = _read(folder)
        if content is None:
            what = "attack" if (folder / "result.json").is_file() else "finished attack"
            raise UserError(f"'{folder}' holds no {what} that can be read; give the folder that `epslab attack` wrote.")
        return cls(folder, content)


def _read(folder: Path) -> Mapping[str, Any] | None:
    """What ``result.json`` says of an attack; None if it cannot be read or is not of an attack."""
    try:
        content = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) and content.get("kind") == "attack" else None


def is_attack(folder: Path) -> bool:
    """Whether a folder is one that ``epslab attack`` finished."""
    return _read(folder) is not None


def attacks_of(run: Path) -> tuple[AuditFolder, ...]:
    """The finished attacks on a run, by the names of their folders."""
    found = ((folder, _read(folder)) for folder in sorted((run / "attacks").glob("*")))
    return tuple(AuditFolder(folder, content) for folder, content in found if content is not None)


def robustness_section(result: AuditFolder) -> Section:
    """The attack as a section.

    Raises:
        UserError: Its ``result.json`` lacks what every attack's has.
    """
    content = result.content
    try:
        return Section(
            title=_title(content["settings"]),
            lead=headline(content),
            pictures=[Picture(one.caption, one.path, one.alt) for one in pictures_in(result.folder / "figures")],
            tables=_filled(_accuracies(content), _findings(content["findings"]), _classes(content)),
            warnings=[
                f"Not passed: {finding['name']}. {finding['evidence']}"
                for finding in content["findings"]
                if finding["verdict"] == "fail"
            ],
            details=_filled(_radii(content), _settings(content["settings"])),
            code=str(content.get("command") or ""),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f"'{result.folder / 'result.json'}' is not as `epslab attack` writes it; attack again with --overwrite."
        ) from error


def headline(content: Mapping[str, Any]) -> str:
    """The result in one line: worst case with its interval, the images, clean accuracy."""
    settings = content["settings"]
    return (
        f"Worst-case accuracy {share(content['worst_case'])}{_where(settings)} over"
        f" {number(settings['images'])} {settings['split']} images of {Path(str(settings['data'])).name};"
        f" {share(content['clean_accuracy'])} without an attack."
    )


def share(proportion: Mapping[str, float]) -> str:
    """A proportion with its interval: "12.3 % [9.1, 16.0]"."""
    return percent(proportion["value"], (proportion["low"], proportion["high"]))


def _title(settings: Mapping[str, Any]) -> str:
    return f"{Path(str(settings['model'])).name} under attack: {', '.join(settings['attacks'])}"


def _where(settings: Mapping[str, Any]) -> str:
    """The ball, if the attacks have one: " in the L∞ ball of radius 8/255"."""
    radius = settings.get("radius")
    if radius is None or radius in ("inf", float("inf")):
        return ""
    given = radius_text(radius) if isinstance(radius, float) else radius
    return f" in the {norm_text(str(settings['norm']))} ball of radius {given}"


def _accuracies(content: Mapping[str, Any]) -> Table:
    rows: list[list[Cell]] = [
        [
            entry["attack"],
            _percent(entry["accuracy"]),
            f"[{_percent(entry['low'])}, {_percent(entry['high'])}]",
            _percent(entry["accuracy in 8 bits"]),
            _distances(entry),
            entry["queries"],
            entry["gradients"],
        ]
        for entry in _records(content["table"])
    ]
    columns = (
        "attack", "accuracy, %", "95 % interval, %", "in 8 bits, %", "median distance", "queries", "gradients",
    )  # fmt: skip
    return Table(
        f"Accuracy{_where(content['settings'])}",
        columns,
        rows,
        "Intervals are Clopper and Pearson's. In the worst case an image counts as right only if it withstands every"
        " attack. In 8 bits: on adversarial images of 8 bits, which lie in the ball. Median distance: of the"
        " images that were broken, in brackets the distance that 10 % and 90 % of them do not exceed."
        " Queries (forward passes) and gradients: means per image.",
    )


def _distances(entry: Mapping[str, Any]) -> str | None:
    """The median, with the lowest and the highest tenth where they are known: "0.031 [0.02, 0.05]"."""
    median, low, high = (entry.get(name) for name in ("median distance", "distance at 10 %", "distance at 90 %"))
    if median is None or low is None or high is None:
        return None if median is None else radius_text(median)
    return f"{radius_text(median)} [{radius_text(low)}, {radius_text(high)}]"


def _findings(findings: Sequence[Mapping[str, Any]]) -> Table:
    rows = [(f"{_MARKS.get(finding['verdict'], '–')} {finding['name']}", finding["evidence"]) for finding in findings]
    return Table(
        "Findings: did the attack work?",
        ("finding", "evidence"),
        rows,
        "✓ holds · ✗ does not: the accuracies above may say more of the attack than of the model · – not checked.",
    )


def _classes(content: Mapping[str, Any]) -> Table:
    table = content["per_class"]
    rows = [[str(name), count, *map(_percent, shares)] for name, count, *shares in table["rows"]]
    return Table("By class, accuracy in %", tuple(table["columns"]), rows)


def _radii(content: Mapping[str, Any]) -> Table:
    sweep = content.get("sweep")
    entries = _records(sweep["curve"]) if sweep else []
    rows = [
        [
            radius_text(entry["radius"]),
            _percent(entry["accuracy"]),
            f"[{_percent(entry['low'])}, {_percent(entry['high'])}]",
        ]
        for entry in entries
    ]
    return Table("By radius", ("radius", "accuracy, %", "95 % interval, %"), rows, _SWEEP)


def _settings(settings: Mapping[str, Any]) -> Table:
    rows: list[tuple[str, Cell]] = []
    for key, value in settings.items():
        if value is not None:
            text = ", ".join(map(str, value)) if isinstance(value, list) else value
            rows.append((key.replace("_", " "), text))
    return Table("Settings", ("setting", "value"), rows)


def _filled(*tables: Table) -> tuple[Table, ...]:
    """Those that have rows."""
    return tuple(table for table in tables if table.rows)


def _records(table: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A table's rows, each by column."""
    return [dict(zip(table["columns"], row, strict=True)) for row in table["rows"]]


def _percent(part: float | None) -> str | None:
    return None if part is None else f"{100 * part:.1f}"
