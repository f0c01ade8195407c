"""A section of a page from the folder of an attack: the worst case first, then the evidence that the attack worked.

The folder holds ``result.json`` as ``epslab.recipes.attack_results`` writes it, and ``figures/*.png``.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from epslab.errors import UserError
from epslab.report.blocks import Cell, Picture, Section, Table, number

CAPTIONS = {
    "accuracies": "Accuracy without an attack and under each, with 95 % confidence intervals (Clopper–Pearson).",
    "radius": "Accuracy against the radius of the ball, with its 95 % confidence band; at radius 0 the clean one.",
    "least-robust": "The images broken at the smallest radius, among those the model gets right.",
    "most-robust": "The images that withstood the largest radius.",
}
"""What to see in the pictures of an attack's folder, by file name, in the order they are shown."""
_GRID = "grid-"
_MARKS = {"pass": "✓", "fail": "✗"}
_NORMS = {"linf": "Linf", "l2": "L2", "l1": "L1"}


@dataclass(frozen=True)
class AttackResult:
    """An attack's folder, read.

    Args:
        folder: Where it is.
        content: Its ``result.json``.
    """

    folder: Path
    content: Mapping[str, Any]

    @classmethod
    def load(cls, folder: Path) -> "AttackResult":
        """Read the folder.

        Raises:
            UserError: It holds no finished attack, or one that cannot be read.
        """
        try:
            content = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UserError(
                f"'{folder}' holds no finished attack that can be read; give the folder that `epslab attack` wrote."
            ) from error
        if not isinstance(content, dict) or content.get("kind") != "attack":
            raise UserError(f"'{folder}' holds no attack; give the folder that `epslab attack` wrote.")
        return cls(folder, content)


def is_attack(folder: Path) -> bool:
    """Whether a folder is one that ``epslab attack`` finished."""
    try:
        content = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and content.get("kind") == "attack"


def attacks_of(run: Path) -> tuple[AttackResult, ...]:
    """The finished attacks on a run, by the names of their folders."""
    folders = sorted(path for path in (run / "attacks").glob("*") if is_attack(path))
    return tuple(AttackResult.load(folder) for folder in folders)


def robustness_section(result: AttackResult) -> Section:
    """The attack as a section.

    Raises:
        UserError: Its ``result.json`` lacks what every attack's has.
    """
    content = result.content
    try:
        return Section(
            title=_title(content["settings"]),
            lead=headline(content),
            pictures=_pictures(result.folder),
            tables=tuple(
                table
                for table in (_accuracies(content), _findings(content["findings"]), _classes(content), _radii(content))
                if table.rows
            ),
            warnings=[
                f"Not passed: {finding['name']}. {finding['evidence']}"
                for finding in content["findings"]
                if finding["verdict"] == "fail"
            ],
            details=(_settings(content["settings"]),),
            code=str(content.get("command") or ""),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"'{result.folder / 'result.json'}' is not as `epslab attack` writes it; attack again with --overwrite."
        ) from error


def headline(content: Mapping[str, Any]) -> str:
    """The result in one line: worst case with its interval, what it was measured on, clean accuracy."""
    settings = content["settings"]
    return (
        f"Worst-case accuracy {share(content['worst_case'])} in the {_ball(settings)} over"
        f" {number(settings['images'])} {settings['split']} images of {Path(str(settings['data'])).name};"
        f" {share(content['clean'])} without an attack."
    )


def share(proportion: Mapping[str, float]) -> str:
    """A proportion with its interval: ``12.3 % (9.1 to 16.0)``."""
    value, low, high = (100 * proportion[name] for name in ("value", "low", "high"))
    return f"{value:.1f} % ({low:.1f} to {high:.1f})"


def _title(settings: Mapping[str, Any]) -> str:
    return f"{Path(str(settings['model'])).name} under attack: {', '.join(settings['attacks'])}"


