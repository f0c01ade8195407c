"""Adversarial training: the loss at attacked images, mixed with the loss at the images themselves.

The attack goes for the greatest loss, also at images the model already gets wrong. It is made against the model in
eval mode, so BatchNorm's running statistics do not move with it. The attacked images carry no gradient; the loss at
them does.

FGSM takes one forward pass: its point is used without measuring what it does to the model.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from epslab.attacks import FGSM, Attack
from epslab.attacks.attacked import require_attack
from epslab.attacks.checks import checked, checked_logits, require_number
from epslab.attacks.goals import untargeted
from epslab.attacks.objectives import require_per_example
from epslab.classifiers.objective import LossWithLogits
from epslab.nets.answers import logits_of
from epslab.nets.modes import borrowed
from epslab.nets.random import ask
from epslab.seeds import draw
from epslab.types import Classifier, Images, Labels, Logits, PerExample, Seeds


@dataclass(frozen=True)
class AdversarialLoss(LossWithLogits):
    """α·J(x) + (1 − α)·J(x_adv), in two passes (Goodfellow et al., 2015, section 6, with any attack).

    With α = 0 it is the training of Madry et al. (2018), and the model is not asked about the clean images.

    >>> from epslab.geometry import Linf
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
    >>> loss = AdversarialLoss(FGSM(Linf(8 / 255)))
    >>> loss(net, torch.rand(5, 1, 8, 8), torch.arange(5)).shape
    torch.Size([5])

    Args:
        attack: Makes x_adv; the paper's is ``FGSM(ball)``.
        clean_weight: α in [0, 1].
        label_smoothing: Share of the label given to all classes alike, in [0, 1).

    Raises:
        UserError: A setting out of range.
    """

    unit: ClassVar[str] = "nats"
    attack: Attack
    clean_weight: float = 0.5
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        """Refuse settings that cannot work."""
        require_attack(self.attack, "What AdversarialLoss trains against")
        require_number("a number between 0 and 1", lambda weight: 0 <= weight <= 1, clean_weight=self.clean_weight)
        _check_smoothing(self.label_smoothing)

    def with_logits(
        self,
        model: Classifier,
        images: Images,
        labels: Labels,
        generator: Generator | None = None,
        *,
        seeds: Seeds | None = None,
    ) -> tuple[PerExample, Logits | None]:
        """The loss of each example in nats, [n], and the logits of the clean images if it asked for them (α > 0).

        Args:
            model: Images in [0, 1] to logits.
            images: [n c h w] in [0, 1].
            labels: The true classes, [n].
            generator: Draws the attack's seeds (None: torch's default).
            seeds: The examples' own seeds instead, [n].
        """
        alpha, logits = self.clean_weight, None
        x_adv = _attacked(self.attack, model, images, labels, generator, seeds)
        loss = (1 - alpha) * _cross_entropy(logits_of(model(x_adv)), labels, self.label_smoothing)
        if alpha > 0:
            logits = logits_of(model(images))
            loss = loss + alpha * _cross_entropy(logits, labels, self.label_smoothing)
        return loss, logits


@dataclass(frozen=True)
class AdversarialBatch(LossWithLogits):
    """½·J(x) + ½·J(x_adv) in one pass over a batch of twice the size (Kurakin et al., 2017, section 3).

    Without BatchNorm its gradient is that of ``AdversarialLoss`` at α = ½ with the same attack. With it the two differ:
    here clean and attacked images are normalised by the statistics they have together, there each by its own.

    Args:
        attack: Makes x_adv.
        label_smoothing: Share of the label given to all classes alike, in [0, 1).

    Raises:
        UserError: A setting out of range.
    """

    unit: ClassVar[str] = "nats"
    attack: Attack
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        """Refuse settings that cannot work."""
        require_attack(self.attack, "What AdversarialBatch trains against")
        _check_smoothing(self.label_smoothing)

    def with_logits(
        self,
        model: Classifier,
        images: Images,
        labels: Labels,
        generator: Generator | None = None,
        *,
        seeds: Seeds | None = None,
    ) -> tuple[PerExample, Logits]:
        """The mean of an example's two losses in nats, [n], and the logits of the clean images.

        Arguments as for ``AdversarialLoss``.
        """
        x_adv = _attacked(self.attack, model, images, labels, generator, seeds)
        logits = logits_of(model(torch.cat([images, x_adv])))
        both = _cross_entropy(logits, torch.cat([labels, labels]), self.label_smoothing)
        return both.view(2, -1).mean(0), logits[: len(images)]


def _attacked(
    attack: Attack,
    model: Classifier,
    images: Images,
    labels: Labels,
    generator: Generator | None,
    seeds: Seeds | None,
) -> Images:
    """The batch attacked for the greatest loss; without seeds, every call draws new ones."""
    own: Tensor = draw(len(images), generator, images.device) if seeds is None else seeds
    if isinstance(attack, FGSM) and attack.goal is untargeted and attack.model_draws == 1:
        return _fast_gradient_sign(attack, model, images, labels, own)
    return attack.thorough()(model, images, labels, seeds=own).images


def _fast_gradient_sign(attack: FGSM, model: Classifier, images: Images, labels: Labels, seeds: Seeds) -> Images:
    """The point of ball and box that is farthest along the gradient: FGSM's, from one forward and one backward pass."""
    x, y = checked(images, labels, seeds)
    with borrowed(model, frozen=True, device=x.device), torch.inference_mode(False), torch.enable_grad():
        x = x.clone().requires_grad_()
        values = attack.objective(checked_logits(ask(model, x, seeds), y), y)
        require_per_example(values, len(x))
        value = values.sum()
        # A model that cuts its graph has no gradient: x_adv is x.
        gradient = torch.autograd.grad(value, x)[0].nan_to_num() if value.requires_grad else torch.zeros_like(x)
        return torch.empty_like(images).copy_(attack.ball.farthest(gradient, x.detach(), (0.0, 1.0)))


def _cross_entropy(logits: Tensor, labels: Tensor, label_smoothing: float) -> Tensor:
    return F.cross_entropy(logits, labels, reduction="none", label_smoothing=label_smoothing)


def _check_smoothing(label_smoothing: float) -> None:
    require_number(
        "a number of at least 0 and less than 1", lambda share: 0 <= share < 1, label_smoothing=label_smoothing
    )
