"""Adversarial training: the loss at images that an attack has just made of the batch, beside the loss at the batch.

An attack here goes for the greatest loss, also at images the model already gets wrong (``leave_early=False``), and is
made against the model in eval mode: BatchNorm's running statistics do not move with it. The attacked images carry no
gradient; the loss at them does.
"""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from epslab import seeds as noise
from epslab.attacks import Attack
from epslab.errors import UserError
from epslab.types import Classifier, Images, Labels, PerExample, Seeds


@dataclass(frozen=True)
class AdversarialLoss:
    """α·J(x) + (1 − α)·J(x_adv), in two passes (Goodfellow et al., 2015, section 6, with any attack).

    With α = 0 it is the training of Madry et al. (2018), and the clean images are not looked at.

    Args:
        attack: Makes x_adv; ``FGSM(ball)`` is the one of the paper.
        clean_weight: α in [0, 1].
        label_smoothing: Share of the label given to all classes alike, in [0, 1).

    Raises:
        UserError: A setting out of range.
    """

    attack: Attack
    clean_weight: float = 0.5
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        """Refuse settings that cannot work."""
        if not 0 <= self.clean_weight <= 1:
            raise UserError(f"clean_weight is {self.clean_weight}, but must lie between 0 and 1.")
        _check_smoothing(self.label_smoothing)

    def __call__(
        self,
        model: Classifier,
        images: Images,
        labels: Labels,
        generator: Generator | None = None,
        *,
        seeds: Seeds | None = None,
    ) -> PerExample:
        """The loss of each example, nats, [n].

        Args:
            model: Images in [0, 1] to logits.
            images: [n c h w] in [0, 1].
            labels: The true classes, [n].
            generator: Where the attack's seeds are drawn; None: torch's default one.
            seeds: The examples' own seeds instead, [n].
        """
        alpha = self.clean_weight
        x_adv = _attacked(self.attack, model, images, labels, generator, seeds)
        loss = (1 - alpha) * _cross_entropy(model(x_adv), labels, self.label_smoothing)
        if alpha > 0:
            loss = loss + alpha * _cross_entropy(model(images), labels, self.label_smoothing)
        return loss


@dataclass(frozen=True)
class AdversarialBatch:
    """½·J(x) + ½·J(x_adv) in one pass over a batch of twice the size (Kurakin et al., 2017, section 3).

    Without BatchNorm its gradient is that of ``AdversarialLoss`` at α = ½ with the same attack. With it the two differ:
    here clean and attacked images are normalised by the statistics they have together, there each by its own.

    Args:
        attack: Makes x_adv.
        label_smoothing: Share of the label given to all classes alike, in [0, 1).

    Raises:
        UserError: A setting out of range.
    """

    attack: Attack
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        """Refuse settings that cannot work."""
        _check_smoothing(self.label_smoothing)

    def __call__(
        self,
        model: Classifier,
        images: Images,
        labels: Labels,
        generator: Generator | None = None,
        *,
        seeds: Seeds | None = None,
    ) -> PerExample:
        """The mean of an example's two losses, nats, [n]; arguments as for ``AdversarialLoss``."""
        x_adv = _attacked(self.attack, model, images, labels, generator, seeds)
        logits = model(torch.cat([images, x_adv]))
        both = _cross_entropy(logits, torch.cat([labels, labels]), self.label_smoothing)
        return both.view(2, -1).mean(0)


def _attacked(
    attack: Attack,
    model: Classifier,
    images: Images,
    labels: Labels,
    generator: Generator | None,
    seeds: Seeds | None,
) -> Images:
    """The batch attacked for the greatest loss.

    An attack gives torch's default generator back as it was; in training every batch must get noise of its own, so
    here it is drawn from and moves on.
    """
    own: Tensor = noise.draw(len(images), generator, images.device) if seeds is None else seeds
    return attack.thorough()(model, images, labels, seeds=own).images


def _cross_entropy(logits: Tensor, labels: Tensor, label_smoothing: float) -> Tensor:
    return F.cross_entropy(logits, labels, reduction="none", label_smoothing=label_smoothing)


def _check_smoothing(label_smoothing: float) -> None:
    if not 0 <= label_smoothing < 1:
        raise UserError(f"label_smoothing is {label_smoothing}, but must be at least 0 and less than 1.")
