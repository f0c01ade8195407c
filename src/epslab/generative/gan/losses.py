"""The losses of Goodfellow et al. (2014), from the discriminator's logits l(x), where D(x) = 1/(1 + e^−l(x))."""

import torch.nn.functional as F

from epslab.errors import unknown
from epslab.types import PerExample

LOSSES = ("non-saturating", "minimax")


def discriminator_loss(real: PerExample, fake: PerExample) -> PerExample:
    """What the discriminator minimises: the negative of the game's value (eq. 1), nats, [n].

        −log D(x) − log(1 − D(G(z)))

    Its least expectation is log 4 − 2·JSD(p‖q), at D*(x) = p(x)/(p(x) + q(x)), with p the law of the data and q that
    of the samples (proposition 1 and theorem 1). log 4 = 1.386 means that it cannot tell them apart.

    >>> import torch
    >>> discriminator_loss(torch.zeros(1), torch.zeros(1))
    tensor([1.3863])

    Args:
        real: Logits of real examples, [n].
        fake: Logits of generated examples, [n].
    """
    return F.softplus(-real) + F.softplus(fake)


def generator_loss(fake: PerExample, kind: str = "non-saturating") -> PerExample:
    """What the generator minimises, nats, [n]: −log D(G(z)), or log(1 − D(G(z))) of the minimax game.

    Both push D(G(z)) up. Where the discriminator is sure that a sample is not real (D → 0, as early in training), the
    slope in l is −(1 − D) → −1 for the first and −D → 0 for the second: it saturates (section 3).

    Args:
        fake: Logits of generated examples, [n].
        kind: "non-saturating" or "minimax".

    Raises:
        UserError: Another kind.
    """
    if kind not in LOSSES:
        raise unknown("loss", kind, LOSSES)
    return F.softplus(-fake) if kind == "non-saturating" else -F.softplus(fake)
