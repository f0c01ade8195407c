"""Measure a trained model: accuracy and calibration, or likelihood bounds and latent space."""

from collections.abc import Sequence

from epslab.cli.parsing import Parser, at_least
from epslab.cli.terminal import summary
from epslab.errors import unknown

_SPLITS = ("test", "validation")


def run(arguments: Sequence[str]) -> None:
    """Measure as the command line says, and print the numbers.

    Raises:
        UserError: The run or its data cannot be read, or a number asked for cannot be computed; nothing was written.
    """
    parser = Parser(
        "evaluate",
        "Measure a trained model; numbers go to the run's result.json, pictures to its figures.",
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
    group = parser.add_argument_group("estimates, of a generative model only")
    group.add_argument(
        "--samples", type=int | None, metavar="N", help="draws of z an image for the ELBO; one without it"
    )
    group.add_argument(
        "--importance_samples",
        type=int | None,
        metavar="K",
        help="draws of z an image for the importance-weighted bound; not computed without it",
    )
    group.add_argument(
        "--prior_samples",
        type=int | None,
        metavar="L",
        help="draws of z an image for prior Monte Carlo; not computed without it",
    )
    group = parser.add_argument_group("computation")
    group.add_argument(
        "--batch_size", type=int, default=256, metavar="N", help="images at a time: speed and memory only"
    )
    group.add_argument("--seed", type=int, default=0, metavar="S", help="of all draws: same seed, same numbers")
    values = parser.read(arguments)
    split = values["split"]
    if split not in _SPLITS:
        raise unknown("split", split, _SPLITS)
    counts = ("limit", "samples", "importance_samples", "prior_samples", "batch_size")
    at_least(1, **{name: values[name] for name in counts})

    from epslab import recipes
    from epslab.report import headline
    from epslab.runs import Run

    run = Run.open(values.pop("run"))
    recipes.evaluate(run, **values, progress=True)
    measured = run.measured()
    facts = {one.name: one.text for one in measured.measurements}
    facts |= {f"note {i}": said for i, said in enumerate([*measured.statements, *measured.warnings], start=1)}
    facts |= {"numbers": str(run.folder / "result.json"), "pictures": str(run.figures)}
    summary(f"Measured {run.folder}: {headline(run)}", facts, [f"epslab report {run.folder}"])
