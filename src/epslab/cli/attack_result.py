"""What ``epslab attack`` says when it is done: tables for readers, or one JSON object for programs."""

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from epslab.cli.gates import Gates
from epslab.cli.terminal import summary, table
from epslab.errors import as_flags

if TYPE_CHECKING:
    from epslab.audits import Target

_MARKS = {"pass": "✓", "fail": "✗", "not checked": "–"}


class Attacked(NamedTuple):
    """What there is to say.

    Args:
        content: The attack's ``result.json``.
        target: What was attacked.
        out: The attack's folder.
        kept: Whether it was measured before, and only read now.
    """

    content: Mapping[str, Any]
    target: "Target"
    out: Path
    kept: bool


def show(attacked: Attacked) -> None:
    """Print accuracies, findings, and where everything is."""
    from epslab.report.robustness import accuracies, headline
    from epslab.runs import number

    content, target, out, kept = attacked
    made, findings = accuracies(content), content["findings"]
    on = f"{target.name} on {len(target.images):,} {target.split} images of {Path(target.data).name}"
    rows = [["" if cell is None else number(cell) for cell in row] for row in made.rows]
    table(f"{on}: {made.title[0].lower()}{made.title[1:]}", made.columns, rows, numbers=True)
    if findings:
        print()
        told = [(_MARKS[one["verdict"]], one["name"], as_flags(one["evidence"])) for one in findings]
        table("Findings", ("", "finding", "evidence"), told)
    print()
    facts = {}
    if content["clean_accuracy"]["low"] <= 1 / len(target.images.classes):
        facts["caution"] = "no better than guessing without an attack: do weights, normalisation and labels fit?"
    if findings:
        failed = "; ".join(one["name"] for one in findings if one["verdict"] == "fail")
        facts["findings"] = f"not passed: {failed}" if failed else "none speaks against the attacks"
    if kept:
        facts["measured"] = "before; model, data and settings are the same (--overwrite measures once more)"
    facts |= {"numbers": str(out / "result.json"), "pictures": str(out / "figures"), "images": str(out / "results")}
    summary(headline(content).removesuffix("."), facts, [f"epslab report {shlex.quote(str(out))}"])


def as_json(attacked: Attacked, gates: Gates, failed: Sequence[str]) -> str:
    """One JSON object: the attack's ``result.json``, and ``folder``, ``kept`` and ``gates``.

    It is ASCII, and so the same on a stream of any encoding.
    """
    asked = {"fail_below": gates.fail_below, "fail_on_findings": gates.on_findings, "failed": list(failed)}
    made = {"folder": str(attacked.out), "kept": attacked.kept, "gates": asked}
    return json.dumps({**attacked.content, **made}, indent=1, allow_nan=False)
