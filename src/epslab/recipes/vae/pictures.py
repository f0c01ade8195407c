"""The pictures of a trained VAE."""

from collections.abc import Iterator

import torch
from jaxtyping import Float, Int
from matplotlib.figure import Figure
from torch import Tensor

from epslab import figures
from epslab.data import Examples, ImageSet
from epslab.evaluation.latents import LatentReport
from epslab.generative.vae import VAE, manifold
from epslab.nets.modes import evaluating
from epslab.runs import Run
from epslab.types import Images

_WALK = 9  # images along an interpolation or traversal
_CODES = 5000  # images in the scatter of codes


def draw_all(vae: VAE, run: Run, images: Examples, latents: LatentReport | None) -> None:
    """Reconstructions, the latent plane where there is one, interpolations, traversals; KL per dimension, always.

    A posterior that is a flow (no ``latents``) has reconstructions alone.
    """
    if isinstance(images, ImageSet):
        _draw_images(vae, run, images, latents)
    if latents is not None and latents.kl_per_dimension is not None:
        ordered = latents.kl_per_dimension.sort(descending=True).values.cpu()
        run.show(
            "kl-per-dimension",
            figures.bars(ordered, x_label="latent dimension, by KL", y_label="KL (nats)"),
            "What each latent dimension costs: KL from posterior to prior, averaged over the test examples.",
        )


def _draw_images(vae: VAE, run: Run, images: ImageSet, latents: LatentReport | None) -> None:
    device = next(vae.parameters()).device
    with torch.no_grad(), evaluating(vae):
        shown = images[:32].images.to(device)
        run.show(
            "reconstructions",
            figures.reconstructions(shown.cpu(), vae.reconstruct(shown).cpu()),
            "Test images above, what the model makes of their codes below.",
        )
        if latents is None:
            return
        if vae.latent_dim == 2:
            _draw_plane(vae, run, images[:_CODES], device)
        for name, figure, caption in _walks(vae, shown, latents):
            run.show(name, figure, caption)


def _draw_plane(vae: VAE, run: Run, images: ImageSet, device: torch.device) -> None:
    """The decoded latent plane, and where images lie in it."""
    quantiles = torch.special.ndtri(torch.tensor([(i + 0.5) / 20 for i in range(20)])).tolist()
    run.show(
        "manifold",
        figures.manifold(manifold(vae, 20).cpu(), quantiles=quantiles),
        "The latent plane: mean images decoded on a grid of normal quantiles, so each has the same prior mass.",
    )
    codes = [vae.encode(images[i : i + 500].images.to(device))[0].cpu() for i in range(0, len(images), 500)]
    run.show(
        "codes",
        figures.latent_scatter(torch.cat(codes), images.labels, images.classes),
        "Where test images lie in the latent plane (posterior means), by class.",
    )


def _walks(vae: VAE, images: Images, latents: LatentReport) -> Iterator[tuple[str, Figure, str]]:
    """Straight lines through latent space: from image to image, and along single coordinates."""
    yield (
        "interpolations",
        figures.strips(
            interpolations(vae, images[:12]).cpu(), columns=_WALK, ends="reconstructions of two images at the ends"
        ),
        "Straight lines in latent space between the codes of two test images, decoded.",
    )
    # The dimension whose mean moves most from image to image comes first.
    dimensions = latents.variance_of_means.argsort(descending=True)[: min(8, vae.latent_dim)].cpu()
    yield (
        "traversals",
        figures.strips(
            traversals(vae, images[:1], dimensions).cpu(),
            columns=_WALK,
            row_labels=[f"z{int(d) + 1}" for d in dimensions],
            ends="one latent coordinate from −3 to 3",
        ),
        "One image, one latent coordinate changed at a time; a row that stays the same is unused.",
    )


def interpolations(vae: VAE, images: Images) -> Float[Tensor, "steps c h w"]:
    """Decoded straight lines between the codes of consecutive pairs of images: [pairs·9 c h w], one pair per row."""
    mean = vae.encode(images)[0]
    start, end = mean[0::2], mean[1::2]
    weights = torch.linspace(0, 1, _WALK).to(mean)[None, :, None]
    z = start[:, None] * (1 - weights) + end[:, None] * weights  # [pairs 9 D]
    return vae.likelihood.mean(vae.decode(z.flatten(0, 1)))


def traversals(
    vae: VAE, image: Float[Tensor, "1 c h w"], dimensions: Int[Tensor, " k"]
) -> Float[Tensor, "steps c h w"]:
    """The image decoded again with one latent coordinate from −3 to 3: [k·9 c h w], one dimension per row."""
    mean = vae.encode(image)[0]
    z = mean.repeat(len(dimensions), _WALK, 1)  # [k 9 D]
    for row, dimension in enumerate(dimensions.tolist()):
        z[row, :, dimension] = torch.linspace(-3, 3, _WALK).to(mean)
    return vae.likelihood.mean(vae.decode(z.flatten(0, 1)))
