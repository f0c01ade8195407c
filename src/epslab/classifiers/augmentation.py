"""Random changes of images that keep their labels: mirror images, and shifts by a few pixels."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from epslab.errors import UserError
from epslab.seeds import uniform
from epslab.types import Images, Seeds


@dataclass(frozen=True)
class Augmentation:
    """Left–right mirror images and padded crops (Lee et al., 2015; He et al., 2016, section 4.2), drawn per example.

    A padded crop puts ``pad`` rows and columns of zeros around an image and cuts out the original size at a random
    place. This shifts the image by −pad..pad pixels along each axis, all shifts equally likely. Black is 0: augment
    before normalising.

    The change of an example depends on its seed alone, not on the batch, its order or its memory format.

    >>> augment = Augmentation(flip=True, pad=2)
    >>> augment(torch.rand(5, 3, 8, 8), torch.arange(5)).shape
    torch.Size([5, 3, 8, 8])

    Args:
        flip: Mirror left and right (along the width, the last axis) with probability ½.
        pad: Largest shift in pixels; 0 for none.

    Raises:
        UserError: A negative pad.
    """

    flip: bool = True
    pad: int = 4

    def __post_init__(self) -> None:
        if self.pad < 0:
            raise UserError(f"pad={self.pad}: the largest shift in pixels must be 0 or more.")

    def __call__(self, images: Images, seeds: Seeds) -> Images:
        """The changed images: a new tensor of the same shape and dtype, in channels_last."""
        n, c, h, w = images.shape
        tall, wide = h + 2 * self.pad, w + 2 * self.pad
        u = uniform(seeds, 0, (3,))
        # u·steps < steps also after rounding, and each value's probability is 1/steps within 2⁻²⁴.
        top, left = (u[:, :2] * (2 * self.pad + 1)).long().unbind(1)
        columns = torch.arange(w, device=images.device)
        if self.flip:
            columns = torch.where(u[:, 2:] < 0.5, w - 1 - columns, columns)
        # The pixel of the padded batch that each pixel comes from: a row [h] of each example, a column [w] of that row.
        rows = torch.arange(n, device=images.device)[:, None] * tall + top[:, None] + torch.arange(h, device=top.device)
        sources = rows[:, :, None] * wide + (left[:, None] + columns)[:, None, :]
        padded = F.pad(images, (self.pad,) * 4).permute(0, 2, 3, 1).reshape(-1, c)
        return padded.index_select(0, sources.flatten()).view(n, h, w, c).permute(0, 3, 1, 2)
