"""What an attack is after: any class but the label, or one class in particular."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from epslab.arrays import as_labels
from epslab.attacks.objectives import LogitLoss, require_per_example
from epslab.errors import UserError
from epslab.types import Labels, Logits, PerExample


@dataclass(frozen=True, eq=False)
class Aim:
    """The goal at a batch: a class an example to leave, or to reach.

    Args:
        labels: The classes, [n].
        targeted: Whether they are to be reached.
    """

    labels: Labels
    targeted: bool = False

    def met(self, logits: Logits) -> Bool[Tensor, " n"]:
        """Whether the predicted class is the target, or is not the label."""
        return (logits.argmax(1) == self.labels) == self.targeted

    def rise(self, objective: LogitLoss, logits: Logits) -> PerExample:
        """The objective with the sign that makes more of it better for the attack."""
        value = objective(logits, self.labels)
        require_per_example(value, len(self.labels))
        return -value if self.targeted else value

    def __getitem__(self, index: Int[Tensor, " k"] | Bool[Tensor, " n"]) -> "Aim":
        """The aim of a part of the batch."""
        return Aim(self.labels[index], self.targeted)


Goal = Callable[[Logits, Labels], Aim]
"""Logits of the clean images and true labels to an aim."""


def untargeted(logits: Logits, labels: Labels) -> Aim:
    """Any class but the label."""
    return Aim(labels)


def least_likely(logits: Logits, labels: Labels) -> Aim:
    """The class least likely on the clean image (Kurakin et al., 2017, eq. 4)."""
    return Aim(logits.argmin(1), targeted=True)


@dataclass(frozen=True, eq=False)
class targeted:  # noqa: N801 - a goal like its neighbours, with an argument
    """The class given for each example, [n]: a tensor, a numpy array or a list.

    Raises:
        UserError: When called with another number of examples, or classes the model does not have.
    """

    labels: Tensor

    def __post_init__(self) -> None:
        """Make a list or numpy array a tensor."""
        object.__setattr__(self, "labels", as_labels(self.labels))

    def part(self, index: Tensor) -> "targeted":
        """The targets of the examples with these indices."""
        return targeted(self.labels[index.to(self.labels.device)])

    def __call__(self, logits: Logits, labels: Labels) -> Aim:
        """Reach ``self.labels``."""
        if self.labels.shape != labels.shape:
            raise UserError(
                f"There are {len(labels)} images and {len(self.labels)} target classes; give one target per image."
            )
        targets = self.labels.to(labels.device, torch.int64)
        if len(targets) and not (targets.min() >= 0 and targets.max() < logits.shape[1]):
            raise UserError(
                f"Targets run from {int(targets.min())} to {int(targets.max())}, but the model has {logits.shape[1]}"
                f" classes: targets must lie in 0..{logits.shape[1] - 1}."
            )
        return Aim(targets, targeted=True)
