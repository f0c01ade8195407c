"""Paths between two draws of z on which every point is a draw of z, too."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from epslab.errors import UserError
from epslab.types import Latents


def interpolate(start: Latents, end: Latents, steps: int = 9) -> Float[Tensor, "n steps d"]:
    """The quarter of an ellipse from each start to its end.

        z(t) = cos(πt/2)·z_0 + sin(πt/2)·z_1,    t = 0, 1/(steps−1), …, 1

    For independent z_0, z_1 ~ N(0, I) each z(t) is N(0, I), so a generator sees what it was trained on. The middle of a
    straight line, (z_0 + z_1)/2, has half the variance: in many dimensions it is shorter than any z of training.

    >>> z = torch.tensor([[1.0, 0.0]])
    >>> interpolate(z, torch.tensor([[0.0, 1.0]]), steps=3)
    tensor([[[1.0000, 0.0000],
             [0.7071, 0.7071],
             [0.0000, 1.0000]]])

    Args:
        start: z_0, [n D].
        end: z_1, [n D].
        steps: Points of a path, both ends included, 2 or more.

    Raises:
        UserError: Fewer than 2 steps.
    """
    if steps < 2:
        raise UserError(f"A path has both its ends, so `steps=` must be 2 or more, not {steps}.")
    t = torch.linspace(0, 1, steps, dtype=start.dtype, device=start.device)
    rise = torch.sin(0.5 * math.pi * t)[None, :, None]
    # Not cos(π/2), which is 4e-8 in float32: both ends are exact.
    fall = rise.flip(1)
    return fall * start[:, None] + rise * end[:, None]
