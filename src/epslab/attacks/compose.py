"""Attacks made of attacks: several restarts of one, the worst of several."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import repeat
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from epslab import seeds as noise
from epslab.attacks.attacked import Attack, Attacked, Called, Given
from epslab.attacks.borrowed import borrowed
from epslab.attacks.checks import checked, checked_logits, require_counts
from epslab.attacks.goals import targeted
from epslab.attacks.objectives import margin
from epslab.errors import UserError
from epslab.geometry import Ball
from epslab.types import Classifier, Images, Labels


@dataclass(frozen=True)
class Restarts(Called):
    """One attack several times, each with noise of its own; of each example the worst run is kept.

    An example leaves after the first run that succeeds on it. Among failures the greatest margin is the worst.

    Args:
        attack: Any attack that draws noise.
        restarts: Runs, ≥ 1; the first has the example's own seed, as the attack alone would have.

    Raises:
        UserError: restarts < 1, and when called, what the attack raises.
    """

    attack: Attack
    restarts: int = 5

    def __post_init__(self) -> None:
        """Refuse settings that cannot work."""
        require_counts(restarts=self.restarts)

    def _attack(self, given: Given) -> Attacked:
        return _worst(repeat(self.attack, self.restarts), given, fresh=True)


@dataclass(frozen=True)
class WorstCase(Called):
    """Several attacks one after the other; of each example the worst result is kept.

    An example leaves after the first attack that succeeds on it: put the cheap ones first. Among failures the greatest
    margin is the worst.

    Args:
        attacks: One or more; their distances are each in its own norm.

    Raises:
        UserError: There are none, and when called, what the attacks raise.
    """

    attacks: tuple[Attack, ...]

    def __post_init__(self) -> None:
        """Refuse settings that cannot work; a list becomes a tuple."""
        object.__setattr__(self, "attacks", tuple(self.attacks))
        if not self.attacks:
            raise UserError("There is no attack to take the worst of: give WorstCase at least one.")

    def _attack(self, given: Given) -> Attacked:
        return _worst(iter(self.attacks), given, fresh=False)


def _worst(attacks: Iterator[Attack], given: Given, *, fresh: bool) -> Attacked:
    """The worst result of each example; with ``fresh`` every attack after the first gets seeds of its own."""
    model, images, labels, generator, seeds = given
    x, y = checked(images, labels, seeds)
    with borrowed(model, x.device):
        own = noise.draw(len(x), generator, x.device) if seeds is None else seeds.to(x.device)
        worst = next(attacks)(model, images, labels, seeds=own)
        kept = [part.clone() for part in worst]
        returned, success, distance, queries, gradients = kept
        value = _margin(model, returned, y)
        for run, attack in enumerate(attacks, start=1):
            index = (~success).nonzero()[:, 0]
            if not len(index):
                break
            again = noise.fork(own[index], "restart", run) if fresh else own[index]
            found = part(attack, index)(model, x[index], y[index], seeds=again)
            queries[index] += found.queries
            gradients[index] += found.gradients
            margins = _margin(model, found.images, y[index])
            better = found.success | (margins > value[index])
            taken = index[better]
            returned[taken], success[taken] = found.images[better], found.success[better]
            distance[taken], value[taken] = found.distance[better], margins[better]
        return Attacked(torch.empty_like(images).copy_(returned), success, distance, queries, gradients)


def part(attack: Attack, index: Int[Tensor, " k"]) -> Attack:
    """The attack for these examples: radii and target classes that are given per example go with them."""
    settings: Any = attack
    changes: dict[str, Any] = {}
    for name in getattr(settings, "__dataclass_fields__", ()):
        value = getattr(settings, name)
        if isinstance(value, Ball):
            changes[name] = value[index]
        elif isinstance(value, targeted):
            changes[name] = targeted(value.labels[index.to(value.labels.device)])
        elif name == "attack":
            changes[name] = part(value, index)
        elif name == "attacks":
            changes[name] = tuple(part(one, index) for one in value)
    smaller: Attack = replace(settings, **changes) if changes else attack
    return smaller


@torch.no_grad()
def _margin(model: Classifier, images: Images, labels: Labels) -> Tensor:
    return margin(checked_logits(model(images), labels), labels)
