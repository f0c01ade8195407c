"""Measure a trained model: accuracy, likelihood, or what else its recipe measures."""

import shlex
from collections.abc import Sequence

from epslab.cli.flags import Images
from epslab.cli.parsing import Parser, positional
from epslab.cli.terminal import summary


def run(arguments: Sequence[str]) -> None:
    """Measure as the command line says, and print the numbers.

    Raises:
        UserError: The run or its data cannot be read, or a number asked for cannot be computed; nothing was written.
    """
    from epslab import recipes
    from epslab.runs import Run

    parser = Parser(
        "evaluate",
        "Measure a trained model: numbers go to the run's result.json, pictures to its figures.\n\n"
        "`epslab evaluate RUN --help` adds the options of the run's recipe.",
        "epslab evaluate runs/vae-digits --importance-samples 500",
    )
    parser.add_argument("run", type=str, metavar="RUN", help="run folder")
    parser.add_class_arguments(Images)
    named = positional(arguments)
    options = None if named is None else recipes.settings_class(Run.open(named)).options
    if options is not None:
        parser.add_class_arguments(options)
    values = parser.read(arguments)

    from epslab.report import headline

    measured = Run.open(values.pop("run"))
    found = recipes.evaluate(measured, **values, progress=True)
    result = measured.result()
    facts = {number.name: f"{number.text}{f' ({number.note})' if number.note else ''}" for number in found.values()}
    for label, key in (("in words", "statements"), ("caution", "warnings")):
        if result.get(key):
            facts[label] = " ".join(result[key])
    facts |= {"numbers": str(measured.folder / "result.json"), "pictures": str(measured.figures)}
    summary(
        f"Measured {measured.folder}: {headline(measured)}",
        facts,
        [f"epslab report {shlex.quote(str(measured.folder))}"],
    )
