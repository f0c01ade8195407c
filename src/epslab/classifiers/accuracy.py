"""The predictions of a classifier, and their accuracy."""

from itertools import chain

import torch
from torch import Tensor, nn

from epslab.arrays import ImagesLike, LabelsLike, as_images, as_labels, require_classes, require_images, require_labels
from epslab.classifiers.proportion import Proportion
from epslab.errors import UserError
from epslab.nets.answers import answer, require_model
from epslab.nets.modes import borrowed
from epslab.types import Classifier, Labels, Logits


def predict(model: Classifier, images: ImagesLike, batch_size: int = 256) -> Labels:
    """The class with the largest logit, int64 [n] on the images' device.

    Args:
        model: Images to logits. A module is used in eval mode, on its own device and in its own dtype, and given back
            as it was.
        images: [n c h w] in [0, 1], n ≥ 1; a numpy array is taken, too.
        batch_size: Images at a time.

    Raises:
        UserError: No images, or not in [0, 1]; a batch size below 1; a model whose output is not one row of logits per
            image, none of them NaN.

    >>> predict(nn.Flatten(), torch.tensor([0.1, 0.9, 0.4]).view(1, 1, 1, 3))
    tensor([1])
    """
    images = as_images(images)
    return logits(model, images, batch_size).argmax(1).to(images.device)


def accuracy(model: Classifier, images: ImagesLike, labels: LabelsLike, batch_size: int = 256) -> Proportion:
    """The fraction of images whose predicted class is their label; arguments as for ``predict``.

    >>> images = torch.tensor([[0.1, 0.9], [0.8, 0.2]]).view(2, 1, 1, 2)
    >>> print(accuracy(nn.Flatten(), images, torch.tensor([1, 1])))
    50.0 % [1.3, 98.7]

    Raises:
        UserError: As for ``predict``; labels that are not one per image, or outside the model's classes.
    """
    images, labels = as_images(images), as_labels(labels)
    require_labels(labels, len(images))
    values = logits(model, images, batch_size)
    require_classes(labels, values.shape[1])
    return Proportion.of(values.argmax(1) == labels.to(values.device))


@torch.no_grad()
def logits(model: Classifier, images: ImagesLike, batch_size: int = 256) -> Logits:
    """The model's logits [n classes], without gradients, on the model's device; arguments as for ``predict``.

    Raises:
        UserError: As for ``predict``.
    """
    require_model(model)
    images = as_images(images)
    require_images(images)
    if not isinstance(batch_size, int) or batch_size < 1:
        raise UserError(f"batch_size={batch_size!r}: it must be a whole number of at least 1.")
    own = chain(model.parameters(), model.buffers()) if isinstance(model, nn.Module) else ()
    like = next((tensor for tensor in own if tensor.is_floating_point()), images)
    with borrowed(model):
        return torch.cat([_checked(answer(model, x.to(like)), x) for x in torch.split(images, batch_size)])


def _checked(values: Tensor, images: Tensor) -> Tensor:
    if values.ndim != 2 or len(values) != len(images):
        raise UserError(
            f"The model gave {list(values.shape)} for {len(images)} images; a classifier gives logits [n classes]."
        )
    if values.isnan().any():
        raise UserError("The model gave logits that are NaN, which name no class; mend the model or its weights.")
    return values
