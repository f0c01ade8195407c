"""The pictures a trained VAE is looked at with, each a PNG in the run's figures folder."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from epslab import figures, seeds
from epslab.data import ImageSet
from epslab.evaluation.latents import LatentReport
from epslab.files import write_atomic
from epslab.generative.vae import VAE, manifold
from epslab.nets.modes import evaluating
from epslab.runs import Run, png
from epslab.types import Images

_WALK = 9  # images along an interpolation or traversal


def draw_samples(vae: VAE, run: Run, epoch: int, seed: int, n: int = 100) -> None:
    """A grid of draws after so many epochs, with the same noise at every epoch."""
    grid = figures.image_grid(vae.sample(n, seeds.generator(seed, "samples")).cpu(), columns=10)
    write_atomic(run.figures / f"samples-epoch-{epoch:04d}.png", png(grid))


def draw_all(vae: VAE, run: Run, images: ImageSet, latents: LatentReport) -> None:
    """Reconstructions, interpolations, traversals, KL per dimension; in two latent dimensions manifold and codes."""
    device = next(vae.parameters()).device
    with torch.no_grad(), evaluating(vae):
        shown = images[:32].images.to(device)
        made = {
            "reconstructions": figures.reconstructions(shown.cpu(), vae.reconstruct(shown).cpu()),
            "interpolations": figures.strips(
                interpolations(vae, shown[:12]).cpu(), columns=_WALK, ends="reconstructions of two images at the ends"
            ),
        }
        order = _most_used(latents, vae.latent_dim)[:8]
        made["traversals"] = figures.strips(
            traversals(vae, shown[:1], order).cpu(),
            columns=_WALK,
            row_labels=[f"z{int(d) + 1}" for d in order],
            ends="one latent coordinate from −3 to 3",
        )
        if latents.kl_per_dimension is not None:
            made["kl-per-dimension"] = figures.bars(
                latents.kl_per_dimension.sort(descending=True).values.cpu(),
                x_label="latent dimension, by KL",
                y_label="KL (nats)",
            )
        if vae.latent_dim == 2:
            steps = [(i + 0.5) / 20 for i in range(20)]
            quantiles = torch.special.ndtri(torch.tensor(steps)).tolist()
            made["manifold"] = figures.manifold(manifold(vae, 20).cpu(), quantiles=quantiles)
            scattered = images[:5000]
            codes = torch.cat(
                [vae.encode(scattered[i : i + 500].images.to(device))[0].cpu() for i in range(0, len(scattered), 500)]
            )
            made["codes"] = figures.latent_scatter(codes, scattered.labels, scattered.classes)
    for name, figure in made.items():
        write_atomic(run.figures / f"{name}.png", png(figure))


def interpolations(vae: VAE, images: Images) -> Float[Tensor, "steps c h w"]:
    """Decoded straight lines between the codes of consecutive pairs of images: [pairs·9 c h w], a pair a row."""
    mean = vae.encode(images)[0]
    start, end = mean[0::2], mean[1::2]
    weights = torch.linspace(0, 1, _WALK).to(mean)[None, :, None]
    z = start[:, None] * (1 - weights) + end[:, None] * weights  # [pairs 9 D]
    return vae.likelihood.mean(vae.decode(z.flatten(0, 1)))


def traversals(
    vae: VAE, image: Float[Tensor, "1 c h w"], dimensions: Int[Tensor, " k"]
) -> Float[Tensor, "steps c h w"]:
    """The image decoded again with one latent coordinate from −3 to 3: [k·9 c h w], a dimension a row."""
    mean = vae.encode(image)[0]
    z = mean.repeat(len(dimensions), _WALK, 1)  # [k 9 D]
    for row, dimension in enumerate(dimensions.tolist()):
        z[row, :, dimension] = torch.linspace(-3, 3, _WALK).to(mean)
    return vae.likelihood.mean(vae.decode(z.flatten(0, 1)))


def _most_used(latents: LatentReport, latent_dim: int) -> Int[Tensor, " d"]:
    """Latent dimensions, the one whose mean moves most from image to image first."""
    return latents.variance_of_means.argsort(descending=True)[:latent_dim].cpu()
