"""Adversarial images made on one model and shown to another."""

from dataclasses import dataclass, replace

import torch

from epslab.attacks.attacked import Attack, Attacked, Given, OfOne, require_attack
from epslab.attacks.victim import asking
from epslab.nets.answers import require_model
from epslab.types import Classifier


@dataclass(frozen=True)
class Transfer(OfOne):
    """Attack a surrogate, then look whether the model is fooled, too (Papernot et al., 2017): no gradient of the model.

    The surrogate is attacked for the greatest loss (``leave_early=False``, where the attack has the choice): an image
    stopped at the surrogate's boundary seldom crosses the model's. Queries and gradients count what the model is asked,
    not the surrogate.

    >>> from epslab.attacks import FGSM
    >>> from epslab.geometry import Linf
    >>> net, other = (torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10)) for _ in range(2))
    >>> images, labels = torch.rand(2, 1, 8, 8), torch.tensor([3, 7])
    >>> Transfer(other, FGSM(Linf(8 / 255)))(net, images, labels).queries
    tensor([1, 1])

    Args:
        surrogate: A model at hand: the same architecture trained on other data (grey box), or another (black box).
        attack: What the surrogate is attacked with.
        leave_early: Ask the model once, to leave alone what it gets wrong already.

    Raises:
        UserError: No model or no attack, and when called, what the attack raises.
    """

    surrogate: Classifier
    attack: Attack
    leave_early: bool = True

    def __post_init__(self) -> None:
        """Refuse settings that cannot work."""
        require_model(self.surrogate)
        require_attack(self.attack, "What Transfer attacks the surrogate with")

    def thorough(self) -> "Transfer":
        """The same attack, also on images that the model gets wrong as they are."""
        return replace(self, leave_early=False)

    def _attack(self, given: Given) -> Attacked:
        with asking(given) as victim:
            x, y = victim.images, victim.labels
            wrong = victim.clean.argmax(1) != y if self.leave_early else torch.zeros_like(y, dtype=torch.bool)
            found = self.attack.thorough()(self.surrogate, given.images, given.labels, seeds=victim.seeds)
            kept = torch.where(wrong[:, None, None, None], x, found.images)
            returned = torch.empty_like(given.images).copy_(kept)
            success = victim.measure(returned).argmax(1) != y
            distance = found.distance.masked_fill(wrong, 0.0)
            return Attacked(returned, success, distance, victim.queries, victim.gradients)
