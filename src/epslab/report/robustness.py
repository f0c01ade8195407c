"""A section of a page about an attack: the worst case first, then the evidence that the attack worked.

Its folder holds ``result.json`` as ``epslab.audits.running`` writes it, and ``figures/*.png``; or ``robustness.json``
as ``evaluate_robustness(out=…)`` writes it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from epslab.errors import UserError
from epslab.evaluation import RobustnessReport
from epslab.hashes import file_hash
from epslab.report import evaluation
from epslab.report.blocks import Picture, Section
from epslab.report.threat import Threat, balls, records, threats
from epslab.runs import Cell, Run, Table, norm_text, number, percent, pictures_in, radius_text
from epslab.runs.binding import run_around

_SWEEP = "By PGD at each radius in turn; an image broken at one radius counts as broken at all larger ones."
_MARKS = {"pass": "✓", "fail": "✗"}


@dataclass(frozen=True)
class AuditFolder:
    """An attack's folder, read.

    Args:
        folder: Where it is; None for a report that has none.
        content: Its ``result.json``.
    """

    folder: Path | None
    content: Mapping[str, Any]

    @classmethod
    def of(cls, report: RobustnessReport) -> "AuditFolder":
        """A report that was returned, without a folder."""
        return cls(None, evaluation.content_of(report.to_dict()))

    @property
    def name(self) -> str:
        """What a page calls it: its folder's name, with the run's where it lies among the attacks on one."""
        if self.folder is None:
            return model_of(self.content)
        parts = self.folder.absolute().parts
        return f"{parts[-3]}: {parts[-1]}" if parts[-2:-1] == ("attacks",) and len(parts) > 3 else parts[-1]

    def pictures(self) -> list[Picture]:
        """Those of the folder; where it has none, what can be drawn of the numbers."""
        kept = [] if self.folder is None else pictures_in(self.folder / "figures")
        return [Picture(one.caption, one.path, one.alt) for one in kept] or evaluation.drawn(self.content)

    @classmethod
    def load(cls, folder: Path) -> "AuditFolder":
        """Read the folder.

        Raises:
            UserError: It holds no finished attack, or one that cannot be read.
        """
        content = _read(folder)
        if content is None:
            what = "attack" if (folder / "result.json").is_file() else "finished attack"
            raise UserError(
                f"'{folder}' holds no {what} that can be read; give the folder that `epslab attack` or"
                " evaluate_robustness wrote."
            )
        return cls(folder, content)


def _read(folder: Path) -> Mapping[str, Any] | None:
    """What ``result.json`` says of an attack, or else ``robustness.json``; None if neither does."""
    if not (folder / "result.json").is_file():
        return evaluation.read(folder)
    try:
        content = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) and content.get("kind") == "attack" else None


def is_attack(folder: Path) -> bool:
    """Whether a folder is one that ``epslab attack`` or ``evaluate_robustness`` finished."""
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
            title=_title(content),
            lead=headline(content),
            pictures=result.pictures(),
            tables=_filled(accuracies(content), _findings(content["findings"]), _classes(content)),
            warnings=[
                *_stale(result),
                *(
                    f"Not passed: {finding['name']}. {finding['evidence']}"
                    for finding in content["findings"]
                    if finding["verdict"] == "fail"
                ),
            ],
            details=_filled(_radii(content), _settings(content["settings"])),
            code=str(content.get("command") or ""),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f"'{(result.folder or Path()) / 'result.json'}' is not as `epslab attack` writes it; attack again with"
            " `overwrite=True`."
        ) from error


def _stale(result: AuditFolder) -> list[str]:
    """That what was attacked has changed since: the run around the folder or by its name, or the file of weights."""
    of, settings = result.content.get("of") or {}, result.content["settings"]
    state = file_hash(Path(str(settings.get("state"))))
    if state is not None and of.get("state", state) != state:
        return [f"This attack is out of date: '{settings['state']}' has changed since."]
    around = None if result.folder is None else run_around(result.folder)
    place = around or Path(str(settings["model"]))
    changed = Run.open(place).changed_since(of) if (place / "config.yaml").is_file() else None
    if changed is None:
        return []
    return [
        f"This attack is out of date: {changed}; its numbers are not those of '{place.absolute().name}' as it is now."
    ]


def headline(content: Mapping[str, Any]) -> str:
    """The result in one line: the worst case in the ball, distances of attacks without a ball, clean accuracy."""
    settings = content["settings"]
    found = threats(content)
    of = f" of {Path(str(settings['data'])).name}" if settings.get("data") else ""
    on = " ".join(filter(None, (number(settings["images"]), settings.get("split"), f"images{of}")))
    clean = f"{share(content['clean_accuracy'])} without an attack."
    worst = share(content["worst_case"])
    anywhere = [threat.sentence for threat in found if not threat.radius]
    distances = f"edian distance that makes the model wrong: {'; '.join(anywhere)}"
    if len(anywhere) == len(found):
        return f"M{distances}; {worst} of {on} stay right at any distance, {clean}"
    told = f"; m{distances}" if anywhere else ""
    return f"Worst-case accuracy {worst}{balls(found)} over {on}{told}; {clean}"


def share(proportion: Mapping[str, float]) -> str:
    """A proportion with its interval: "12.3 % [9.1, 16.0]"."""
    return percent(proportion["value"], (proportion["low"], proportion["high"]))


def _title(content: Mapping[str, Any]) -> str:
    attacks = ", ".join(threat.attack for threat in threats(content))
    return f"{model_of(content)} under attack: {attacks}"


def model_of(content: Mapping[str, Any]) -> str:
    """What was attacked: a run's name, an import path, a class."""
    return Path(str(content["settings"]["model"])).name


