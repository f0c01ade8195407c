"""What a ball shares with a box, and how far each coordinate of a centre may move within it."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from epslab.geometry.norm import Box
from epslab.geometry.rounding import length


@dataclass(frozen=True, eq=False)
class BallInBox(ABC):
    """What the projectors of L2 and L1 keep.

    Args:
        centre: The centres, [n …].
        radii: [n 1 …], float64.
        box: If any.
    """

    centre: Tensor
    radii: Tensor
    box: Box | None

    @abstractmethod
    def __call__(self, points: Tensor) -> Tensor:
        """The nearest points of ball and box."""

    @cached_property
    def wide(self) -> Tensor:
        """The centre in float64."""
        return self.centre.double()

    def looked_at(self, points: Tensor, p: float) -> tuple[Tensor, Tensor, bool]:
        """The points clamped to the box, their distances from the centre [n], and whether all were in it."""
        clamped = within(points, self.box)
        return clamped, length(clamped.double() - self.wide, p), clamped is points or torch.equal(clamped, points)

    def __getitem__(self, examples: Tensor | slice) -> "BallInBox":
        return replace(self, centre=self.centre[examples], radii=self.radii[examples], box=part(self.box, examples))


def room(centre: Tensor, direction: Tensor, box: Box | None) -> Tensor:
    """The way from the centre to the bound that each coordinate is headed for; infinite without a box."""
    if box is None:
        return torch.full_like(centre, torch.inf)
    low, high = box
    return torch.where(direction > 0, high - centre, centre - low).clamp_min_(0.0)


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
