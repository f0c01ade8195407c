"""The Euclidean norm.

In a ball that meets a box, both the projection of x and the farthest point along g move each coordinate by

    min(t·|δ_i|, room_i),   δ = x − c or g,

with one t for all coordinates of an example: the largest for which the move has length r at most (below 1 for a point
outside the ball). This is what the Karush–Kuhn–Tucker conditions leave of either problem.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from epslab import seeds
from epslab.geometry.norm import Box, Norm, Projector, draw_length
from epslab.geometry.room import part, room, within
from epslab.geometry.rounding import INSIDE, beside, inner, length, placed


@dataclass(frozen=True, eq=False)
class _Projector:
    centre: Tensor
    radii: Tensor
    box: Box | None

    def __call__(self, points: Tensor) -> Tensor:
        clamped = within(points, self.box)
        outside = beside(length(clamped.double() - self.centre.double(), 2.0), points) > self.radii
        if not outside.any():
            return clamped
        delta = points.double() - self.centre.double()
        space = room(self.centre, delta, self.box)
        moved = _moves(delta.abs(), space, self.radii)
        return torch.where(outside, within(placed(self.centre, delta.sign() * moved), self.box), clamped)

    def __getitem__(self, examples: Tensor | slice) -> "_Projector":
        return _Projector(self.centre[examples], self.radii[examples], part(self.box, examples))


def _projector(centre: Tensor, radii: Tensor, box: Box | None) -> Projector:
    return _Projector(centre, radii, box)


def _moves(size: Tensor, space: Tensor, radii: Tensor) -> Tensor:
    """min(t·size, space) with ‖·‖₂ = r where a t gives it, else t = ∞.

    With the coordinates A that t has brought to their bound, t² = (r² − Σ_A space²)/Σ_{not A} size². That is too small
    as long as A lacks a coordinate, so t rises and A grows until nothing changes.
    """
    squared = (radii * INSIDE).square()
    t = torch.zeros_like(radii)
    while True:
        at_bound = t * size >= space
        rest = squared - _sum(space.masked_fill(~at_bound, 0.0).square())
        free = _sum(size.masked_fill(at_bound, 0.0).square())
        after = torch.where(free > 0, (rest.clamp_min(0.0) / free).sqrt(), torch.inf)
        if not (after > t).any():
            break
        t = torch.maximum(t, after)
    return torch.where(size > 0, t * size, 0.0).minimum(space)


def _sum(points: Tensor) -> Tensor:
    return points.sum(inner(points), keepdim=True)


def _unit(gradient: Tensor) -> Tensor:
    # Divided by the largest first, no square over- or underflows, and the length is 1 or more unless it is 0.
    scaled = _by_largest(gradient)
    return scaled / beside(torch.linalg.vector_norm(scaled, dim=inner(scaled)).clamp_min(1.0), gradient)


def _by_largest(gradient: Tensor) -> Tensor:
    largest = gradient.abs().flatten(1).amax(1)
    return gradient / beside(torch.where(largest > 0, largest, 1.0), gradient)


def _farthest(gradient: Tensor, centre: Tensor, radii: Tensor, box: Box | None) -> Tensor:
    g = _by_largest(gradient.double())
    moved = _moves(g.abs(), room(centre, g, box), radii)
    return within(placed(centre, g.sign() * moved), box)


def _draw(example_seeds: Tensor, counter: int, shape: tuple[int, ...]) -> Tensor:
    """A normal vector's direction is uniform."""
    z = seeds.noise(example_seeds, counter, shape, torch.float64)
    return z * (draw_length(example_seeds, counter, z) / beside(length(z, 2.0), z))


L2 = Norm(2.0, 2.0, _projector, _unit, _farthest, _draw)
