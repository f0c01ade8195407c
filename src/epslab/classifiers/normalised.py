"""Normalisation as a layer, so that a classifier takes images in [0, 1] and a radius is always in pixel units."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from epslab.errors import UserError
from epslab.nets.answers import LogitsOf, answer, require_model
from epslab.types import Images, Logits


class Normalised(nn.Module):
    """net((x − mean)/std): a net that was trained on normalised images, as a classifier of images in [0, 1].

    Mean and standard deviation are buffers: they move with the module (device, dtype) and are saved with its weights.
    Weights of the net alone load into ``.net`` under their own names.

    >>> net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 10))
    >>> model = Normalised(net, mean=(0.491, 0.482, 0.447), std=(0.247, 0.243, 0.262))
    >>> model(torch.rand(5, 3, 32, 32)).shape
    torch.Size([5, 10])

    Args:
        net: Normalised images to logits; a module, or any function.
        mean: One per channel, or one for all: a number, a sequence of numbers or a tensor [channels].
        std: Likewise, > 0.

    Raises:
        UserError: No net; a mean that is not finite, a standard deviation that is not positive, or numbers for
            different channels; on a call, images with another number of channels.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        net: Callable[[Tensor], Any],
        mean: float | Sequence[float] | Tensor,
        std: float | Sequence[float] | Tensor,
    ) -> None:
        require_model(net)
        super().__init__()
        means, stds = (torch.as_tensor(value, dtype=torch.get_default_dtype()).flatten() for value in (mean, std))
        if not len(means) or not len(stds) or (len(means) != len(stds) and 1 not in (len(means), len(stds))):
            raise UserError(f"mean has {len(means)} channels and std {len(stds)}: give one number per channel to both.")
        if not means.isfinite().all():
            raise UserError(f"mean is {means.tolist()}: every channel's mean must be a finite number.")
        if not (stds.isfinite() & (stds > 0)).all():
            raise UserError(f"std is {stds.tolist()}: every channel's standard deviation must be positive and finite.")
        self.net: nn.Module = net if isinstance(net, nn.Module) else LogitsOf(net)
        like = next((tensor for tensor in self.net.parameters() if tensor.is_floating_point()), means)
        self.register_buffer("mean", means.clone().to(like).view(-1, 1, 1))
        self.register_buffer("std", stds.clone().to(like).view(-1, 1, 1))

    def forward(self, images: Images) -> Logits:
        """Logits of images in [0, 1]."""
        channels = max(len(self.mean), len(self.std))
        if channels not in (1, images.shape[1]):
            raise UserError(f"The normalisation is for images of {channels} channels, but was given {images.shape[1]}.")
        return answer(self.net, (images - self.mean) / self.std)
