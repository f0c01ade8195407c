"""Attack a classifier, a run's or your own: accuracies, and the evidence that the attacks worked."""

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from epslab.audits import options
from epslab.cli.attack_table import AttackTable
from epslab.cli.flags import Images, add_machine
from epslab.cli.folders import RUNS, first_process
from epslab.cli.parsing import Parser
from epslab.cli.terminal import summary, table
from epslab.errors import UserError, unknown
from epslab.names import Names
from epslab.recipes.checks import at_least, pixels
from epslab.training import Machine

if TYPE_CHECKING:
    from epslab.audits.targets import Target
    from epslab.evaluation import RobustnessReport

ATTACKS = ("random", "fgsm", "iterative-fgsm", "least-likely", "pgd", "apgd")
"""Those of ``epslab.attacks.ATTACKS``, which would import torch."""
_NORMS = ("linf", "l2", "l1")
_MARKS = {"pass": "✓", "fail": "✗", "not checked": "–"}


def run(arguments: Sequence[str]) -> None:
    """Attack as the command line says, and print accuracies and findings.

    Raises:
        UserError: The model, its weights, the data or the settings cannot work together; nothing was written.
        KeyboardInterrupt: Interrupted; the message says how to go on.
    """
    values = _parser().read(arguments)
    at_least(1, **{name: values[name] for name in ("limit", "batch_size", "steps", "restarts")})
    choices = values["choices"] = options.parse(values["attacks"])
    names = Names("epslab.attacks", dict.fromkeys(ATTACKS, ""))
    for choice in choices:
        if choice.name not in names:
            raise unknown("attack", choice.name, names)
    if values["norm"] not in _NORMS:
        raise unknown("norm", values["norm"], _NORMS)
    values["radius_value"] = pixels(values["radius"], "radius")
    values["radii"] = tuple(pixels(text, "radii") for text in _listed(values["radii"]))
    for name in ("mean", "std"):
        values[name] = _numbers(name, values[name])
    if values["resume"] and values["overwrite"]:
        raise UserError("--resume keeps what is there and --overwrite deletes it; give one of them.")
    _attack(values, f"epslab attack {shlex.join(arguments)}")


def _attack(values: Mapping[str, Any], command: str) -> None:
    from epslab.audits import building, running, targets
    from epslab.evaluation import RadiusSweep
    from epslab.geometry import Ball

    machine = Machine(values["accelerator"], values["devices"])
    how = {name: values[name] for name in ("steps", "restarts", "worst_case")}
    attacks = building.build(values["choices"], Ball(values["norm"], values["radius_value"]), **how)
    sweep = RadiusSweep(values["radii"], values["norm"]) if values["radii"] else RadiusSweep()
    target = targets.find(
        values["model"],
        device=machine.device,
        **{key: values[key] for key in ("data", "data_root", "split", "limit", "seed", "state", "mean", "std")},
    )
    out = Path(values["out"]) if values["out"] else _folder(target, values)
    first = first_process()
    if first:
        running.require_free(out, resume=values["resume"], overwrite=values["overwrite"])
    again = re.sub(r" --(resume|overwrite)\b", "", command)
    try:
        with AttackTable(list(attacks), len(target.images), shown=first) as filled:
            report = running.attack(
                target,
                attacks,
                out=out,
                radius=values["radius"],
                settings=_settings(target, values),
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
        _print(report, target, values, out)


def _print(report: "RobustnessReport", target: "Target", values: Mapping[str, Any], out: Path) -> None:
    """Accuracies, findings, where everything is."""
    norms = {result.norm for result in report.attacks.values()}
    bounded = any(result.radius < float("inf") for result in report.attacks.values())
    ball = f"{values['norm']} radius {values['radius']}" if bounded else f"no radius, {' and '.join(norms)} distances"
    table(
        f"{target.name} on {len(target.images):,} {target.split} images of {Path(target.data).name}, {ball}",
        ("attack", "accuracy", "95 % interval", "in 8 bits", "queries", "gradients"),
        [_row(row) for row in map(list, report.to_table().rows)],
    )
    if report.findings:
        print()
        table(
            "Findings",
            ("", "finding", "evidence"),
            [(_MARKS[finding.verdict], finding.name, finding.evidence) for finding in report.findings],
        )
    print()
    low, high = report.worst_case.interval()
    failed = [finding.name for finding in report.findings if finding.verdict == "fail"]
    facts = {"clean": str(report.clean_accuracy)}
    if report.clean_accuracy.interval()[0] <= 1 / len(target.images.classes):
        facts["caution"] = "no better than guessing without an attack: do weights, normalisation and labels fit?"
    if report.findings:
        facts["findings"] = f"not passed: {'; '.join(failed)}" if failed else "none speaks against the attacks"
    facts |= {"numbers": str(out / "result.json"), "pictures": str(out / "figures"), "images": str(out / "results")}
    summary(
        f"Worst-case accuracy {100 * report.worst_case:.1f} % [{100 * low:.1f}, {100 * high:.1f}], {ball}",
        facts,
        [f"epslab report {shlex.quote(str(out))}"],
    )


def _row(row: Sequence[Any]) -> tuple[str, ...]:
    name, accuracy, low, high, *_, queries, gradients, rounded = row
    return (
        str(name),
        f"{100 * accuracy:5.1f} %",
        f"[{100 * low:.1f}, {100 * high:.1f}]",
        "" if rounded is None else f"{100 * rounded:5.1f} %",
        "" if queries is None else f"{queries:,.1f}",
        "" if gradients is None else f"{gradients:,.1f}",
    )


def _settings(target: "Target", values: Mapping[str, Any]) -> dict[str, Any]:
    """What the page shows of how it was done."""
    keys = ("steps", "restarts", "worst_case", "seed", "batch_size", "state", "mean", "std")
    return {
        "model": target.name,
        "data": target.data,
        "split": target.split,
        "images": len(target.images),
        "attacks": [_words(choice) for choice in values["choices"]],
        "norm": values["norm"],
        "radius": values["radius"],
        **{key: values[key] for key in keys},
    }


def _folder(target: "Target", values: Mapping[str, Any]) -> Path:
    """Among a run's attacks; for the user's own model ``runs/attacks/MODEL``."""
    from epslab.audits.targets import folder_name

    foreign = target.run is not None and target.data != str(target.run.config["data"])
    name = folder_name(
        [_words(choice) for choice in values["choices"]],
        values["norm"],
        values["radius"],
        data=Path(target.data).name if foreign else "",
        **{key: values[key] for key in ("steps", "restarts", "worst_case", "split", "limit", "seed")},
    )
    if target.run is not None:
        return target.run.folder / "attacks" / name
    return RUNS / "attacks" / re.sub(r"[^\w.+-]+", "-", f"{target.name}-{Path(target.data).name}") / name


def _words(choice: options.Choice) -> str:
    """An attack as it was asked for, ``pgd:steps=100,restarts=5``."""
    own = ",".join(f"{name}={value}" for name, value in choice.options.items())
    return f"{choice.name}:{own}" if own else choice.name


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
            f"--{flag} is '{text}', but must be numbers with commas, one a channel: 0.49,0.48,0.45."
        ) from error


