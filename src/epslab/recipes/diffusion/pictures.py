"""The pictures of a trained diffusion model."""

import torch
from jaxtyping import Float
from torch import Tensor

from epslab import figures, seeds
from epslab.data import ImageSet, PointSet
from epslab.generative.diffusion import Diffusion
from epslab.generative.samplers import ddim, linear_times, noise_of
from epslab.nets.modes import evaluating
from epslab.recipes.diffusion.repairs import draw_repairs
from epslab.runs import Run
from epslab.types import Images, Seeds

_ROWS = 8  # test images that noise is added to
_CHAINS = 4  # samples that are followed
_COLUMNS = 9  # times
_STEPS = 49  # of the sampler: every sixth is shown


def draw_all(model: Diffusion, run: Run, examples: ImageSet | PointSet, seed: int) -> None:
    """How noise grows on test images, how samples come out of it, and what the model makes of images."""
    if not isinstance(examples, ImageSet):
        return
    device, g = model.centre.device, seeds.generator(seed, "chains")
    draw_repairs(model, run, examples[:_ROWS].images.to(device), seed)
    if model.predicts == "flow":
        return
    images = examples[:_ROWS].images.to(device)
    with torch.no_grad(), evaluating(model):
        run.show(
            "noising",
            figures.strips(
                noised(model, images, seeds.draw(len(images), g, device)).cpu(),
                columns=_COLUMNS,
                ends=f"the image, then x_t from early times to t = {len(model.schedule) - 1}",
            ),
            "Test images, and what is left of them as noise is added.",
        )
        chains = denoised(model, seeds.draw(_CHAINS, g, device)).cpu()
        run.show(
            "denoising",
            figures.strips(
                chains, columns=_COLUMNS, row_labels=["x_t", "x̂"] * _CHAINS, ends="from noise to the sample (DDIM)"
            ),
            "Samples on their way from noise: x_t, and below it x̂, the image that the net expects in it.",
        )


def noised(model: Diffusion, images: Images, own: Seeds) -> Float[Tensor, "steps c h w"]:
    """Each image and what noise makes of it at 8 times: [n·9 c h w], one image per row."""
    x_0 = model.inwards(images)
    eps = next(noise_of(own, model.shape, x_0.dtype))
    times = torch.linspace(0, len(model.schedule) - 1, _COLUMNS)[1:].round().long()
    x_t = [model.noisy(x_0, t.repeat(len(x_0)).to(x_0.device), eps) for t in times]
    return torch.stack([images, *(model.outwards(x) for x in x_t)], dim=1).flatten(0, 1)


def denoised(model: Diffusion, own: Seeds) -> Float[Tensor, "steps c h w"]:
    """Two rows for each sample: x_t at 9 times on its way, and the estimates of x_0 there."""
    seen: list[tuple[Tensor, Tensor]] = []
    times = linear_times(model.schedule, min(_STEPS, len(model.schedule)))

    def predict(x_t: Tensor, t: Tensor) -> Tensor:
        seen.append((x_t, model.clean(x_t, t)))
        return seen[-1][1]

    draws = noise_of(own, model.shape)
    ddim(predict, model.schedule, (len(own), *model.shape), start=next(draws), times=times, predicts="image")
    shown = torch.linspace(0, len(seen) - 1, _COLUMNS).round().long().tolist()
    rows = [torch.stack([model.outwards(seen[i][row]) for i in shown], dim=1) for row in (0, 1)]
    return torch.stack(rows, dim=1).flatten(0, 2)
