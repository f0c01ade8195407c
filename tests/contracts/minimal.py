"""A minimal-norm attack, as somebody outside might write it from what ``epslab.attacks`` is built of."""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from epslab.attacks.attacked import Attacked, Called, Given, part_of
from epslab.attacks.goals import Goal, untargeted
from epslab.attacks.keeping import Nearest
from epslab.attacks.objectives import margin
from epslab.attacks.victim import asking
from epslab.geometry import Ball


@dataclass(frozen=True)
class ToTheBoundary(Called):
    """Newton steps on the margin along the steepest direction of the norm, then a search between image and success.

    It aims at a margin of ``confidence``, which one step reaches on an affine binary model: DeepFool for two classes
    (Moosavi-Dezfooli et al., 2016).
    """

    norm: str = "l2"
    steps: int = 8
    confidence: float = 0.05
    halvings: int = 0
    goal: Goal = untargeted

    @property
    def radius(self) -> float:
        return math.inf

    def part(self, index: Tensor) -> "ToTheBoundary":
        return replace(self, goal=part_of(self.goal, index))

    def thorough(self) -> "ToTheBoundary":
        return self

    def _attack(self, given: Given) -> Attacked:
        with asking(given) as victim:
            kept, ball = Nearest(victim, self.norm, goal=self.goal), Ball(self.norm, 0.0)
            index = kept.open()
            points = kept.images[index]
            victim.speed_up(self.steps)
            for _ in range(self.steps):
                if not len(index):
                    break
                _, value, gradient = victim.differentiate(points, index, lambda z: kept.aim[index].rise(margin, z))  # noqa: B023
                way = (self.confidence - value.double()) / ball.dual(gradient).clamp_min(1e-12)
                step = ball.ascent(gradient) * way.to(points)[:, None, None, None]
                points = (points + step).clamp(0, 1)
                far = ~kept.look(index, points)
                index, points = index[far], points[far]
            self._halve(kept)
            return kept.result(given.images)

    def _halve(self, kept: Nearest) -> None:
        """Between the image and the success that is kept."""
        index = (kept.success & (kept.distance > 0)).nonzero()[:, 0]
        low, high = kept.images[index], kept.points[index]
        for _ in range(self.halvings if len(index) else 0):
            middle = (low + high) / 2
            nearer = kept.look(index, middle)[:, None, None, None]
            low, high = torch.where(nearer, low, middle), torch.where(nearer, middle, high)
