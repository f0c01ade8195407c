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


def _projector(centre: Tensor, radii: Tensor, box: Box | None) -> Projector:
    return _Clamp(within(placed(centre, -radii), box), within(placed(centre, radii), box))


def _moves(size: Tensor, space: Tensor, radii: Tensor) -> Tensor:
    """r, or up to the bound, wherever there is a gradient."""
    return space.minimum(radii.to(size)).masked_fill_(size == 0, 0.0)


def _draw(example_seeds: Tensor, counter: int, shape: tuple[int, ...]) -> Tensor:
    return seeds.uniform(example_seeds, counter, shape, torch.float64) * 2.0 - 1.0


LINF = Norm(float("inf"), 1.0, _projector, torch.sign, _moves, _draw)