def _ball(settings: Mapping[str, Any]) -> str:
    return f"{_NORMS.get(settings['norm'], settings['norm'])} ball of radius {settings['radius']}"


def _pictures(folder: Path) -> tuple[Picture, ...]:
    """The PNG files of the figures folder: those with a caption in its order, the grids before the extremes."""
    paths = {path.stem: path for path in sorted((folder / "figures").glob("*.png"))}
    grids = [stem for stem in paths if stem.startswith(_GRID)]
    captions = {stem: caption for stem, caption in CAPTIONS.items() if stem in paths}
    captions |= {
        stem: (
            f"What {stem.removeprefix(_GRID)} changed, magnified (mid-grey: nothing), and what the model says of each"
            " image, with its confidence."
        )
        for stem in grids
    }
    order = ["accuracies", "radius", *grids, "least-robust", "most-robust"]
    return tuple(Picture(captions[stem], paths[stem]) for stem in order if stem in captions)


def _accuracies(content: Mapping[str, Any]) -> Table:
    rows: list[list[Cell]] = [["none (clean)", *_shares(content["clean"]), None, None, None]]
    rows += [
        [
            entry["name"],
            *_shares(entry["accuracy"]),
            _percent(entry.get("rounded")),
            entry.get("queries"),
            entry.get("gradients"),
        ]
        for entry in content["attacks"]
    ]
    rows.append(["worst case of all", *_shares(content["worst_case"]), None, None, None])
    columns = ("attack", "accuracy, %", "95 % interval, %", "after 8-bit rounding, %", "forward passes", "gradients")
    return Table(
        f"Accuracy in the {_ball(content['settings'])}",
        columns,
        rows,
        "The worst case counts an image as right only if it withstands every attack. Forward passes and gradients are"
        " means an image.",
    )


def _findings(findings: Sequence[Mapping[str, Any]]) -> Table:
    rows = [(_MARKS.get(finding["verdict"], "–"), finding["name"], finding["evidence"]) for finding in findings]
    return Table(
        "Findings: did the attack work?",
        ("", "finding", "evidence"),
        rows,
        "✓ holds · ✗ does not: the accuracies above may say more of the attack than of the model · – not checked.",
    )


def _classes(content: Mapping[str, Any]) -> Table:
    entries = content.get("classes") or []
    names = list(entries[0]["accuracy"]) if entries else []
    rows = [
        [str(entry["class"]), entry["images"], *(_percent(entry["accuracy"][name]) for name in names)]
        for entry in entries
    ]
    return Table("By class, accuracy in %", ("class", "images", *names), rows)


def _radii(content: Mapping[str, Any]) -> Table:
    sweep = content.get("sweep")
    if not sweep:
        return Table("", (), ())
    rows = [[_radius(radius), *_shares(entry)] for radius, entry in zip(sweep["radii"], sweep["accuracy"], strict=True)]
    return Table("By radius", ("radius", "accuracy, %", "95 % interval, %"), rows)


def _settings(settings: Mapping[str, Any]) -> Table:
    rows: list[tuple[str, Cell]] = []
    for key, value in settings.items():
        if value is not None:
            text = ", ".join(map(str, value)) if isinstance(value, list) else value
            rows.append((key.replace("_", " "), text))
    return Table("Settings", ("setting", "value"), rows)


def _shares(proportion: Mapping[str, float]) -> tuple[str, str]:
    low, high = (100 * proportion[name] for name in ("low", "high"))
    return f"{100 * proportion['value']:.1f}", f"{low:.1f} to {high:.1f}"


def _percent(proportion: Mapping[str, float] | None) -> str | None:
    return None if proportion is None else f"{100 * proportion['value']:.1f}"


def _radius(radius: float) -> str:
    """A radius as a reader knows it: in 255ths where it is a whole or half number of them."""
    levels = 255 * radius
    return f"{levels:g}/255" if abs(2 * levels - round(2 * levels)) < 1e-6 and levels <= 64 else f"{radius:.4g}"
