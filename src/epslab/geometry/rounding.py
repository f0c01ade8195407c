"""Lengths in float64, and points rounded to their own type so that they never leave a ball."""

import torch
from torch import Tensor

MARGIN = 1e-12
"""The share of a radius by which a point on the sphere is put inside, so that sums over pixels may be rounded."""
INSIDE = 1.0 - MARGIN
TINY = torch.finfo(torch.float64).tiny


def placed(centre: Tensor, delta: Tensor) -> Tensor:
    """The points c + δ in the centre's type, rounded so that no coordinate is further than |δ| from c in float64."""
    wide = centre.double()
    points = (wide + delta).to(centre.dtype)
    further = torch.sub(points.double(), wide).abs_() > delta.abs()
    return torch.where(further, _one_step(points, centre), points)


def _one_step(points: Tensor, centre: Tensor) -> Tensor:
    """The next representable number towards the centre; what it gives at the centre itself is not used."""
    if points.element_size() > 2:
        return torch.nextafter(points, centre)
    # Not every device has nextafter for the half types: a magnitude's neighbours are the bit patterns next to it.
    bits, towards = points.view(torch.int16), (centre.double() - points.double()).sign()
    step = torch.where(towards == points.sign(), 1, -1).to(torch.int16)
    smallest = torch.where(towards > 0, 1, -(2**15) + 1).to(torch.int16)
    return torch.where(points == 0, smallest, bits + step).view(points.dtype)


def length(points: Tensor, p: float) -> Tensor:
    """‖x‖_p of each example, [n]."""
    value: Tensor = torch.linalg.vector_norm(points, p, dim=inner(points))
    return value


def inner(points: Tensor) -> tuple[int, ...]:
    """All axes but the first."""
    return tuple(range(1, points.ndim))


def beside(values: Tensor, points: Tensor) -> Tensor:
    """One value per example [n] with the points' number of axes, [n 1 …]."""
    return values.view(-1, *[1] * (points.ndim - 1))
