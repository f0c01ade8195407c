"""Draw samples from a trained model into one picture."""

from collections.abc import Sequence

from epslab.cli.folders import writable_file
from epslab.cli.parsing import Parser, at_least
from epslab.cli.terminal import summary


def run(arguments: Sequence[str]) -> None:
    """Draw as the command line says, and print where the picture is.

    Raises:
        UserError: The run cannot be read, or the picture cannot be written; nothing has been written.
    """
    parser = Parser(
        "sample", "Draw samples from a trained model into one picture.", "epslab sample runs/vae-digits -n 64"
    )
    parser.add_argument("run", type=str, metavar="RUN", help="run folder")
    parser.add_argument("-n", type=int, default=64, metavar="N", help="samples")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of the draw: same seed, same samples")
    parser.add_argument("--means", action="store_true", help="show each image's mean instead of a draw of its pixels")
    parser.add_argument(
        "--out",
        type=str | None,
        metavar="FILE",
        help="PNG to write; without it samples-N.png, or means-N.png, among the run's figures",
    )
    values = parser.read(arguments)
    n, seed, means = values["n"], values["seed"], values["means"]
    at_least(1, n=n)

    from epslab import recipes
    from epslab.recipes.plan import picture
    from epslab.runs import Run, png

    opened = Run.open(values["run"])
    out = writable_file(values["out"] or opened.figures / f"{'means' if means else 'samples'}-{n}.png")
    drawing = picture(recipes.sample(opened, n, seed, means=means))

    from epslab.files import write_atomic

    if values["out"] is None:
        opened.show(out.stem, drawing, f"{'Means of' if means else ''} {n} samples, seed {seed}.".strip().capitalize())
    else:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(out, png(drawing))
    summary(
        f"Drew {'the means of ' if means else ''}{n} samples from {opened.folder}",
        {"picture": str(out), "seed": str(seed), "pixels": "the means of p(x given z)" if means else "drawn"},
    )
