"""Measure a trained model: accuracy, likelihood, or what else its recipe measures."""

import shlex
from collections.abc import Sequence

from epslab.cli.flags import Images, add_model
from epslab.cli.parsing import Parser, positional, value_of
from epslab.cli.terminal import summary
from epslab.errors import UserError


def run(arguments: Sequence[str]) -> None:
    """Measure as the command line says, and print the numbers.

    Raises:
        UserError: The run or its data cannot be read, or a number asked for cannot be computed, and nothing was
            written; or the run's folder cannot be written, and the numbers were only printed.
    """
    from epslab import recipes
    from epslab.runs import Run

    parser = Parser(
        "evaluate",
        "Measure a trained model: numbers go to the run's result.json, pictures to its figures.\n\n"
        "Where the run's folder cannot be written, the numbers are printed only, and the exit code is 2.\n\n"
        "`epslab evaluate RUN --help` adds the options of the run's recipe.",
        "epslab evaluate runs/vae-digits --importance-samples 500\n  epslab evaluate runs/mine --model my_script:build",
    )
    parser.add_argument("run", type=str, metavar="RUN", help="run folder")
    parser.add_class_arguments(Images)
    add_model(parser)
    data = "with --model: a data set whose test images are measured (default: the one trained on, where it is known)"
    parser.add_argument("--data", type=str | None, metavar="NAME", help=data)
    named, model = positional(arguments), value_of("model", arguments)
    options = None if named is None else recipes.options_of(Run.open(named), model)
    if options is not None:
        parser.add_class_arguments(options)
    values = parser.read(arguments)

    from epslab.report.measured import in_words, leading

    measured = Run.open(values.pop("run"))
    found = recipes.measure(measured, **values, progress=True)
    facts = {one.name: f"{one.text}{f' ({one.note})' if one.note else ''}" for one in found.numbers.values()}
    for label, sentences in (("in words", found.measured.statements), ("caution", found.measured.warnings)):
        if sentences:
            facts[label] = " ".join(sentences)
    first = leading(found.measured)
    title = f"Measured {measured.folder}"
    if first is not None:
        title += f": {in_words(first, found.images, found.split, measured.examples)}"
    if found.unkept is not None:
        summary(title, facts)
        raise UserError(found.unkept)
    facts |= {"numbers": str(measured.folder / "result.json"), "pictures": str(measured.figures)}
    summary(title, facts, [f"epslab report {shlex.quote(str(measured.folder))}"])
