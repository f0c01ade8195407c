"""Measure a trained model as its recipe does: accuracy, likelihood, whatever the recipe's own numbers are."""

import shlex
from collections.abc import Sequence

from epslab.cli.parsing import Parser, at_least, positional
from epslab.cli.terminal import summary
from epslab.errors import unknown

_SPLITS = ("test", "validation")


def run(arguments: Sequence[str]) -> None:
    """Measure as the command line says, and print the numbers.

    Raises:
        UserError: The run or its data cannot be read, or a number asked for cannot be computed; nothing was written.
    """
    from epslab import recipes
    from epslab.report import headline
    from epslab.runs import Run

    named = positional(arguments)
    settings = None if named is None else recipes.settings_class(Run.open(named))
    parser = _parser()
    if settings is not None and settings.options is not None:
        parser.add_class_arguments(settings.options)
    values = parser.read(arguments)
    if values["split"] not in _SPLITS:
        raise unknown("split", values["split"], _SPLITS)
    at_least(1, limit=values["limit"], batch_size=values["batch_size"])

    measured = Run.open(values.pop("run"))
    found = recipes.evaluate(measured, **values, progress=True)
    result = measured.result()
    facts = {number.name: f"{number.text}{f' ({number.note})' if number.note else ''}" for number in found.values()}
    facts |= {
        label: " ".join(result[key])
        for label, key in (("in words", "statements"), ("caution", "warnings"))
        if result.get(key)
    }
    facts |= {"numbers": str(measured.folder / "result.json"), "pictures": str(measured.figures)}
    summary(
        f"Measured {measured.folder}: {headline(measured)}",
        facts,
        [f"epslab report {shlex.quote(str(measured.folder))}"],
    )


def _parser() -> Parser:
    parser = Parser(
        "evaluate",
        "Measure a trained model; numbers go to the run's result.json, pictures to its figures."
        "\n\n`epslab evaluate RUN --help` adds what its recipe can be asked for.",
        "epslab evaluate runs/vae-digits --importance-samples 500",
    )
    parser.add_argument("run", type=str, metavar="RUN", help="run folder")
    group = parser.add_argument_group("images")
    group.add_argument("--split", type=str, default="test", metavar="SPLIT", help="test or validation images")
    group.add_argument(
        "--limit", type=int | None, metavar="N", help="measure N images, drawn by the seed; all without it"
    )
    group.add_argument(
        "--data_root", type=str | None, metavar="DIR", help="where data sets lie, if elsewhere than in training"
    )
    group = parser.add_argument_group("computation")
    group.add_argument(
        "--batch_size", type=int, default=256, metavar="N", help="images at a time: speed and memory only"
    )
    group.add_argument("--seed", type=int, default=0, metavar="S", help="of all draws: same seed, same numbers")
    return parser
