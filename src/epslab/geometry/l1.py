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
from epslab.geometry.norm import Norm, draw_length
from epslab.geometry.room import BallInBox, room, within
from epslab.geometry.rounding import INSIDE, MARGIN, TINY, beside, length, placed


@dataclass(frozen=True, eq=False)
class _Projector(BallInBox):
    def __call__(self, points: Tensor) -> Tensor:
        clamped, lengths, in_box = self.looked_at(points, 1.0)
        outside = beside(lengths, points) > self.radii
        if not outside.any():
            return clamped
        delta = points.double() - self.wide
        space = None if in_box else room(self.wide, delta, self.box).flatten(1)
        target = self.radii.flatten(1) * INSIDE
        moved = _thresholded(delta.abs().flatten(1), space, target, lengths[:, None])
        # Of points far outside a small ball the sums are rounded by more than the margin: a factor next to 1 mends it.
        total = moved.sum(1, keepdim=True)
        moved *= torch.where(total > target * (1 + MARGIN / 2), target / total.clamp_min(TINY), 1.0)
        result = placed(self.centre, torch.copysign(moved.view(points.shape), delta))
        return torch.where(outside, within(result, self.box), clamped)


def _thresholded(size: Tensor, space: Tensor | None, radii: Tensor, lengths: Tensor) -> Tensor:
    """clip(size − θ, 0, space) with the sum r, for [n d] whose sum at θ = 0, their length, is more than r."""
    bends = size if space is None else torch.cat([size, (size - space).clamp_min(0.0)], 1)
    # No coordinate moves by more than θ less than at θ = 0, so that θ ≥ (length − r)/d′ with d′ coordinates that move:
    # only the bends above are sorted, few where the points are sparse.
    least = ((lengths - radii) / (size > 0).sum(1, keepdim=True).clamp_min(1)).clamp_min(0.0) * INSIDE
    u, where = bends.topk(max(int((bends > least).sum(1).max()), 1), dim=1)
    moving = torch.where(where < size.shape[1], 1.0, -1.0).double().cumsum(1)  # coordinates that move while θ falls
    gained = moving * (u - torch.nn.functional.pad(u[:, 1:], (0, 1)))
    total = gained.cumsum(1)  # the sum at the next bend
    last = (total >= radii).double().argmax(1, keepdim=True)  # the first bend after which r is reached
    u, moving, before = (values.gather(1, last) for values in (u, moving, total - gained))
    moved = ((size - u).add_((radii - before) / moving.clamp_min(1.0))).clamp_min_(0.0)
    return moved if space is None else moved.minimum(space)


def _one_largest(gradient: Tensor) -> Tensor:
    flat = gradient.flatten(1)
    where = flat.abs().argmax(1, keepdim=True)
    direction = torch.zeros_like(flat).scatter_(1, where, flat.gather(1, where).sign())
    return torch.empty_like(gradient).copy_(direction.view(gradient.shape))


def _moves(size: Tensor, space: Tensor, radii: Tensor) -> Tensor:
    """The largest first, on ties the first, each up to its room; coordinates without a gradient stay."""
    if not len(size):
        return size
    budget = (radii * INSIDE).to(size)
    size = size.masked_fill(space == 0, 0.0)
    several = int((budget / space.amax(1, keepdim=True).clamp_min(TINY)).nan_to_num().clamp(0, size.shape[1]).amax())
    many = min(2 * several + 16, size.shape[1])  # a guess at how many share the budget; all of them as a last resort
    while True:
        largest, order = _largest(size, many)
        part = space.gather(1, order).minimum(budget).masked_fill_(largest == 0, 0.0)
        before = part.cumsum(1) - part
        # What equals the smallest may have equals that were left out.
        left = budget - part.masked_fill(largest == largest[:, -1:], 0.0).sum(1, keepdim=True)
        if many == size.shape[1] or not ((left > 0) & (largest[:, -1:] > 0)).any():
            break
        many = min(4 * many, size.shape[1])
    return torch.zeros_like(size).scatter_(1, order, (budget - before).clamp_min_(0.0).minimum(part))


def _largest(size: Tensor, many: int) -> tuple[Tensor, Tensor]:
    """The largest values, falling, and their places; equals in order, so that it is all the same in any batch."""
    if many == size.shape[1]:
        return size.sort(dim=1, descending=True, stable=True)
    places = size.topk(many, dim=1, sorted=False).indices.sort(1).values
    largest, order = size.gather(1, places).sort(dim=1, descending=True, stable=True)
    return largest, places.gather(1, order)


def _draw(example_seeds: Tensor, counter: int, shape: tuple[int, ...]) -> Tensor:
    """A vector of Laplace variables, divided by its L1 norm, is uniform on the sphere; the length as for L2."""
    # Half a step up, −1 < s < 1 is symmetric and never 0: every magnitude is finite and positive.
    s = seeds.uniform(example_seeds, counter, shape, torch.float64) * 2.0 - 1.0 + 2.0**-53
    laplace = -s.sign() * torch.log1p(-s.abs())
    return laplace * (draw_length(example_seeds, counter, laplace) / beside(length(laplace, 1.0), laplace))


L1 = Norm(1.0, float("inf"), _Projector, _one_largest, _moves, _draw)
