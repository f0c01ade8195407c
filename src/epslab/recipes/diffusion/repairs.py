"""Pictures of a trained diffusion model at work on test images: missing halves filled in, and walks between images."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from epslab import figures, seeds
from epslab.generative.diffusion import Diffusion, inpaint, interpolate
from epslab.generative.diffusion.sampling import in_time
from epslab.generative.samplers import linear_times, noise_of
from epslab.nets.modes import evaluating
from epslab.runs import Run
from epslab.types import Images

_ROWS = 4  # test images, and pairs of them
_DRAWS = 5  # completions of each
_WALK = 7  # images along an interpolation, between two test images
_STEPS = 50
_ROUNDS = 3  # of each step of inpainting
_GREY = 0.5  # what is missing


def draw_repairs(model: Diffusion, run: Run, images: Images, seed: int) -> None:
    """Inpainting and interpolation of test images, on the model's device."""
    g = seeds.generator(seed, "repairs")
    first = images[:_ROWS]
    missing = torch.arange(first.shape[2], device=images.device)[:, None] >= (first.shape[2] + 1) // 2
    mask = ~missing.expand(first.shape[1:])
    with torch.no_grad(), evaluating(model):
        drawn = completed(model, first, mask, seeds.draw(len(first) * _DRAWS, g, images.device))
        rows = torch.cat([first[:, None], torch.where(mask, first, _GREY)[:, None], drawn], 1)
        run.show(
            "inpainting",
            figures.strips(
                rows.flatten(0, 1).cpu(),
                columns=rows.shape[1],
                ends=f"image, what is given of it, {_DRAWS} completions",
            ),
            "Test images whose lower half is drawn again by the model, to fit the upper half.",
        )
        if len(images) < 2:
            return
        pairs = images[: 2 * _ROWS]
        a, b = pairs[0::2][: len(pairs) // 2], pairs[1::2]
        walks = torch.cat([a[:, None], between(model, a, b), b[:, None]], 1)
        run.show(
            "interpolations",
            figures.strips(walks.flatten(0, 1).cpu(), columns=walks.shape[1], ends="two test images at the ends"),
            "Walks between test images: both are encoded as noise by DDIM run backwards, and points on the great circle"
            " between their codes are decoded; next to each image stands what its own code gives.",
        )


def completed(
    model: Diffusion, images: Images, mask: Bool[Tensor, "c h w"], own: Int[Tensor, " seeds"]
) -> Float[Tensor, "n draws c h w"]:
    """As many completions of each image as there are seeds for it: the mask says where the image is known."""
    draws = len(own) // len(images)
    predict, predicts = in_time(model.predict, model.schedule, model.predicts)
    x_0 = inpaint(
        predict,
        model.schedule,
        model.inwards(images).repeat_interleave(draws, 0),
        mask,
        rounds=_ROUNDS,
        predicts=predicts,
        clip=True,
        times=linear_times(model.schedule, min(_STEPS, len(model.schedule))),
        noise=noise_of(own, model.shape),
    )
    return model.outwards(x_0).reshape(len(images), draws, *model.shape)


def between(model: Diffusion, a: Images, b: Images) -> Float[Tensor, "n steps c h w"]:
    """Walks from each image of a to that of b, decoded from points between their codes."""
    predict, predicts = in_time(model.predict, model.schedule, model.predicts)
    walks = interpolate(
        predict,
        model.schedule,
        model.inwards(a),
        model.inwards(b),
        torch.linspace(0, 1, _WALK).tolist(),
        steps=min(_STEPS, len(model.schedule)),
        predicts=predicts,
        clip=True,
    )
    return model.outwards(walks.flatten(0, 1)).reshape(_WALK, len(a), *model.shape).transpose(0, 1)
