"""From a classifier's settings to its parts: the net with the normalisation inside, and the augmentation."""

from pathlib import Path

import torch
from jaxtyping import Float64
from torch import Tensor

from epslab import seeds
from epslab.classifiers import Normalised
from epslab.classifiers.augmentation import Augmentation
from epslab.data import ImageSet
from epslab.nets.pretrained import load_pretrained
from epslab.recipes.classifier.settings import ClassifierRecipe
from epslab.runs import Run
from epslab.types import ImageShape


def build(settings: ClassifierRecipe, images: ImageSet, seed: int) -> Normalised:
    """The untrained classifier of images like these in [0, 1], normalised by mean and std of each channel.

    Both are saved with the weights.
    """
    with seeds.seeded(seed, "weights"):
        net = settings.net(images.image_shape, len(images.classes))
    return Normalised(net, *channel_statistics(images))


def channel_statistics(images: ImageSet) -> tuple[Float64[Tensor, " c"], Float64[Tensor, " c"]]:
    """Mean and standard deviation of each channel's pixels in [0, 1], exact; a channel of one value has deviation 1."""
    levels = torch.arange(256, dtype=torch.float64) / 255
    # Counted, so that no floating-point copy of the images is made.
    counts = torch.stack(
        [torch.bincount(channel.flatten(), minlength=256) for channel in images.pixels.unbind(1)]
    ).double()
    share = counts / counts.sum(1, keepdim=True)
    mean = share @ levels
    std = (share * (levels - mean[:, None]) ** 2).sum(1).sqrt()
    return mean, torch.where(std > 0, std, 1.0)


def augmentation(settings: ClassifierRecipe, image_shape: ImageShape) -> Augmentation | None:
    """Shifts by up to an eighth of the smaller side, and mirror images, as the settings say."""
    kind = settings.augmentation(image_shape)
    if kind == "none":
        return None
    return Augmentation(flip=kind == "flip-crop", pad=max(1, min(image_shape[1:]) // 8))


def start_from(settings: ClassifierRecipe, model: Normalised, source: str) -> None:
    """Put weights into the classifier: of a run, whose normalisation comes with them, or of a net from elsewhere.

    First and last layers that are for other images or classes stay as they were initialised.

    Args:
        settings: Say which layers those are.
        model: Changed in place.
        source: A run folder, or what ``load_pretrained`` takes: a file or a URL.

    Raises:
        UserError: It cannot be read, or is of another net.
    """
    if Path(source).is_dir():
        free = (*(f"net.{layer}" for layer in settings.free), "mean", "std")
        load_pretrained(model, Run.open(Path(source)).weights, free)
    else:
        load_pretrained(model.net, source, settings.free)
