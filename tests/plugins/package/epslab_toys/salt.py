"""An attack in a ball, with an option of its own."""

from dataclasses import dataclass, replace

import torch

from epslab.attacks import Attacked
from epslab.geometry import Ball
from epslab.seeds import draw, uniform


@dataclass(frozen=True)
class Salt:
    """A share of the pixels is drawn by lot and made white, as far as the ball allows."""

    ball: Ball
    share: float = 0.1
    norm, radius = property(lambda self: self.ball.norm), property(lambda self: self.ball.radius)

    def part(self, index):
        return replace(self, ball=self.ball[index])

    def thorough(self):
        return self

    def __call__(self, model, images, labels, *, generator=None, seeds=None):
        seeds = draw(len(images), generator) if seeds is None else seeds
        salted = uniform(seeds, 0, tuple(images.shape[1:])) < self.share
        found = self.ball.project(torch.where(salted, 1.0, images), images)
        asked = torch.ones(len(images), dtype=torch.int64)
        success = model(found).argmax(1) != labels
        return Attacked(found, success, self.ball.distance(found, images), asked, torch.zeros_like(asked))
