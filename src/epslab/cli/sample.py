"""Draw samples from a trained model into one picture, or any number of them into a file."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from epslab.cli.flags import add_model
from epslab.cli.parsing import Parser
from epslab.cli.terminal import summary
from epslab.errors import UserError
from epslab.files import ARRAY, PICTURE, check_output
from epslab.recipes.checks import at_least

if TYPE_CHECKING:
    from epslab.runs import Run

_PICTURED = 10_000  # samples in a picture, at most


def run(arguments: Sequence[str]) -> None:
    """Draw as the command line says, and print where the samples are.

    Raises:
        UserError: The run cannot be read, or the file cannot be written; nothing has been written.
    """
    values = _parser().read(arguments)
    n = values["n"]
    at_least(1, n=n)

    from epslab.runs import Run

    opened = Run.open(values["run"])
    out = None if values["out"] is None else check_output(values["out"], (*PICTURE, *ARRAY))
    if n > _PICTURED and (out is None or out.suffix.lower() not in ARRAY):
        raise UserError(
            f"A picture shows at most {_PICTURED:,} samples, not {n:,}; give --out a file that ends in .npy, which"
            " holds any number."
        )
    what = f"the means of {n:,} samples" if values["means"] else f"{n:,} samples"
    caption = f"{what[0].upper()}{what[1:]}, seed {values['seed']}."
    facts = _draw(opened, out, n, values["seed"], values["means"], values["model"], caption)
    pixels = "the means of p(x given z)" if values["means"] else "drawn"
    summary(f"Drew {what} from {opened.folder}", {**facts, "seed": str(values["seed"]), "pixels": pixels})


def _draw(
    run: "Run", out: Path | None, n: int, seed: int, means: bool, model: str | None, caption: str
) -> dict[str, str]:
    """Draw into a file, or into a picture among the run's own: what it is, and where."""
    from epslab import recipes
    from epslab.files import write_atomic
    from epslab.recipes.plan import picture
    from epslab.runs import number, png

    if out is not None and out.suffix.lower() in ARRAY:
        recipes.write_samples(run, n, out, seed, means=means, progress=True, model=model)
        return {"array": f"{out} ({number(out.stat().st_size / 1e6)} MB; numpy.load reads it)"}
    drawing = picture(recipes.sample(run, n, seed, means=means, progress=True, model=model))
    if out is None:
        name = f"{'means' if means else 'samples'}-{n}"
        with run.bound({"weights": run.weights_hash()}):
            run.show(name, drawing, caption)
        return {"picture": str(run.figures / f"{name}.png")}
    out.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(out, png(drawing))
    return {"picture": str(out)}


def _parser() -> Parser:
    parser = Parser(
        "sample",
        "Draw samples from a trained model: into one picture, or any number of them into a file of numbers.",
        "epslab sample runs/vae-digits -n 64\n  epslab sample runs/vae-digits -n 50000 --out samples.npy",
    )
    parser.add_argument("run", type=str, metavar="RUN", help="run folder")
    add_model(parser)
    parser.add_argument("-n", type=int, default=64, metavar="N", help="number of samples")
    parser.add_argument("--seed", type=int, default=0, help="seed of the draw; the same seed gives the same samples")
    parser.add_argument("--means", action="store_true", help="show the mean of each image, not a draw of its pixels")
    help_of_out = (
        f"a .png picture of at most {_PICTURED:,} samples, or a .npy file of any number: images as bytes, [n c h w]"
        " (default: samples-N.png or means-N.png among the run's figures)"
    )
    parser.add_argument("--out", type=str | None, metavar="FILE", help=help_of_out)
    return parser
