"""The pictures of a trained GAN: paths through the latent space, the classes of its samples, points beside the data."""

from jaxtyping import Float
from torch import Tensor

from epslab import figures, seeds
from epslab.data import ImageSet, PointSet
from epslab.evaluation.collapse import CollapseReport
from epslab.generative.gan import Implicit
from epslab.generative.interpolation import interpolate
from epslab.runs import Run

_ROWS, _STEPS = 8, 9
_POINTS = 1000


def paths(model: Implicit, seed: int, rows: int = _ROWS, steps: int = _STEPS) -> Float[Tensor, "images c h w"]:
    """Samples along paths between draws of z, [rows·steps c h w], one path per row."""
    start, end = model.sample_latents(2 * rows, seeds.generator(seed, "interpolation")).chunk(2)
    return model.generate(interpolate(start, end, steps).flatten(0, 1)).cpu()


def draw_all(model: Implicit, run: Run, images: ImageSet | PointSet, seed: int) -> None:
    """For images, paths through the latent space; for points of two dimensions and more, the plane of the first two."""
    if isinstance(images, ImageSet):
        run.show(
            "interpolation",
            figures.strips(paths(model, seed), columns=_STEPS, ends="two samples at the ends of each row"),
            "Paths between two draws of z on which every point is as likely as its ends, through the generator: where"
            " the change is gradual, the model has not just learnt single images by heart.",
        )
    elif images.shape[0] > 1:
        drawn = model.sample(min(len(images), _POINTS), seeds.generator(seed, "points")).cpu()
        panels = {"data": images.points[:_POINTS, :2], "samples": drawn[:, :2]}
        run.show("plane", figures.planes(panels), "Held-out points, and as many samples of the generator.")


def draw_classes(report: CollapseReport, run: Run) -> None:
    """The classes' shares of the samples, where there are classes."""
    if report.counts is None or report.shares is None:
        return
    relative = report.counts / report.samples / report.shares
    run.show(
        "classes",
        figures.bars(
            relative, labels=report.classes, x_label="class", y_label="relative frequency",
            threshold=("as often as in the data", 1.0),
        ),
        "How often samples show each class, relative to the data. A sample has its nearest training example's class.",
    )  # fmt: skip