def _parser() -> Parser:
    parser = Parser(
        "attack",
        "Attack a classifier: what is left of its accuracy, with intervals, and whether the attacks\n"
        "deserve to be believed.\n\n"
        "MODEL is a run folder, or package.module:name of your own: a factory without arguments, a torch\n"
        "module or a function of images in [0, 1]. The folder you are in can be imported from.",
        "epslab attack runs/small-cnn-digits --attacks fgsm,pgd:steps=100,restarts=5 --radius 8/255\n"
        "  epslab attack my_models:resnet --data cifar10 --state weights.pth --mean 0.49,0.48,0.45 --std 0.2,0.2,0.2",
    )
    parser.add_argument("model", type=str, metavar="MODEL", help="run folder or import path")
    group = parser.add_argument_group("Attacks")
    group.add_argument(
        "--attacks",
        type=str,
        default="random,fgsm,pgd",
        metavar="NAMES",
        help=f"with commas, of {', '.join(ATTACKS)}, or package.module:Name; an attack's own options follow its name, "
        "pgd:steps=100,restarts=5,objective=margin; or a YAML file, 'pgd: {steps: 100}' a line",
    )
    group.add_argument(
        "--radius",
        type=str,
        default="8/255",
        metavar="R",
        help="how far they may go, in units of the pixel range [0, 1]: 8/255 means 8/255, 0.03 means 0.03",
    )
    group.add_argument("--norm", type=str, default="linf", metavar="NORM", help="of the radius: linf, l2 or l1")
    group.add_argument("--steps", type=int | None, metavar="N", help="gradient steps; without it each attack's own")
    group.add_argument(
        "--restarts",
        type=int | None,
        metavar="N",
        help="random restarts an image, the worst kept; 1 without it",
    )
    group.add_argument(
        "--worst_case",
        action="store_true",
        help="only the worst case: each attack on what withstood the others; faster",
    )
    group.add_argument(
        "--radii",
        type=str | None,
        metavar="R,R,…",
        help="radii at which accuracy is measured beside, ascending; without it 1/8 to 4 times the radius",
    )
    group.add_argument("--no_sweep", action="store_true", help="measure accuracy at no other radii")
    group.add_argument("--no_findings", action="store_true", help="do not check whether the attacks worked")
    group = parser.add_argument_group("Data")
    group.add_argument(
        "--data",
        type=str | None,
        metavar="NAME",
        help="digits, mnist, fashion-mnist, cifar10, or a folder of images by class; without it the run's own",
    )
    parser.add_class_arguments(Images)
    group = parser.add_argument_group("Your own model")
    group.add_argument("--state", type=str | None, metavar="FILE", help="its weights: .safetensors, or .pth of tensors")
    group.add_argument(
        "--mean",
        type=str | None,
        metavar="X,X,…",
        help="what its normalisation subtracts, one a channel, of pixels in [0, 1]; without it none is added",
    )
    group.add_argument("--std", type=str | None, metavar="X,X,…", help="what its normalisation divides by, after that")
    group = parser.add_argument_group("Results")
    group.add_argument(
        "--out",
        type=str | None,
        metavar="DIR",
        help="folder; without it RUN/attacks/SETTINGS or runs/attacks/MODEL",
    )
    group.add_argument("--resume", action="store_true", help="go on with an attack that was interrupted")
    group.add_argument("--overwrite", action="store_true", help="delete what the folder holds, first")
    add_machine(parser)
    return parser
