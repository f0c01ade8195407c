"""The flags of ``epslab attack``."""

from collections.abc import Iterable
from typing import Any

from epslab.cli.flags import Images, add_machine, add_model
from epslab.cli.parsing import Parser

_WHAT = (
    "Attack a classifier: what is left of its accuracy, with intervals, and whether the attacks\n"
    "deserve to be believed.\n\n"
    "MODEL is a run folder, or package.module:name of your own: a factory without arguments, a torch\n"
    "module or a function of images in [0, 1]. The folder you are in can be imported from."
)
_EXAMPLES = (
    "epslab attack runs/small-cnn-digits --attacks fgsm,pgd:steps=100,restarts=5 --radius 8/255\n"
    "  epslab attack my_models:resnet --data cifar10 --state weights.pth --mean 0.49,0.48,0.45 --std 0.2,0.2,0.2"
)
_TEXT, _NUMBER = str | None, int | None

_GROUPS: dict[str, dict[str, dict[str, Any]]] = {
    "Attacks": {
        "attacks": {
            "type": str,
            "default": "random,fgsm,pgd",
            "metavar": "NAMES",
            "help": "with commas, of {attacks}, or package.module:Name; an attack's own options follow its name, "
            "pgd:steps=100,restarts=5,objective=margin; or a YAML file, 'pgd: {{steps: 100}}' a line",
        },
        "radius": {
            "type": _TEXT,
            "metavar": "R",
            "help": "how far attacks in a ball may go, in units of the pixel range [0, 1]: 8/255 means 8/255, 0.03 "
            "means 0.03; 8/255 without it",
        },
        "norm": {"type": _TEXT, "metavar": "NORM", "help": "of the radius: linf, l2 or l1; linf without it"},
        "steps": {"type": _NUMBER, "metavar": "N", "help": "gradient steps; without it each attack's own"},
        "restarts": {
            "type": _NUMBER,
            "metavar": "N",
            "help": "random restarts per image, the worst kept; 1 without it",
        },
        "worst_case": {
            "action": "store_true",
            "help": "only the worst case: each attack on what withstood the others; faster",
        },
        "no_leave_early": {
            "action": "store_true",
            "help": "push every image to the greatest loss, not only across the boundary: for confidence and transfer; "
            "slower",
        },
        "radii": {
            "type": _TEXT,
            "metavar": "R,R,…",
            "help": "further radii at which accuracy is measured, ascending; without it 1/8 to 4 times the radius",
        },
        "no_sweep": {"action": "store_true", "help": "measure accuracy at no other radii"},
        "no_findings": {"action": "store_true", "help": "do not check whether the attacks worked"},
    },
    "Data": {
        "data": {
            "type": _TEXT,
            "metavar": "NAME",
            "help": "{{data_sets}}; package.module:name; or a folder of images by class; without it the run's own",
        },
    },
    "Your own model": {
        "state": {"type": _TEXT, "metavar": "FILE", "help": "its weights: .safetensors, or .pth of tensors"},
        "mean": {
            "type": _TEXT,
            "metavar": "X,X,…",
            "help": "what its normalisation subtracts from pixels in [0, 1], one number per channel; without it the "
            "model is given the pixels themselves",
        },
        "std": {"type": _TEXT, "metavar": "X,X,…", "help": "what its normalisation then divides by"},
    },
    "Results": {
        "out": {
            "type": _TEXT,
            "metavar": "DIR",
            "help": "folder; without it RUN/attacks/SETTINGS or runs/attacks/MODEL/SETTINGS",
        },
        "resume": {"action": "store_true", "help": "go on with an attack that was interrupted"},
        "overwrite": {"action": "store_true", "help": "delete what the folder holds, first"},
    },
    "Continuous integration": {
        "fail_below": {
            "type": _TEXT,
            "metavar": "PERCENT",
            "help": "exit with code 3 if the worst-case accuracy's 95 % interval begins below this, e.g. 50",
        },
        "fail_on_findings": {
            "action": "store_true",
            "help": "exit with code 3 if a finding speaks against the attacks",
        },
        "json": {
            "action": "store_true",
            "help": "print one JSON object, what result.json holds with `folder` and `gates`, and nothing else; words "
            "go to standard error",
        },
    },
}


def parser(attacks: Iterable[str]) -> Parser:
    """The flags, whose help names these attacks."""
    made = Parser("attack", _WHAT, _EXAMPLES)
    made.add_argument("target", type=str, metavar="MODEL", help="run folder or import path")
    for title, flags in _GROUPS.items():
        group = made.add_argument_group(title)
        for name, options in flags.items():
            group.add_argument(f"--{name}", **{**options, "help": options["help"].format(attacks=", ".join(attacks))})
        if title == "Data":
            made.add_class_arguments(Images)
            add_model(made)
    add_machine(made)
    return made
