"""Binarisation: by threshold, by one fixed draw, or by a fresh draw every epoch.

Likelihoods of the three are not comparable. Salakhutdinov & Murray (2008) train on draws with the intensities as
probabilities; "static" keeps one such draw, "dynamic" draws again each time an image is used.
"""

from dataclasses import replace

import torch

from epslab.data.imageset import ImageSet
from epslab.errors import UserError, unknown
from epslab.seeds import of_indices, uniform
from epslab.types import Images, Seeds

_CHUNK = 4096


def binarise(image_set: ImageSet, how: str, seed: int = 0) -> ImageSet:
    """The set with pixels 0 and 255 only.

    >>> from epslab.data import binarise, load
    >>> binarise(load("digits"), "threshold").pixels.unique()
    tensor([  0, 255], dtype=torch.uint8)

    Args:
        image_set: Grey or colour images.
        how: ``"threshold"``: 255 where the intensity is at least ½ (pixel ≥ 128). ``"static"``: one Bernoulli draw,
            with the intensity as the probability of 255.
        seed: Of the static draw, which depends on it and on the image's index.

    Raises:
        UserError: Another ``how``. A fresh draw per epoch (``"dynamic"``) cannot be stored: the objective makes it.
    """
    if how == "threshold":
        return replace(image_set, pixels=(image_set.pixels >= 128).to(torch.uint8) * 255)
    if how == "dynamic":
        raise UserError(
            "A 'dynamic' binarisation is a fresh draw every epoch and cannot be stored in an image set: leave the set"
            " as it is and draw in the objective (bernoulli_draw), or choose 'static' or 'threshold'."
        )
    if how != "static":
        raise unknown("binarisation", how, ("threshold", "static", "dynamic"))
    pixels = torch.empty_like(image_set.pixels)
    # In chunks: noise takes many times the memory of pixels.
    for start in range(0, len(image_set), _CHUNK):
        part = image_set[start : start + _CHUNK]
        indices = torch.arange(start, start + len(part), device=pixels.device)
        draws = bernoulli_draw(part.images, of_indices(seed, indices, "binarise"))
        pixels[start : start + _CHUNK] = draws.to(torch.uint8) * 255
    return replace(image_set, pixels=pixels)


def bernoulli_draw(images: Images, seeds: Seeds) -> Images:
    """One draw of every pixel, 0 or 1, with its intensity as the probability of 1.

    >>> bernoulli_draw(torch.tensor([0.0, 1.0]).view(1, 1, 1, 2), torch.tensor([7])).flatten()
    tensor([0., 1.])

    Args:
        images: [n c h w] in [0, 1]; 0 is never and 1 always drawn as 1.
        seeds: One seed per image, [n]; the draw is a function of the image and its seed alone.
    """
    u = uniform(seeds.to(images.device), 0, tuple(images.shape[1:]), images.dtype)
    return (u < images).to(images.dtype)
