"""Draw samples from a trained model into one picture."""

from collections.abc import Sequence

from epslab.cli.parsing import Parser
from epslab.cli.terminal import summary
from epslab.recipes.checks import at_least


def run(arguments: Sequence[str]) -> None:
    """Draw as the command line says, and print where the picture is.

    Raises:
        UserError: The run cannot be read, or the picture cannot be written; nothing has been written.
    """
    parser = Parser(
        "sample", "Draw samples from a trained model into one picture.", "epslab sample runs/vae-digits -n 64"
    )
    parser.add_argument("run", type=str, metavar="RUN", help="run folder")
    parser.add_argument("-n", type=int, default=64, metavar="N", help="number of samples")
    parser.add_argument("--seed", type=int, default=0, help="seed of the draw; the same seed gives the same samples")
    parser.add_argument("--means", action="store_true", help="show the mean of each image, not a draw of its pixels")
    picture_file = "PNG to write (default: samples-N.png or means-N.png among the run's figures)"
    parser.add_argument("--out", type=str | None, metavar="FILE", help=picture_file)
    values = parser.read(arguments)
    n, seed, means = values["n"], values["seed"], values["means"]
    at_least(1, n=n)

    from epslab import recipes
    from epslab.files import PICTURE, check_output, write_atomic
    from epslab.recipes.plan import picture
    from epslab.runs import Run, png

    opened = Run.open(values["run"])
    what = "means" if means else "samples"
    # Without --out the picture is one of the run's own, noted in their index.
    out = opened.figures / f"{what}-{n}.png" if values["out"] is None else check_output(values["out"], PICTURE)
    drawing = picture(recipes.sample(opened, n, seed, means=means))
    drawn = f"the means of {n} samples" if means else f"{n} samples"
    if values["out"] is None:
        opened.show(out.stem, drawing, f"{drawn[0].upper()}{drawn[1:]}, seed {seed}.")
    else:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(out, png(drawing))
    pixels = "the means of p(x given z)" if means else "drawn"
    summary(f"Drew {drawn} from {opened.folder}", {"picture": str(out), "seed": str(seed), "pixels": pixels})