def accuracies(content: Mapping[str, Any]) -> Table:
    """What every attack left, where it searched and what it cost."""
    found = {threat.attack: threat for threat in threats(content)}
    mixed = len({(threat.norm, threat.radius) for threat in found.values()}) > 1
    rows: list[list[Cell]] = []
    for entry in records(content["table"]):
        threat = found.get(entry["attack"])
        rows.append([
            entry["attack"],
            *([None if threat is None else f"{threat.norm} {threat.radius or '(no ball)'}"] if mixed else []),
            _percent(entry["accuracy"]),
            f"[{_percent(entry['low'])}, {_percent(entry['high'])}]",
            _percent(entry["accuracy in 8 bits"]),
            (threat.distance or None) if threat else None,
            entry["queries"],
            entry["gradients"],
        ])  # fmt: skip
    columns = (
        "attack", *(["norm and radius"] if mixed else []), "accuracy, %", "95 % interval, %", "in 8 bits, %",
        "median distance", "queries", "gradients",
    )  # fmt: skip
    return Table(
        "Accuracy" if mixed else f"Accuracy{balls([*found.values()])}", columns, rows, _note([*found.values()])
    )


def _note(found: Sequence[Threat]) -> str:
    """How to read the table of accuracies."""
    bounded = any(threat.radius for threat in found)
    free = any(not threat.radius for threat in found)
    norms = " and ".join(dict.fromkeys(threat.norm for threat in found))
    return " ".join([
        "Intervals are Clopper and Pearson's. In the worst case an image counts as right only if it withstands every"
        f" attack{' in a ball' if bounded and free else ''}.",
        f"In 8 bits: on adversarial images of 8 bits{', which lie in the ball' if bounded else ''}.",
        f"Median distance ({norms}): of the images that were broken, in brackets the distance that 10 % and 90 % of"
        " them do not exceed.",
        *(["An attack without a ball may go any distance: the distance is its result, not the accuracy."] * free),
        "Queries (forward passes) and gradients: means per image.",
    ])  # fmt: skip


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
    entries = records(sweep["curve"]) if sweep else []
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
            rows.append((key.replace("_", " "), norm_text(text) if key == "norm" else text))
    return Table("Settings", ("setting", "value"), rows)


def _filled(*tables: Table) -> tuple[Table, ...]:
    """Those that have rows."""
    return tuple(table for table in tables if table.rows)


def _percent(part: float | None) -> str | None:
    return None if part is None else f"{100 * part:.1f}"
