"""Whether the adversarial loss and the adversarial batch are the same defence: their gradients, with the same attack.

Without BatchNorm every example's loss is its own, and both are ½·J(x) + ½·J(x_adv). With it, clean and attacked images
are normalised by their own statistics in the one, by common ones in the other.
"""

import copy
from typing import NamedTuple, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from epslab import seeds
from epslab.attacks import FGSM, PGD, Attack
from epslab.attacks.folding import folded
from epslab.data import ImageSet
from epslab.defences import AdversarialBatch, AdversarialLoss
from epslab.studies.context import Context
from epslab.studies.trained import STEPS
from epslab.types import Images, Labels, Seeds

IMAGES = 64
EQUAL = 1e-9
"""Relative differences up to this are float64's rounding."""


class Gap(NamedTuple):
    """How far two gradients are apart."""

    net: str
    batch_statistics: bool  #: whether BatchNorm normalises by the batch
    attack: str
    relative: float  #: ‖g₁ − g₂‖ / ‖g₁‖
    cosine: float


class Sameness(NamedTuple):
    """The gaps for each net and attack, and the number of images they were measured on."""

    gaps: tuple[Gap, ...]
    images: int


def gaps(model: nn.Module, images: ImageSet, context: Context) -> Sameness:
    """Compare the defences' gradients on the trained net, and on the same net without BatchNorm."""
    part = images[: min(IMAGES, len(images))]
    device = next(model.parameters()).device
    x, y = part.images.to(device).double(), part.labels.to(device)
    own = seeds.of_indices(context.seed, torch.arange(len(part)), "same defence").to(device)
    exact = copy.deepcopy(model).double()
    with torch.no_grad():
        without = cast(nn.Module, folded(exact.eval().requires_grad_(requires_grad=False), x, exact(x)))
    nets = {
        "as trained, BatchNorm's statistics of each batch": (exact, True),
        "as trained, BatchNorm's statistics held": (exact, False),
        "BatchNorm folded into the convolutions": (without, False),
    }
    attacks: dict[str, Attack] = {"FGSM": FGSM(context.ball), f"PGD-{STEPS}": PGD(context.ball, steps=STEPS)}
    found = []
    for name, (net, batch) in nets.items():
        for label, attack in attacks.items():
            g, h = gradients(net, attack, x, y, own, training=batch)
            cosine = torch.dot(g, h) / (g.norm() * h.norm())
            found.append(Gap(name, batch, label, ((g - h).norm() / g.norm()).item(), cosine.item()))
    return Sameness(tuple(found), len(part))


def gradients(
    net: nn.Module, attack: Attack, images: Images, labels: Labels, own: Seeds, *, training: bool = True
) -> tuple[Float[Tensor, " parameters"], Float[Tensor, " parameters"]]:
    """The gradients of the adversarial loss at α = ½ and of the adversarial batch, in all parameters.

    Args:
        net: Comes back as it was.
        attack: Of both.
        images: [n c h w].
        labels: [n].
        own: The images' own seeds, [n].
        training: Whether BatchNorm uses the batch's statistics, as in training.
    """
    found = []
    for loss in (AdversarialLoss(attack, 0.5), AdversarialBatch(attack)):
        # A copy each: in training BatchNorm's running statistics move, and the attack is made with them.
        mine = copy.deepcopy(net).train(training).requires_grad_(requires_grad=True)
        total = loss(mine, images, labels, seeds=own).mean()
        found.append(torch.cat([g.flatten() for g in torch.autograd.grad(total, list(mine.parameters()))]))
    return found[0], found[1]
