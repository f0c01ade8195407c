"""Answer one question with a figure and a table."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from epslab.cli.flags import Data, add_machine
from epslab.cli.folders import RUNS
from epslab.cli.parsing import Parser
from epslab.cli.terminal import summary
from epslab.errors import unknown
from epslab.studies import STUDIES, question

_SCALES = ("quick", "full")


def run(arguments: Sequence[str]) -> None:
    """Run the study, and print its answer.

    Raises:
        UserError: An unknown study or scale, data that cannot be read, or a folder that cannot be used.
    """
    parser = _parser()
    values = parser.read(arguments)
    name, data, scale = values["name"], values["data"], values["scale"]
    STUDIES.path(name)
    if scale not in _SCALES:
        raise unknown("scale", scale, _SCALES)
    out = Path(values["out"] or RUNS / "studies" / f"{Path(data).name}-{scale}")

    from epslab.studies import Context, run_study
    from epslab.studies.folder import require_studies

    require_studies(out)
    context = Context(
        data=data,
        scale=scale,
        out=out,
        seed=values["seed"],
        data_root=None if values["data_root"] is None else Path(values["data_root"]),
        accelerator=values["accelerator"],
        devices=values["devices"],
        net=values["net"],
        radius=values["radius"],
        weights=values["weights"],
        study=name,
    )
    if values["overwrite"]:
        context.forget()
    result = run_study(name, context)
    facts = {"answer": result.answer}
    facts |= {f"caution {i}": warning for i, warning in enumerate(result.warnings, 1)}
    facts |= {"figures": str(context.folder / "figures"), "tables": str(context.folder / "tables")}
    summary(result.question, facts, [f"epslab report {shlex.quote(str(context.folder))}"])


def _parser() -> Parser:
    known = [(name, f"from {origin}" if (origin := STUDIES.origin(name)) else question(name)) for name in STUDIES]
    studies = "\n".join(f"  {name:<20}{about}" for name, about in known)
    parser = Parser(
        "study",
        "Answer one question: train what is needed, measure, write figures and tables. What was measured before with"
        f" the same settings is not measured again.\n\nstudies:\n{studies}",
        "epslab study beta --data digits --scale quick",
    )
    parser.add_argument("name", type=str, metavar="NAME", help="a study named above, or package.module:name")
    parser.add_class_arguments(Data)
    group = parser.add_argument_group("Study")
    group.add_argument(
        "--scale",
        type=str,
        default="quick",
        metavar="SCALE",
        help="quick: small nets and one training seed, about a minute; full: the course's settings, generative models"
        " with three training seeds that count up from --seed",
    )
    group.add_argument(
        "--out",
        type=str | None,
        metavar="DIR",
        help="folder of studies, which share the runs they train; without it runs/studies/DATA-SCALE",
    )
    group.add_argument(
        "--overwrite", action="store_true", help="measure again what was measured before; finished runs are kept"
    )
    _add_attacked(parser)
    add_machine(parser)
    return parser


def _add_attacked(parser: Parser) -> None:
    """The flags of classifiers under attack."""
    group = parser.add_argument_group("Classifiers under attack")
    group.add_argument(
        "--net",
        type=str | None,
        metavar="NET",
        help="small-cnn or resnet18; without it small-cnn at quick scale and the course's resnet18 at full scale (take"
        " small-cnn for full scale on a CPU)",
    )
    group.add_argument(
        "--radius",
        type=str | None,
        metavar="R",
        help="how far attacks may change a pixel of [0, 1], e.g. 0.1 or 8/255; without it 0.15 for digits, 0.2 for"
        " mnist, 0.1 for fashion-mnist, 2/255 (the course's) for cifar10 and other images",
    )
    group.add_argument(
        "--weights",
        type=str | None,
        metavar="FROM",
        help="run folder, file or URL of the given weights in `defence`; without it those of its undefended classifier",
    )
