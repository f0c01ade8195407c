"""Attack a classifier, a run's or your own: accuracies, and the evidence that the attacks worked."""

import contextlib
import re
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from epslab.audits import options
from epslab.cli.attack_flags import parser
from epslab.cli.attack_result import Attacked, as_json, show
from epslab.cli.attack_table import AttackTable
from epslab.cli.folders import RUNS, first_process
from epslab.cli.gates import GateFailed, Gates, percentage
from epslab.errors import UserError, unknown
from epslab.files import FULL
from epslab.names import Names
from epslab.recipes.checks import at_least, pixels
from epslab.training import Machine

if TYPE_CHECKING:
    from epslab.attacks import Attack
    from epslab.audits import Target
    from epslab.evaluation.identity import Identity

ATTACKS = ("random", "fgsm", "iterative-fgsm", "mim", "least-likely", "pgd", "apgd")
"""Those of ``epslab.attacks.ATTACKS``, which would import torch."""
_NORMS = ("linf", "l2", "l1")
_BALL = {"radius": "8/255", "norm": "linf"}


def run(arguments: Sequence[str]) -> None:
    """Attack as the command line says, and print accuracies and findings.

    Raises:
        UserError: The model, its weights, the data or the settings cannot work together; nothing was written.
        GateFailed: The result does not pass a gate.
        KeyboardInterrupt: Interrupted; the message says how to go on.
    """
    values = _read(arguments)
    from epslab.runs.provenance import from_here

    gates = Gates(percentage(values["fail_below"]), values["fail_on_findings"])
    words = [word for word in arguments if word not in ("--resume", "--overwrite")]
    stdout = sys.stdout
    # Whatever else is printed, by the user's model too, must not stand in the JSON.
    with contextlib.redirect_stdout(sys.stderr) if values["json"] else contextlib.nullcontext():
        attacked = _attack(values, gates, f"epslab attack {shlex.join(map(from_here, words))}")
        if attacked is None:
            return
        show(attacked)
    failed = gates.failures(attacked.content)
    if values["json"]:
        print(as_json(attacked, gates, failed), file=stdout)
    if failed:
        raise GateFailed(f"Not passed: {'; and '.join(failed)}.")


def _read(arguments: Sequence[str]) -> dict[str, Any]:
    """What the command line says, checked as far as it can be without the model."""
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
    if values["no_findings"] and values["fail_on_findings"]:
        raise UserError("--fail-on-findings needs the findings that --no-findings leaves out; give one of them.")
    return values


def _attack(values: dict[str, Any], gates: Gates, command: str) -> "Attacked | None":
    """Attack into a folder, or take what it holds if this was done before; None in all but one process."""
    from epslab.audits import build_attacks, find_target
    from epslab.audits.places import identity_of, require_free, standing
    from epslab.evaluation import RadiusSweep
    from epslab.geometry import Ball
    from epslab.report import AuditFolder

    machine = Machine(values["accelerator"], values["devices"])
    how = {name: values[name] for name in ("steps", "restarts", "worst_case")}
    ball = Ball(values["norm"], values["radius_value"])
    attacks = build_attacks(values["choices"], ball, **how, leave_early=not values["no_leave_early"])
    sweep = RadiusSweep(values["radii"], values["norm"]) if values["radii"] else RadiusSweep()
    _leave_out_the_ball(values, attacks)
    target = find_target(
        values["target"],
        model=values["model"],
        device=machine.device,
        **{key: values[key] for key in ("data", "data_root", "split", "limit", "seed", "state", "mean", "std")},
    )
    gates.require_passable(len(target.images))
    asked: dict[str, Any] = {"seed": values["seed"], "findings": not values["no_findings"]}
    asked["sweep"] = None if values["no_sweep"] else sweep
    wanted = identity_of(target, attacks, **asked)
    out = Path(values["out"]) if values["out"] else _folder(target, values, wanted)
    kept = not values["overwrite"] and standing(out, wanted) == "done"
    first = first_process()
    if first and not kept:
        require_free(out, wanted, resume=values["resume"], overwrite=values["overwrite"])
    if not kept:
        how = {"settings": _settings(values), "batch_size": values["batch_size"], "machine": machine, **asked}
        _measure(target, attacks, out, command, resume=values["resume"], first=first, **how)
    return Attacked(AuditFolder.load(out).content, target, out, kept) if first else None


def _measure(
    target: "Target",
    attacks: Mapping[str, "Attack"],
    out: Path,
    command: str,
    *,
    resume: bool,
    first: bool,
    **how: Any,
) -> None:
    """Attack into the folder, with a table that fills."""
    from epslab.audits import audit

    with _going_on(f"`{command} --resume`"), AttackTable(list(attacks), len(target.images), shown=first) as filled:
        audit(target, attacks, out=out, command=command, resume=resume or not first, on_batch=filled, **how)


@contextlib.contextmanager
def _going_on(command: str) -> Iterator[None]:
    """Say how to go on where the attack is interrupted or the disk is full."""
    try:
        yield
    except KeyboardInterrupt as interrupt:
        raise KeyboardInterrupt(f"Interrupted; {command} goes on where it stopped.") from interrupt
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise UserError(f"The disk is full ('{error.filename}'); free some space, and {command} goes on.") from error


def _leave_out_the_ball(values: dict[str, Any], attacks: Mapping[str, "Attack"]) -> None:
    """Attacks that may go any distance have no radius, and no norm but that of a sweep.

    Raises:
        UserError: One was asked for.
    """
    from epslab.audits.building import bounded, have_no

    if bounded(attacks) is not None:
        return
    if values["fail_below"] is not None:
        raise UserError("--fail-below needs a worst case within a radius; add an attack in a ball, e.g. pgd.")
    for flag in values["given"]:
        if not (flag == "norm" and values["radii"]):
            names = [choice.name for choice in values["choices"]]
            raise UserError(f"{have_no(names)} --{flag}; leave it out, or add an attack in a ball, e.g. pgd.")
    values |= dict.fromkeys(_BALL)


def _settings(values: Mapping[str, Any]) -> dict[str, Any]:
    """What the page shows of how it was done."""
    keys = ("norm", "radius", "steps", "restarts", "worst_case", "state", "mean", "std")
    settings = {"attacks": [choice.words for choice in values["choices"]], **{key: values[key] for key in keys}}
    return {**settings, "leave_early": False} if values["no_leave_early"] else settings


def _folder(target: "Target", values: Mapping[str, Any], wanted: "Identity") -> Path:
    """Among a run's attacks; for the user's own model ``runs/attacks/MODEL``."""
    from epslab.audits.places import place
    from epslab.audits.targets import folder_name

    foreign = target.run is not None and target.data != target.run.data
    name = folder_name(
        options.label(values["attacks"], values["choices"], worst_case=values["worst_case"]),
        data=Path(target.data).name if foreign else "",
        **{key: values[key] for key in ("norm", "radius", "steps", "restarts", "split", "limit", "seed")},
        leave_early=not values["no_leave_early"],
    )
    parent = RUNS / "attacks" / re.sub(r"[^\w.+-]+", "-", f"{target.name}-{Path(target.data).name}")
    if target.run is not None:
        parent = target.run.folder / "attacks"
    return place(parent, name, wanted, resume=values["resume"])


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
