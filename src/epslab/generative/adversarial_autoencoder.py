"""The adversarial autoencoder: a net that judges codes brings their law to the prior.

Makhzani et al. (2016), "Adversarial autoencoders". With the squared error it is the WAE-GAN of Tolstikhin et al.
(2018), algorithm 1. A discriminator of codes brings down the Jensen–Shannon divergence between their law and the prior,
a 1-Lipschitz critic the Wasserstein-1 distance.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from epslab.errors import UserError, unknown
from epslab.generative.gan import discriminator_loss, generator_loss, gradient_penalty
from epslab.generative.wasserstein_autoencoder import WassersteinAutoencoder, reconstruction_error
from epslab.probability.densities import wide
from epslab.runs import Column
from epslab.seeds import fork
from epslab.types import Batch, PerExample, Progress

Judgement = Literal["jensen-shannon", "wasserstein"]
JUDGEMENTS: tuple[Judgement, ...] = ("jensen-shannon", "wasserstein")


class AdversarialAutoencoder(WassersteinAutoencoder):
    """A Wasserstein autoencoder with a judge of codes, which tells draws of the prior from the codes of examples.

    >>> from epslab.nets import PerceptronCritic
    >>> from epslab.nets.codes import perceptron_pair
    >>> pair = perceptron_pair((1, 8, 8), latent_dim=2, hidden=(32,))
    >>> model = AdversarialAutoencoder(*pair, PerceptronCritic((2,)), shape=(1, 8, 8), latent_dim=2)
    >>> model.judge(model.encode(torch.rand(3, 1, 8, 8))).shape, model.sample(3).shape
    (torch.Size([3]), torch.Size([3, 1, 8, 8]))

    Args:
        encoder: f, from examples [n *shape] to codes [n D]: a function of the example, the paper's deterministic q.
        decoder: As in ``WassersteinAutoencoder``.
        judge: Codes [n D] to one number each, [n]: the logit of being a draw of the prior, or a critic's value, which
            is to be greater for draws of the prior.
        shape: Of one example: (channels, height, width) of images, or (d,) of points.
        latent_dim: D.

    Raises:
        UserError: latent_dim is below 1; when called, examples of another shape.
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        judge: nn.Module,
        shape: tuple[int, ...],
        latent_dim: int,
    ) -> None:
        super().__init__(encoder, decoder, shape, latent_dim)
        self.judge = judge


@dataclass(frozen=True)
class JudgeObjective:
    """What the judge minimises, with z̃ a draw of the prior and z = f(x) a code.

        "jensen-shannon":    −log D(z̃) − log(1 − D(z)),    D the sigmoid of the judge's logit
        "wasserstein":       −(f(z̃) − f(z)) + λ·(‖∇f(ẑ)‖₂ − 1)²,    ẑ between the two

    The curves: ``loss`` (of a discriminator: log 4 = 1.386 where it cannot tell them apart) and ``distance``, what the
    judge says of the distance of the two laws: log 2 − loss/2 or f(z̃) − f(z); 0 where they are one.

    Args:
        model: The model; only its judge is to be trained by this.
        kind: "jensen-shannon" or "wasserstein".
        penalty: λ ≥ 0 of the critic (Gulrajani et al., 2017).

    Raises:
        UserError: Another kind, or a negative penalty.
    """

    model: AdversarialAutoencoder
    kind: Judgement = "jensen-shannon"
    penalty: float = 10.0

    def __post_init__(self) -> None:
        if self.kind not in JUDGEMENTS:
            raise unknown("kind", self.kind, JUDGEMENTS)
        if not self.penalty >= 0:
            raise UserError(f"penalty weighs the gradient's penalty and must be 0 or more, not {self.penalty}.")

    @property
    def columns(self) -> dict[str, Column]:
        """What the entries are."""
        name, unit = {
            "jensen-shannon": ("Jensen–Shannon divergence of codes and prior, lower bound", "nats"),
            "wasserstein": ("Wasserstein-1 distance of codes and prior, estimated", ""),
        }[self.kind]
        return {"loss": Column("Judge's loss"), "distance": Column(name, unit, better="lower")}

    def __call__(self, batch: Batch, progress: Progress) -> dict[str, PerExample]:
        """Loss and estimated distance, a draw of the prior beside each code."""
        model = self.model
        with torch.no_grad():
            code = model.encode(batch.examples)
        prior = model.prior_draws(batch.seeds).to(code)
        real, fake = wide(model.judge(prior)), wide(model.judge(code))
        if self.kind == "jensen-shannon":
            loss = discriminator_loss(real, fake)
            return {"loss": loss, "distance": torch.log(torch.tensor(2.0)).to(loss) - loss.detach() / 2}
        slope = gradient_penalty(model.judge, prior, code, seeds=fork(batch.seeds, "penalty"))
        gap = real - fake
        return {"loss": self.penalty * slope - gap, "distance": gap.detach()}


@dataclass(frozen=True)
class DeceivingObjective:
    """What encoder and decoder minimise: ‖x − x̂‖² + λ·A(f(x)), where A deceives the judge.

        "jensen-shannon":    A(z) = −log D(z)
        "wasserstein":       A(z) = −f(z)

    Makhzani et al. (2016) take the two parts in turn; here they are one step. The curves: ``loss``, ``squared_error``.

    Args:
        model: The model; only its encoder and decoder are to be trained by this.
        kind: "jensen-shannon" or "wasserstein".
        weight: λ ≥ 0.

    Raises:
        UserError: Another kind, or a negative weight.
    """

    model: AdversarialAutoencoder
    kind: Judgement = "jensen-shannon"
    weight: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in JUDGEMENTS:
            raise unknown("kind", self.kind, JUDGEMENTS)
        if not self.weight >= 0:
            raise UserError(f"weight is that of the judge and must be 0 or more, not {self.weight}.")

    @property
    def columns(self) -> dict[str, Column]:
        """What the entries are."""
        return {
            "loss": Column("Squared error + λ·deceiving the judge"),
            "squared_error": Column("Squared error ‖x − x̂‖²", better="lower"),
        }

    def __call__(self, batch: Batch, progress: Progress) -> dict[str, PerExample]:
        """The loss of each example, and its squared error."""
        z = self.model.encode(batch.examples)
        error = reconstruction_error(self.model, z, batch.examples)
        judged = wide(self.model.judge(z))
        deceiving = generator_loss(judged) if self.kind == "jensen-shannon" else -judged
        return {"loss": error + self.weight * deceiving, "squared_error": error.detach()}
