"""Attacks made of attacks: several restarts of one, the worst of several."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import repeat

import torch
from torch import Tensor

from epslab import seeds
from epslab.attacks.attacked import Attack, Attacked, Called, Given
from epslab.attacks.borrowed import borrowed
from epslab.attacks.checks import checked, checked_logits, require_counts
from epslab.attacks.objectives import margin
from epslab.errors import UserError
from epslab.geometry import Ball
from epslab.types import Classifier, Images, Labels


@dataclass(frozen=True)
class Restarts(Called):
    """One attack several times, each with noise of its own; of each example the worst run is kept.

    A success is worse than a failure, and a greater margin worse than a smaller one.

    Args:
        attack: Any attack that draws noise.
        restarts: Runs, ≥ 1; the first has the example's own seed, as the attack alone would have.
        leave_early: An example leaves after the first run that succeeds on it.

    Raises:
        UserError: restarts < 1, and when called, what the attack raises.
    """

    attack: Attack
    restarts: int = 5
    leave_early: bool = True

    def __post_init__(self) -> None:
        """Refuse settings that cannot work."""
        require_counts(restarts=self.restarts)

    @property
    def norm(self) -> str:
        """The attack's."""
        return self.attack.norm

    @property
    def radius(self) -> float | Tensor:
        """The attack's."""
        return self.attack.radius

    def part(self, index: Tensor) -> "Restarts":
        """The same attack for the examples with these indices."""
        return replace(self, attack=self.attack.part(index))

    def thorough(self) -> "Restarts":
        """Every run for the greatest loss, and all runs for every example."""
        return replace(self, attack=self.attack.thorough(), leave_early=False)

    def _attack(self, given: Given) -> Attacked:
        return _worst(repeat(self.attack, self.restarts), given, self.norm, fresh=True, leave_early=self.leave_early)


@dataclass(frozen=True)
class WorstCase(Called):
    """Several attacks one after the other; of each example the worst result is kept.

    A success is worse than a failure, and a greater margin worse than a smaller one.

    Args:
        attacks: One or more.
        leave_early: An example leaves after the first attack that succeeds on it: put the cheap ones first.

    Raises:
        UserError: There are none, and when called, what the attacks raise.
    """

    attacks: tuple[Attack, ...]
    leave_early: bool = True

    def __post_init__(self) -> None:
        """Refuse settings that cannot work; a list becomes a tuple."""
        object.__setattr__(self, "attacks", tuple(self.attacks))
        if not self.attacks:
            raise UserError("There is no attack to take the worst of: give WorstCase at least one.")

    @property
    def norm(self) -> str:
        """The norm that all of them share; "l2" if they do not."""
        norms = {attack.norm for attack in self.attacks}
        return norms.pop() if len(norms) == 1 else "l2"

    @property
    def radius(self) -> float | Tensor:
        """The greatest radius; infinite where the norms differ."""
        if len({attack.norm for attack in self.attacks}) > 1:
            return math.inf
        radii = [torch.as_tensor(attack.radius, dtype=torch.float64) for attack in self.attacks]
        several = next((radius for radius in radii if radius.ndim), radii[0])
        greatest = torch.stack([radius.to(several.device).expand_as(several) for radius in radii]).amax(0)
        return greatest if greatest.ndim else greatest.item()

    def part(self, index: Tensor) -> "WorstCase":
        """The same attacks for the examples with these indices."""
        return replace(self, attacks=tuple(attack.part(index) for attack in self.attacks))

    def thorough(self) -> "WorstCase":
        """Every attack for the greatest loss, and all of them for every example."""
        return replace(self, attacks=tuple(attack.thorough() for attack in self.attacks), leave_early=False)

    def _attack(self, given: Given) -> Attacked:
        return _worst(iter(self.attacks), given, self.norm, fresh=False, leave_early=self.leave_early)


def _worst(attacks: Iterator[Attack], given: Given, norm: str, *, fresh: bool, leave_early: bool) -> Attacked:
    """The worst result of each example, its distance in this norm.

    Args:
        attacks: One after the other.
        given: What they are given.
        norm: Of the distances.
        fresh: Every attack after the first draws other noise.
        leave_early: An example leaves after the first attack that succeeds on it.
    """
    model, images, labels, generator, own = given
    x, y = checked(images, labels, own)
    with borrowed(model, x.device):
        own = seeds.draw(len(x), generator, x.device) if own is None else own.to(x.device)
        worst = next(attacks)(model, images, labels, seeds=own)
        kept = [part.clone() for part in worst]
        returned, success, _, queries, gradients = kept
        value = _margin(model, returned, y)
        for run, attack in enumerate(attacks, start=1):
            index = (~success if leave_early else torch.ones_like(success)).nonzero()[:, 0]
            if not len(index):
                break
            again = seeds.fork(own[index], "restart", run) if fresh else own[index]
            found = attack.part(index)(model, x[index], y[index], seeds=again)
            queries[index] += found.queries
            gradients[index] += found.gradients
            margins = _margin(model, found.images, y[index])
            # On ties the earlier point is kept.
            before = success[index]
            better = (found.success & ~before) | ((found.success == before) & (margins > value[index]))
            taken = index[better]
            returned[taken], success[taken] = found.images[better], found.success[better]
            value[taken] = margins[better]
        distance = Ball(norm, 0.0).distance(returned, x)
        return Attacked(torch.empty_like(images).copy_(returned), success, distance, queries, gradients)


@torch.no_grad()
def _margin(model: Classifier, images: Images, labels: Labels) -> Tensor:
    return margin(checked_logits(model(images), labels), labels)
