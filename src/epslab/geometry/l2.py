"""The Euclidean norm.

In a ball that meets a box, both the projection of x and the farthest point along g move each coordinate by

    min(t·|δ_i|, room_i),   δ = x − c or g,

with one t for all coordinates of an example: the largest for which the move has length r at most, and for the
projection at most 1. This is what the Karush–Kuhn–Tucker conditions leave of either problem.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from epslab import seeds
from epslab.geometry.norm import Norm, draw_length
from epslab.geometry.room import BallInBox, room, within
from epslab.geometry.rounding import INSIDE, beside, inner, length, placed

_ROUNDING = 64
"""The multiple of the type's rounding up to which a squared length may fall short."""


@dataclass(frozen=True, eq=False)
class _Projector(BallInBox):
    def __call__(self, points: Tensor) -> Tensor:
        clamped, lengths, in_box = self.looked_at(points, 2.0)
        outside = beside(lengths, points) > self.radii
        if not outside.any():
            return clamped
        delta = points.double() - self.wide
        radii = self.radii.flatten(1)
        if in_box:  # no bound is in the way
            moved = delta * beside(_factor(delta.flatten(1), radii), delta)
        else:
            size, space = delta.abs().flatten(1), room(self.wide, delta, self.box).flatten(1)
            moved = torch.copysign(_moves(size, space, radii).view(points.shape), delta)
        return torch.where(outside, within(placed(self.centre, moved), self.box), clamped)


def _factor(size: Tensor, radii: Tensor) -> Tensor:
    """The t that gives t·size the length r, [n 1]; 0 where there is nothing to lengthen."""
    lengths = torch.linalg.vector_norm(size, dim=1, keepdim=True)
    return torch.where(lengths > 0, radii.to(size) * INSIDE / lengths, 0.0)


def _moves(size: Tensor, space: Tensor, radii: Tensor) -> Tensor:
    """min(t·size, space) with ‖·‖₂ = r where a t gives it; all are [n d], radii [n 1].

    The squared length is concave and piecewise linear in t². Newton's method,

        t² ← t² + (r² − Σ min(t·size, space)²) / Σ size² over the coordinates not at their bound,

    rises to the solution and ends when no more coordinates reach their bound.
    """
    squared = (radii.to(size) * INSIDE).square()
    t = _factor(size, radii)
    while True:
        moved = (t * size).minimum(space)
        lacking = squared - torch.linalg.vector_norm(moved, dim=1, keepdim=True).square()
        rising = lacking > _ROUNDING * torch.finfo(size.dtype).eps * squared
        if not rising.any():
            return moved
        free = torch.linalg.vector_norm(size * (moved < space), dim=1, keepdim=True).square()
        after = (t.square() + lacking / free).sqrt()
        rising &= (free > 0) & (after > t)
        if not rising.any():
            return moved
        t = torch.where(rising, after, t)


def _unit(gradient: Tensor) -> Tensor:
    # Divided by the largest first, no square over- or underflows.
    scaled = _by_largest(gradient)
    size = torch.linalg.vector_norm(scaled, dim=inner(scaled))
    return scaled / beside(torch.where(size > 0, size, 1.0), gradient)


def _by_largest(gradient: Tensor) -> Tensor:
    largest = gradient.abs().flatten(1).amax(1)
    return gradient / beside(torch.where(largest > 0, largest, 1.0), gradient)


def _moves_along(gradient: Tensor, space: Tensor, radii: Tensor) -> Tensor:
    """The move along a gradient of any scale."""
    return _moves(_by_largest(gradient), space, radii)


def _draw(example_seeds: Tensor, counter: int, shape: tuple[int, ...]) -> Tensor:
    """A normal vector's direction is uniform."""
    z = seeds.noise(example_seeds, counter, shape, torch.float64)
    return z * (draw_length(example_seeds, counter, z) / beside(length(z, 2.0), z))


L2 = Norm(2.0, 2.0, _Projector, _unit, _moves_along, _draw)
