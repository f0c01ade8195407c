"""Draw images from a trained model into one picture."""

from collections.abc import Sequence

from epslab.cli.folders import writable_file
from epslab.cli.parsing import Parser, at_least
from epslab.cli.terminal import summary
from epslab.errors import UserError


def run(arguments: Sequence[str]) -> None:
    """Draw as the command line says, and print where the picture is.

    Raises:
        UserError: The run cannot be read, or the picture cannot be written; nothing has been written.
    """
    parser = Parser(
        "sample", "Draw images from a trained model into one picture.", "epslab sample runs/vae-digits -n 64"
    )
    parser.add_argument("run", type=str, metavar="RUN", help="run folder")
    parser.add_argument("-n", type=int, default=64, metavar="N", help="images")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of the draw: same seed, same images")
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
    from epslab.runs import Run

    opened = Run.open(values["run"])
    recipe = recipes.recipe_of(opened)
    if "sample" not in recipe.verbs:
        raise UserError(
            f"'{opened.folder}' is a '{recipe.name}' run, a classifier, which has no images to draw; try"
            f" `epslab evaluate {opened.folder}`."
        )
    out = writable_file(values["out"] or opened.figures / f"{'means' if means else 'samples'}-{n}.png")
    model = recipes.load(opened)

    from epslab import figures, seeds
    from epslab.files import write_atomic

    generator = seeds.generator(seed, "samples")
    images = model.sample_means(n, generator) if means else model.sample(n, generator)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(out, figures.png(figures.image_grid(images)))
    summary(
        f"{'Means of' if means else 'Drew'} {n} images from {opened.folder}",
        {"picture": str(out), "seed": str(seed), "pixels": "the means of p(x given z)" if means else "drawn"},
    )
