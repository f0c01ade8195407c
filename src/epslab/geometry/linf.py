"""The maximum norm: ball and box are both boxes, and everything is a clamp."""

from dataclasses import dataclass

import torch
from torch import Tensor

from epslab import seeds
from epslab.geometry.norm import Box, Norm, Projector
from epslab.geometry.room import within
from epslab.geometry.rounding import placed


@dataclass(frozen=True, eq=False)
class _Clamp:
    low: Tensor
    high: Tensor

    def __call__(self, points: Tensor) -> Tensor:
        return points.clamp(self.low, self.high)

    def __getitem__(self, examples: Tensor | slice) -> "_Clamp":
        return _Clamp(self.low[examples], self.high[examples])


def _bounds(centre: Tensor, radii: Tensor, box: Box | None) -> _Clamp:
    return _Clamp(within(placed(centre, -radii), box), within(placed(centre, radii), box))


def _projector(centre: Tensor, radii: Tensor, box: Box | None) -> Projector:
    return _bounds(centre, radii, box)


def _farthest(gradient: Tensor, centre: Tensor, radii: Tensor, box: Box | None) -> Tensor:
    bounds = _bounds(centre, radii, box)
    return torch.where(gradient > 0, bounds.high, torch.where(gradient < 0, bounds.low, centre))


def _draw(example_seeds: Tensor, counter: int, shape: tuple[int, ...]) -> Tensor:
    return seeds.uniform(example_seeds, counter, shape, torch.float64) * 2.0 - 1.0


LINF = Norm(float("inf"), 1.0, _projector, torch.sign, _farthest, _draw)
