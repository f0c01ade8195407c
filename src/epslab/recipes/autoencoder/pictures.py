"""Pictures of an autoencoder: reconstructions, the plane of codes, straight lines between codes."""

import torch
from torch import Tensor

from epslab import figures
from epslab.data import ImageSet, PointSet
from epslab.evaluation.batches import batches
from epslab.generative.autoencoder import Autoencoder
from epslab.nets.modes import evaluating
from epslab.runs import Run

_WALK = 9  # images along an interpolation
_CODES = 5000  # examples in the scatter of codes


def draw_reconstructions(model: Autoencoder, run: Run, images: ImageSet | PointSet, epoch: int) -> None:
    """Training images and their reconstructions after this epoch; nothing for points."""
    if isinstance(images, PointSet):
        return
    when = f"after epoch {epoch}" if epoch else "before training"
    shown, made = _reconstructed(model, images)
    run.show(
        f"reconstructions-epoch-{epoch:04d}",
        figures.reconstructions(shown, made),
        f"Training images above, their reconstructions {when} below.",
        order=float(epoch),
    )


def draw_all(model: Autoencoder, run: Run, images: ImageSet | PointSet) -> None:
    """Test images reconstructed, the plane of codes where there is one, interpolations."""
    codes = _codes(model, images[:_CODES])
    if codes.shape[1] == 2:
        classes = images.classes if isinstance(images, ImageSet) else ("points",)
        labels = images.labels if isinstance(images, ImageSet) else None
        run.show(
            "codes",
            figures.latent_scatter(
                codes, torch.zeros(len(codes), dtype=torch.int64) if labels is None else labels[:_CODES], classes
            ),
            "Where test examples lie in the plane of codes, by class.",
        )
    if isinstance(images, PointSet):
        return
    run.show(
        "reconstructions",
        figures.reconstructions(*_reconstructed(model, images[:32])),
        "Test images above, their reconstructions below.",
    )
    run.show(
        "interpolations",
        figures.strips(interpolations(model, codes[:12]), columns=_WALK, ends="reconstructions of two images"),
        "Straight lines between the codes of two test images, decoded.",
    )


def interpolations(model: Autoencoder, codes: Tensor) -> Tensor:
    """Decoded straight lines between consecutive pairs of codes: [pairs·9 c h w], one pair a row."""
    start, end = codes[0 : len(codes) - 1 : 2, None], codes[1::2, None]
    weights = torch.linspace(0, 1, _WALK)[:, None]
    z = (start * (1 - weights) + end * weights).flatten(0, 1)
    with torch.no_grad(), evaluating(model):
        return model.decode(z.to(next(model.parameters()))).float().cpu()


def _codes(model: Autoencoder, images: ImageSet | PointSet) -> Tensor:
    with torch.no_grad(), evaluating(model):
        return torch.cat([model.encode(x).float().cpu() for x, _ in batches(model, images, 500, 0)])


def _reconstructed(model: Autoencoder, images: ImageSet) -> tuple[Tensor, Tensor]:
    """Images and what the model makes of them."""
    x, _ = next(batches(model, images, len(images), 0))
    with torch.no_grad(), evaluating(model):
        return x.float().cpu(), model.reconstruct(x).float().cpu()
