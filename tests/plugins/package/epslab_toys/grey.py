"""An attack without a ball: it minimises a distance."""

import math
from dataclasses import dataclass

import torch

from epslab.attacks import Attacked


@dataclass(frozen=True)
class TowardsGrey:
    """The least share of mid-grey that changes the answer, found by bisection."""

    halvings: int = 12
    norm = "l2"
    radius = math.inf

    def part(self, index):
        return self

    def thorough(self):
        return self

    def __call__(self, model, images, labels, *, generator=None, seeds=None):
        def fools(share):
            mixed = images + share[:, None, None, None] * (0.5 - images)
            return mixed, model(mixed).argmax(1) != labels

        low, high = torch.zeros(len(images)), fools(torch.zeros(len(images)))[1].logical_not().float()
        for _ in range(self.halvings):
            middle = (low + high) / 2
            fooled = fools(middle)[1]
            low, high = torch.where(fooled, low, middle), torch.where(fooled, middle, high)
        mixed, success = fools(high)
        found = torch.where(success[:, None, None, None], mixed, images)
        asked = torch.full((len(images),), self.halvings + 2)
        return Attacked(found, success, (found - images).flatten(1).norm(dim=1), asked, torch.zeros_like(asked))
