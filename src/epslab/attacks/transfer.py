"""Adversarial images made on one model and shown to another."""

from dataclasses import dataclass, replace
from typing import Any

import torch

from epslab.attacks.attacked import Attack, Attacked, Called, Given
from epslab.attacks.borrowed import borrowed
from epslab.attacks.checks import checked
from epslab.attacks.victim import Victim
from epslab.types import Classifier


@dataclass(frozen=True)
class Transfer(Called):
    """Attack a surrogate, then look whether the model is fooled, too (Papernot et al., 2017): no gradient of the model.

    The surrogate is attacked for the greatest loss (``leave_early=False``, where the attack has the choice): an image
    stopped at the surrogate's boundary seldom crosses the model's. The model is asked once, to leave alone what it gets
    wrong already. Queries and gradients count what the model is asked, not the surrogate.

    Args:
        surrogate: A model at hand: the same architecture trained on other data (grey box), or another (black box).
        attack: What the surrogate is attacked with.

    Raises:
        UserError: When called, what the attack raises.
    """

    surrogate: Classifier
    attack: Attack

    def _attack(self, given: Given) -> Attacked:
        model, images, labels, generator, seeds = given
        x, y = checked(images, labels, seeds)
        with borrowed(model, x.device), torch.no_grad():
            victim = Victim(model, y)
            wrong = victim.measure(x).argmax(1) != y
            victim.queries += 1
            found = thorough(self.attack)(self.surrogate, images, labels, generator=generator, seeds=seeds)
            kept = torch.where(wrong[:, None, None, None], x, found.images)
            returned = torch.empty_like(images).copy_(kept)
            success = victim.measure(returned).argmax(1) != y
            distance = found.distance.masked_fill(wrong, 0.0)
            return Attacked(returned, success, distance, victim.queries, victim.gradients)


def thorough(attack: Attack) -> Attack:
    """The attack with ``leave_early=False``, where it has that field: it goes for the greatest loss."""
    settings: Any = attack
    if "leave_early" not in getattr(settings, "__dataclass_fields__", {}):
        return attack
    changed: Attack = replace(settings, leave_early=False)
    return changed
