"""The sum of absolute values.

The projection of x = c + δ onto a ball that meets a box moves each coordinate by

    clip(|δ_i| − θ, 0, room_i)

with one θ ≥ 0 for all coordinates of an example, the smallest for which the moves sum to r at most (Croce & Hein, 2021,
proposition 2.2; without a box Duchi et al., 2008, fig. 1). Their sum is piecewise linear in θ and bends at |δ_i| and at
|δ_i| − room_i, so that sorting these finds θ. The farthest point along g spends the radius on the coordinates with the
largest |g_i| first, each up to its room (Croce & Hein, 2021, proposition 3.1).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from epslab import seeds
from epslab.geometry.norm import Box, Norm, Projector, draw_length
from epslab.geometry.room import part, room, within
from epslab.geometry.rounding import INSIDE, MARGIN, TINY, beside, length, placed


@dataclass(frozen=True, eq=False)
class _Projector:
    centre: Tensor
    radii: Tensor
    box: Box | None

    def __call__(self, points: Tensor) -> Tensor:
        clamped = within(points, self.box)
        outside = beside(length(clamped.double() - self.centre.double(), 1.0), points) > self.radii
        if not outside.any():
            return clamped
        delta = points.double() - self.centre.double()
        space = room(self.centre, delta, self.box)
        moved = _thresholded(delta.abs().flatten(1), space.flatten(1), self.radii.flatten(1) * INSIDE)
        # Of points far outside a small ball the sums are rounded by more than the margin: a factor next to 1 mends it.
        target, total = self.radii.flatten(1) * INSIDE, moved.sum(1, keepdim=True)
        moved *= torch.where(total > target * (1 + MARGIN / 2), target / total.clamp_min(TINY), 1.0)
        result = placed(self.centre, delta.sign() * moved.view(points.shape))
        return torch.where(outside, within(result, self.box), clamped)

    def __getitem__(self, examples: Tensor | slice) -> "_Projector":
        return _Projector(self.centre[examples], self.radii[examples], part(self.box, examples))


def _projector(centre: Tensor, radii: Tensor, box: Box | None) -> Projector:
    return _Projector(centre, radii, box)


def _thresholded(size: Tensor, space: Tensor, radii: Tensor) -> Tensor:
    """clip(size − θ, 0, space) with the sum r, for [n d] whose sum at θ = 0 is more than r."""
    bends = torch.cat([size, (size - space).clamp_min(0.0)], 1)
    # A bend at 0 is never reached: only the others are sorted, few where the points are sparse.
    u, where = bends.topk(max(int((bends > 0).sum(1).max()), 1), dim=1)
    moving = torch.where(where < size.shape[1], 1.0, -1.0).double().cumsum(1)  # coordinates that move while θ falls
    gained = moving * (u - torch.nn.functional.pad(u[:, 1:], (0, 1)))
    total = gained.cumsum(1)  # the sum at the next bend
    last = (total >= radii).double().argmax(1, keepdim=True)  # the first bend after which r is reached
    u, moving, before = (values.gather(1, last) for values in (u, moving, total - gained))
    return ((size - u) + (radii - before) / moving.clamp_min(1.0)).clamp_min(0.0).minimum(space)


def _one_largest(gradient: Tensor) -> Tensor:
    flat = gradient.flatten(1)
    where = flat.abs().argmax(1, keepdim=True)
    direction = torch.zeros_like(flat).scatter_(1, where, flat.gather(1, where).sign())
    return torch.empty_like(gradient).copy_(direction.view(gradient.shape))


def _farthest(gradient: Tensor, centre: Tensor, radii: Tensor, box: Box | None) -> Tensor:
    order = gradient.abs().flatten(1).argsort(dim=1, descending=True, stable=True)
    budget = radii.flatten(1) * INSIDE
    space = room(centre, gradient, box).flatten(1).gather(1, order).minimum(budget)
    spent = (budget - (space.cumsum(1) - space)).clamp_min(0.0).minimum(space)
    moved = torch.zeros_like(spent).scatter_(1, order, spent).view(gradient.shape)
    result = within(placed(centre, gradient.double().sign() * moved), box)
    return torch.empty_like(centre).copy_(result)


def _draw(example_seeds: Tensor, counter: int, shape: tuple[int, ...]) -> Tensor:
    """A vector of Laplace variables, divided by its L1 norm, is uniform on the sphere; the length as for L2."""
    # Half a step up, −1 < s < 1 is symmetric and never 0: every magnitude is finite and positive.
    s = seeds.uniform(example_seeds, counter, shape, torch.float64) * 2.0 - 1.0 + 2.0**-53
    laplace = -s.sign() * torch.log1p(-s.abs())
    return laplace * (draw_length(example_seeds, counter, laplace) / beside(length(laplace, 1.0), laplace))


L1 = Norm(1.0, float("inf"), _projector, _one_largest, _farthest, _draw)
