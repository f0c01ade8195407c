"""The two turns of a GAN: the discriminator tells real from generated examples, the generator is judged by it."""

import math
from dataclasses import dataclass

from epslab.errors import unknown
from epslab.generative.gan.diversity import diversity
from epslab.generative.gan.losses import LOSSES, discriminator_loss, generator_loss
from epslab.generative.gan.model import GAN
from epslab.probability.densities import wide
from epslab.runs import Column
from epslab.types import Batch, PerExample, Progress

DIVERSITY = Column("Spread of samples / of the data")


@dataclass(frozen=True)
class DiscriminatorObjective:
    """−log D(x) − log(1 − D(G(z))) in nats, for each real example and one generated beside it.

    The curves: ``loss`` (log 4 = 1.386 where real and generated cannot be told apart; near 0 the generator has lost),
    ``jensen_shannon`` (log 2 − loss/2: in expectation a lower bound of the divergence between data and samples, nats,
    at most log 2 = 0.693), ``real`` and ``fake`` (the mean of D on both; ½ each where it cannot tell).

    >>> from epslab.nets import PerceptronCritic, PerceptronGenerator
    >>> gan = GAN(PerceptronGenerator((2,), 4), PerceptronCritic((2,)), latent_dim=4)
    >>> sorted(DiscriminatorObjective(gan).columns)
    ['fake', 'jensen_shannon', 'loss', 'real']

    Args:
        gan: The model; only its discriminator is to be trained by this.
    """

    gan: GAN

    @property
    def columns(self) -> dict[str, Column]:
        """What the entries are."""
        return {
            "loss": Column("Discriminator's loss", "nats"),
            "jensen_shannon": Column("Jensen–Shannon divergence, lower bound", "nats", better="lower"),
            "real": Column("D(x): real images called real", "fraction"),
            "fake": Column("D(G(z)): samples called real", "fraction"),
        }

    def __call__(self, batch: Batch, progress: Progress) -> dict[str, PerExample]:
        """Loss, bound of the divergence, and what D says."""
        fakes = self.gan.fakes(batch.seeds, "discriminator")
        real, fake = wide(self.gan.discriminator(batch.examples)), wide(self.gan.discriminator(fakes.detach()))
        loss = discriminator_loss(real, fake)
        known = loss.detach()
        return {
            "loss": loss,
            "jensen_shannon": math.log(2) - known / 2,
            "real": real.detach().sigmoid(),
            "fake": fake.detach().sigmoid(),
        }


@dataclass(frozen=True)
class GeneratorObjective:
    """The generator's loss in nats, one sample for each example of the batch.

    The curves: ``loss``, and ``diversity`` (the monitor of mode collapse, see ``epslab.generative.gan.diversity``).

    Args:
        gan: The model; only its generator is to be trained by this.
        kind: "non-saturating": −log D(G(z)); "minimax": log(1 − D(G(z))).

    Raises:
        UserError: Another kind.
    """

    gan: GAN
    kind: str = "non-saturating"

    def __post_init__(self) -> None:
        if self.kind not in LOSSES:
            raise unknown("loss", self.kind, LOSSES)

    @property
    def columns(self) -> dict[str, Column]:
        """What the entries are."""
        return {"loss": Column("Generator's loss", "nats"), "diversity": DIVERSITY}

    def __call__(self, batch: Batch, progress: Progress) -> dict[str, PerExample]:
        """Loss and diversity."""
        fakes = self.gan.fakes(batch.seeds, "generator")
        loss = generator_loss(wide(self.gan.discriminator(fakes)), self.kind)
        return {"loss": loss, "diversity": diversity(fakes.detach(), batch.examples)}
