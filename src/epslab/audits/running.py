"""An audit from start to end: evaluate, draw, write what the report and other programs read."""

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from epslab.attacks import Attack
from epslab.audits.building import bounded
from epslab.audits.pictures import draw
from epslab.audits.places import RESULT
from epslab.audits.targets import Target
from epslab.errors import UserError
from epslab.evaluation import RadiusSweep, RobustnessReport, evaluate_robustness
from epslab.evaluation.robustness_jobs import OnBatch
from epslab.files import write_atomic
from epslab.runs import radius_text
from epslab.runs.lock import lock
from epslab.runs.provenance import from_here
from epslab.training import Machine


def audit(
    target: Target,
    attacks: Mapping[str, Attack],
    *,
    out: Path | str,
    settings: Mapping[str, Any] | None = None,
    command: str = "",
    batch_size: int = 256,
    seed: int = 0,
    sweep: RadiusSweep | None = RadiusSweep(),  # noqa: B008 - frozen
    findings: bool = True,
    resume: bool = False,
    on_batch: OnBatch | None = None,
    machine: Machine = Machine(),  # noqa: B008 - frozen
) -> RobustnessReport:
    """Attack a classifier into a folder: numbers, tables, pictures and adversarial images.

    To what ``evaluate_robustness`` writes, the folder gains ``result.json`` (all numbers, and the settings),
    ``classes.csv`` and ``figures/*.png``; the run that was attacked notes the accuracies in its own ``result.json``.

    Args:
        target: The classifier and its images.
        attacks: By name.
        out: The folder, new or of the same audit.
        settings: What else repeats the audit, as its page shows it; a radius may be given as text, "8/255".
        command: The command that repeats it.
        batch_size: Images at a time.
        seed: Of all noise.
        sweep: Which radii accuracy is measured at; None: at none.
        findings: Check whether the attacks deserve to be believed.
        resume: Carry on with what the folder holds.
        on_batch: Told of every batch as it is done.
        machine: Processes that share the work; a model computes in its own precision.

    Raises:
        UserError: What ``evaluate_robustness`` refuses, or another precision.
    """
    if machine.precision != Machine.precision:
        raise UserError(f"precision={machine.precision}: an audit has none; convert the model, e.g. by model.half().")
    out = Path(out)
    report = evaluate_robustness(
        target.model,
        target.images.images,
        target.images.labels,
        attacks,
        batch_size=batch_size,
        seed=seed,
        out=out,
        resume=resume,
        sweep=sweep,
        findings=findings,
        on_batch=on_batch,
        devices=machine.devices,
        accelerator=machine.accelerator,
        strategy=machine.strategy,
        num_nodes=machine.nodes,
    )
    asked = {**target.settings, **_asked(attacks), "seed": seed, "batch_size": batch_size, **(settings or {})}
    draw(report, target.model, target.images, out / "figures", radius=asked["radius"])
    _write(report, target, out, asked, command)
    return report


def _asked(attacks: Mapping[str, Attack]) -> dict[str, Any]:
    """The attacks, and their ball if they have one."""
    first = bounded(attacks)
    radius = None if first is None else radius_text(float(first.radius))
    return {"attacks": list(attacks), "norm": None if first is None else first.norm, "radius": radius}


def _write(report: RobustnessReport, target: Target, out: Path, settings: Mapping[str, Any], command: str) -> None:
    classes = report.per_class(target.images.classes)
    write_atomic(out / "classes.csv", classes.to_csv())
    content = {
        "kind": "attack",
        "settings": dict(settings),
        "command": command,
        **report.to_dict(),
        "of": {**report.of, **target.of},
        "per_class": classes.to_dict(),
    }
    write_atomic(out / RESULT, json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    if target.run is not None:
        # The attack has its own folder; a run that is being trained, or cannot be written, only misses the note.
        with suppress(UserError, OSError), lock(target.run.folder, "noting an attack", wait=10.0):
            known = target.run.result().get("attacks", {})
            noted = {
                name: content[name] for name in ("settings", "of", "clean_accuracy", "robust_accuracy", "worst_case")
            }
            target.run.update_result(attacks={**known, out.name: {"folder": from_here(str(out)), **noted}})
