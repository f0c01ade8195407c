"""Attacks made of attacks: several restarts of one, the worst of several."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import repeat

import torch
from torch import Tensor

from epslab.attacks.attacked import Attack, Attacked, Called, Given, OfOne, require_attack, require_attacked
from epslab.attacks.checks import require_counts
from epslab.attacks.objectives import margin
from epslab.attacks.victim import asking
from epslab.errors import UserError
from epslab.geometry import Ball
from epslab.seeds import fork


@dataclass(frozen=True)
class Restarts(OfOne):
    """One attack several times, each with other noise; of each example the worst run is kept.

    A success is worse than a failure, and a greater margin worse than a smaller one; on ties the earlier run is kept.

    >>> from epslab.attacks import PGD
    >>> from epslab.geometry import Linf
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
    >>> images, labels = torch.rand(2, 1, 8, 8), torch.tensor([3, 7])
    >>> Restarts(PGD(Linf(8 / 255), steps=4), 3).thorough()(net, images, labels).gradients
    tensor([12, 12])

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
        require_attack(self.attack, "What Restarts repeats")
        require_counts(restarts=self.restarts)

    def thorough(self) -> "Restarts":
        """Every run for the greatest loss, and all runs for every example."""
        return replace(self, attack=self.attack.thorough(), leave_early=False)

    def _attack(self, given: Given) -> Attacked:
        return _worst(repeat(self.attack, self.restarts), given, self.norm, fresh=True, leave_early=self.leave_early)


@dataclass(frozen=True)
class WorstCase(Called):
    """Several attacks one after the other; of each example the worst result is kept.

    A success is worse than a failure, and a greater margin worse than a smaller one; on ties the earlier one is kept.

    >>> from epslab.attacks import FGSM, PGD
    >>> from epslab.geometry import Linf
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
    >>> images, labels = torch.rand(2, 1, 8, 8), torch.tensor([3, 7])
    >>> WorstCase((FGSM(Linf(1.0)), PGD(Linf(1.0))))(net, images, labels).success
    tensor([True, True])

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
        given: object = self.attacks
        if not isinstance(given, Iterable):
            one = type(given).__name__
            raise UserError(f"WorstCase takes several attacks, not one {one}: WorstCase((FGSM(ball), PGD(ball))).")
        object.__setattr__(self, "attacks", tuple(self.attacks))
        for number, attack in enumerate(self.attacks, start=1):
            require_attack(attack, f"Attack {number} of WorstCase")
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
    """The worst result of each example, its distance in this norm; on ties the earlier one.

    Args:
        attacks: One after the other.
        given: What they are given.
        norm: Of the distances.
        fresh: Every attack after the first draws other noise.
        leave_early: An example leaves after the first attack that succeeds on it.
    """
    with asking(given) as victim:
        x, y = victim.images, victim.labels
        attack = next(attacks)
        first = attack(given.model, given.images, given.labels, seeds=victim.seeds)
        require_attacked(first, f"The attack {type(attack).__name__}", len(x))
        returned, success = first.images.clone(), first.success.clone()
        victim.queries += first.queries
        victim.gradients += first.gradients
        value = margin(victim.measure(returned), y)
        for run, attack in enumerate(attacks, start=1):
            index = (~success if leave_early else torch.ones_like(success)).nonzero()[:, 0]
            if not len(index):
                break
            own = fork(victim.seeds[index], "restart", run) if fresh else victim.seeds[index]
            found = attack.part(index)(given.model, x[index], y[index], seeds=own)
            require_attacked(found, f"The attack {type(attack).__name__}", len(index))
            victim.queries[index] += found.queries
            victim.gradients[index] += found.gradients
            values = margin(victim.measure(found.images, index), y[index])
            before = success[index]
            better = (found.success & ~before) | ((found.success == before) & (values > value[index]))
            taken = index[better]
            returned[taken], success[taken] = found.images[better], found.success[better]
            value[taken] = values[better]
        distance = Ball(norm, 0.0).distance(returned, x)
        images = torch.empty_like(given.images).copy_(returned)
        return Attacked(images, success, distance, victim.queries, victim.gradients)
