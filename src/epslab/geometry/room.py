"""How far each coordinate of a centre may move within a box."""

import torch
from torch import Tensor

from epslab.geometry.norm import Box


def room(centre: Tensor, direction: Tensor, box: Box | None) -> Tensor:
    """The way from the centre to the bound that each coordinate is headed for, float64; infinite without a box."""
    wide = centre.double()
    if box is None:
        return torch.full_like(wide, torch.inf)
    low, high = box
    return torch.where(direction > 0, high - wide, wide - low).clamp_min(0.0)


def within(points: Tensor, box: Box | None) -> Tensor:
    """The points clamped to the box."""
    if box is None:
        return points
    low, high = (bound.to(points) if isinstance(bound, Tensor) else bound for bound in box)
    return points.clamp(low, high)  # type: ignore[arg-type]


def part(box: Box | None, examples: Tensor | slice) -> Box | None:
    """The box of these examples; bounds that are numbers stay themselves."""
    if box is None:
        return None
    low, high = (bound[examples] if isinstance(bound, Tensor) else bound for bound in box)
    return low, high
