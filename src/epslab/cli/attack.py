"""Attack a classifier, a run's or your own: accuracies, and the evidence that the attacks worked."""

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from epslab.audits import options
from epslab.cli.attack_flags import parser
from epslab.cli.attack_table import AttackTable
from epslab.cli.folders import RUNS, first_process
from epslab.cli.terminal import summary, table
from epslab.errors import UserError, as_flags, unknown
from epslab.names import Names
from epslab.recipes.checks import at_least, pixels
from epslab.training import Machine

if TYPE_CHECKING:
    from epslab.attacks import Attack
    from epslab.audits import Target
    from epslab.evaluation import RobustnessReport

ATTACKS = ("random", "fgsm", "iterative-fgsm", "mim", "least-likely", "pgd", "apgd")
"""Those of ``epslab.attacks.ATTACKS``, which would import torch."""
_NORMS = ("linf", "l2", "l1")
_BALL = {"radius": "8/255", "norm": "linf"}
_MARKS = {"pass": "✓", "fail": "✗", "not checked": "–"}


def run(arguments: Sequence[str]) -> None:
    """Attack as the command line says, and print accuracies and findings.

    Raises:
        UserError: The model, its weights, the data or the settings cannot work together; nothing was written.
        KeyboardInterrupt: Interrupted; the message says how to go on.
    """
    names = Names("epslab.attacks", dict.fromkeys(ATTACKS, ""))
    values = parser(names).read(arguments)
    at_least(1, **{name: values[name] for name in ("limit", "batch_size", "steps", "restarts")})
    values["choices"] = options.parse_attacks(values["attacks"])
    for choice in values["choices"]:
        if choice.name not in names:
            raise unknown("attack", choice.name, names)
    values["given"] = [flag for flag in _BALL if values[flag] is not None]
    values |= {flag: values[flag] or default for flag, default in _BALL.items()}
    if values["norm"] not in _NORMS:
        raise unknown("norm", values["norm"], _NORMS)
    values["radius_value"] = pixels(values["radius"], "radius")
    values["radii"] = tuple(pixels(text, "radii") for text in _listed(values["radii"]))
    for name in ("mean", "std"):
        values[name] = _numbers(name, values[name])
    if values["resume"] and values["overwrite"]:
        raise UserError("--resume keeps what is there and --overwrite deletes it; give one of them.")
    _attack(values, f"epslab attack {shlex.join(arguments)}")


def _attack(values: dict[str, Any], command: str) -> None:
    from epslab.audits import audit, build_attacks, find_target
    from epslab.audits.running import require_free
    from epslab.evaluation import RadiusSweep
    from epslab.geometry import Ball

    machine = Machine(values["accelerator"], values["devices"])
    how = {name: values[name] for name in ("steps", "restarts", "worst_case")}
    attacks = build_attacks(values["choices"], Ball(values["norm"], values["radius_value"]), **how)
    sweep = RadiusSweep(values["radii"], values["norm"]) if values["radii"] else RadiusSweep()
    _leave_out_the_ball(values, attacks)
    target = find_target(
        values["model"],
        device=machine.device,
        **{key: values[key] for key in ("data", "data_root", "split", "limit", "seed", "state", "mean", "std")},
    )
    out = Path(values["out"]) if values["out"] else _folder(target, values)
    first = first_process()
    if first:
        require_free(out, resume=values["resume"], overwrite=values["overwrite"])
    again = re.sub(r" --(resume|overwrite)\b", "", command)
    try:
        with AttackTable(list(attacks), len(target.images), shown=first) as filled:
            report = audit(
                target,
                attacks,
                out=out,
                settings=_settings(values),
                command=again,
                batch_size=values["batch_size"],
                seed=values["seed"],
                sweep=None if values["no_sweep"] else sweep,
                findings=not values["no_findings"],
                resume=values["resume"] or not first,
                machine=machine,
                on_batch=filled,
            )
    except KeyboardInterrupt as interrupt:
        raise KeyboardInterrupt(f"Interrupted; `{again} --resume` goes on where it stopped.") from interrupt
    if first:
        _print(report, target, out)


def _leave_out_the_ball(values: dict[str, Any], attacks: Mapping[str, "Attack"]) -> None:
    """Attacks that may go any distance have no radius, and no norm but that of a sweep.

    Raises:
        UserError: One was asked for.
    """
    from epslab.audits.building import bounded, have_no

    if bounded(attacks) is not None:
        return
    for flag in values["given"]:
        if not (flag == "norm" and values["radii"]):
            names = [choice.name for choice in values["choices"]]
            raise UserError(f"{have_no(names)} --{flag}; leave it out, or add an attack in a ball, e.g. pgd.")
    values |= dict.fromkeys(_BALL)


def _print(report: "RobustnessReport", target: "Target", out: Path) -> None:
    """Accuracies, findings, where everything is."""
    from epslab.report.robustness import AuditFolder, accuracies, headline
    from epslab.runs import number

    content = AuditFolder.load(out).content
    made = accuracies(content)
    on = f"{target.name} on {len(target.images):,} {target.split} images of {Path(target.data).name}"
    rows = [["" if cell is None else number(cell) for cell in row] for row in made.rows]
    table(f"{on}: {made.title[0].lower()}{made.title[1:]}", made.columns, rows, numbers=True)
    if report.findings:
        print()
        table(
            "Findings",
            ("", "finding", "evidence"),
            [(_MARKS[finding.verdict], finding.name, as_flags(finding.evidence)) for finding in report.findings],
        )
    print()
    failed = [finding.name for finding in report.findings if finding.verdict == "fail"]
    facts = {}
    if report.clean_accuracy.interval()[0] <= 1 / len(target.images.classes):
        facts["caution"] = "no better than guessing without an attack: do weights, normalisation and labels fit?"
    if report.findings:
        facts["findings"] = f"not passed: {'; '.join(failed)}" if failed else "none speaks against the attacks"
    facts |= {"numbers": str(out / "result.json"), "pictures": str(out / "figures"), "images": str(out / "results")}
    summary(headline(content).removesuffix("."), facts, [f"epslab report {shlex.quote(str(out))}"])


def _settings(values: Mapping[str, Any]) -> dict[str, Any]:
    """What the page shows of how it was done."""
    keys = ("norm", "radius", "steps", "restarts", "worst_case", "state", "mean", "std")
    return {"attacks": [choice.words for choice in values["choices"]], **{key: values[key] for key in keys}}


def _folder(target: "Target", values: Mapping[str, Any]) -> Path:
    """Among a run's attacks; for the user's own model ``runs/attacks/MODEL``."""
    from epslab.audits.targets import folder_name

    foreign = target.run is not None and target.data != str(target.run.config["data"])
    name = folder_name(
        options.label(values["attacks"], values["choices"], worst_case=values["worst_case"]),
        data=Path(target.data).name if foreign else "",
        **{key: values[key] for key in ("norm", "radius", "steps", "restarts", "split", "limit", "seed")},
    )
    if target.run is not None:
        return target.run.folder / "attacks" / name
    return RUNS / "attacks" / re.sub(r"[^\w.+-]+", "-", f"{target.name}-{Path(target.data).name}") / name


def _listed(text: str | None) -> list[str]:
    """The parts of a list written with commas."""
    return [part.strip() for part in (text or "").split(",") if part.strip()]


def _numbers(flag: str, text: str | None) -> list[float] | None:
    if text is None:
        return None
    try:
        return [float(part) for part in _listed(text)]
    except ValueError as error:
        raise UserError(
            f"--{flag} is '{text}', but must be numbers with commas, one per channel: 0.49,0.48,0.45."
        ) from error
