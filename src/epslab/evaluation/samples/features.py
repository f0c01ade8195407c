"""What samples are compared by: features of images, [n d]."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from epslab.errors import UserError
from epslab.evaluation.batches import tensor_like
from epslab.nets.modes import borrowed

Features = Callable[[Tensor], Tensor]
"""Images [n c h w] in [0, 1], or points [n d], to features [n d]. Its attribute ``name``, if it has one, is shown."""
_SIDE = 2  # positions along each side that a map of features keeps


class ClassifierFeatures(nn.Module):
    """What a classifier's last linear layer sees: images [n c h w] in [0, 1] to [n d].

    A map of features (what a ``Flatten`` before that layer takes) is averaged down to 2×2 positions, so that d stays
    small beside the number of samples.

    >>> from epslab.nets.small import small_cnn
    >>> features = ClassifierFeatures(small_cnn((1, 28, 28), width=8), "small-cnn of MNIST")
    >>> features.name, features(torch.rand(3, 1, 28, 28)).shape
    ('small-cnn of MNIST', torch.Size([3, 64]))

    Args:
        classifier: A module with a linear layer; the last one counts.
        name: What the features are of, for tables: a distance is a distance between *these* features.

    Raises:
        UserError: The classifier has no linear layer, or its forward pass does not come through it.
    """

    def __init__(self, classifier: nn.Module, name: str) -> None:
        super().__init__()
        leaves = [module for module in classifier.modules() if not [*module.children()]]
        places = [place for place, leaf in enumerate(leaves) if isinstance(leaf, nn.Linear)]
        if not places:
            raise UserError(
                f"{type(classifier).__name__} has no linear layer, whose input its features would be; give a function"
                " images -> features [n d]."
            )
        self.classifier = classifier
        self.name = name
        before = leaves[places[-1] - 1] if places[-1] else None
        self._layer = [before if isinstance(before, nn.Flatten) else leaves[places[-1]]]  # in a list: no submodule

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        """The features."""
        seen: list[Tensor] = []
        handle = self._layer[0].register_forward_pre_hook(lambda _, given: seen.append(given[0]))
        try:
            self.classifier(images)
        finally:
            handle.remove()
        if not seen:
            raise UserError(f"{self.name} never used its last linear layer; give a function images -> features [n d].")
        found = seen[-1]
        if found.ndim == 4:
            found = F.adaptive_avg_pool2d(found, (min(_SIDE, found.shape[2]), min(_SIDE, found.shape[3])))
        return found.flatten(1)


def pixels(images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
    """The pixel values themselves."""
    return images.flatten(1)


def coordinates(points: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    """The points themselves."""
    return points


def name_of(features: Features) -> str:
    """What a table calls these features."""
    name = getattr(features, "name", None) or getattr(features, "__name__", None)
    return str(name or type(features).__name__)


@torch.no_grad()
def extract(features: Features, examples: Float[Tensor, "n *shape"], batch_size: int) -> Float[Tensor, "n d"]:
    """Features of all examples in float64, a batch at a time, on the extractor's device; the extractor in eval mode.

    Raises:
        UserError: The extractor gives something else than one row for each example, or a value that is not finite.
    """
    like, parts = tensor_like(features, torch.empty(())), []
    with borrowed(features):
        for first in range(0, len(examples), batch_size):
            batch = examples[first : first + batch_size].to(like)
            found = features(batch)
            if not isinstance(found, Tensor) or found.ndim != 2 or len(found) != len(batch):
                shape = list(found.shape) if isinstance(found, Tensor) else type(found).__name__
                raise UserError(
                    f"The features of {len(batch)} examples are {shape}, but must be [{len(batch)}, d]: one row each."
                )
            parts.append(found.double())
    whole = torch.cat(parts)
    if not whole.isfinite().all():
        raise UserError(f"{name_of(features)} gives features that are NaN or infinite; give another extractor.")
    return whole
