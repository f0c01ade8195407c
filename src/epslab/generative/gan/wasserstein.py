"""The two turns of a Wasserstein GAN, and both ways to keep its critic Lipschitz."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from epslab.errors import UserError
from epslab.generative.gan.diversity import diversity
from epslab.generative.gan.model import WassersteinGAN
from epslab.generative.gan.objectives import DIVERSITY
from epslab.generative.gan.penalty import gradient_penalty
from epslab.probability.densities import wide
from epslab.runs import Column
from epslab.seeds import fork
from epslab.types import Batch, PerExample, Progress

_Factory = Callable[[Iterable[nn.Parameter]], Optimizer]


@dataclass(frozen=True)
class CriticObjective:
    """−(f(x) − f(G(z))) + λ·(‖∇f(x̂)‖₂ − 1)², for each real example and one generated beside it.

    The curves: ``loss``; ``wasserstein`` (f(x) − f(G(z)): for a 1-Lipschitz critic a lower bound in expectation of the
    Wasserstein-1 distance between data and samples, which a good critic comes near to; with clipped weights it is that
    distance times an unknown factor); with a penalty, ``penalty`` ((‖∇f(x̂)‖₂ − 1)² without λ; near 0).

    >>> from epslab.nets import PerceptronCritic, PerceptronGenerator
    >>> gan = WassersteinGAN(PerceptronGenerator((2,), 4), PerceptronCritic((2,)), latent_dim=4)
    >>> sorted(CriticObjective(gan, penalty=10.0).columns)
    ['loss', 'penalty', 'wasserstein']

    Args:
        gan: The model; only its critic is to be trained by this.
        penalty: λ (Gulrajani et al., 2017, eq. 3); 0: none, for a critic whose weights are clipped.

    Raises:
        UserError: The penalty is negative.
    """

    gan: WassersteinGAN
    penalty: float = 0.0

    def __post_init__(self) -> None:
        if not self.penalty >= 0:
            raise UserError(f"penalty weighs the gradient's penalty and must be 0 or more, not {self.penalty}.")

    @property
    def columns(self) -> dict[str, Column]:
        """What the entries are."""
        scaled = "" if self.penalty else " times a constant"
        found = {
            "loss": Column("Critic's loss"),
            "wasserstein": Column(f"Critic's gap: Wasserstein-1 distance{scaled}, estimated", better="lower"),
        }
        return {**found, "penalty": Column("Gradient penalty (‖∇f‖ − 1)²")} if self.penalty else found

    def __call__(self, batch: Batch, progress: Progress) -> dict[str, PerExample]:
        """Loss, gap and penalty."""
        fakes = self.gan.fakes(batch.seeds, "critic").detach()
        gap = wide(self.gan.critic(batch.examples)) - wide(self.gan.critic(fakes))
        if not self.penalty:
            return {"loss": -gap, "wasserstein": gap.detach()}
        penalty = gradient_penalty(self.gan.critic, batch.examples, fakes, seeds=fork(batch.seeds, "penalty"))
        return {"loss": self.penalty * penalty - gap, "wasserstein": gap.detach(), "penalty": penalty.detach()}


@dataclass(frozen=True)
class WassersteinGeneratorObjective:
    """−f(G(z)), one sample for each example of the batch; and ``diversity``, as for a GAN.

    Args:
        gan: The model; only its generator is to be trained by this.
    """

    gan: WassersteinGAN

    @property
    def columns(self) -> dict[str, Column]:
        """What the entries are."""
        return {"loss": Column("Generator's loss −f(G(z))"), "diversity": DIVERSITY}

    def __call__(self, batch: Batch, progress: Progress) -> dict[str, PerExample]:
        """Loss and diversity."""
        fakes = self.gan.fakes(batch.seeds, "generator")
        return {"loss": -wide(self.gan.critic(fakes)), "diversity": diversity(fakes.detach(), batch.examples)}


def clip_weights(optimiser: _Factory, bound: float) -> _Factory:
    """An optimiser that moves every weight back into [−bound, bound] after each of its steps, biases too.

    A net of such weights is Lipschitz, with an unknown constant (Arjovsky et al., 2017, algorithm 1).

    >>> from functools import partial
    >>> layer = nn.Linear(2, 1)
    >>> sgd = clip_weights(partial(torch.optim.SGD, lr=100.0), 0.01)(layer.parameters())
    >>> layer(torch.ones(1, 2)).sum().backward()
    >>> sgd.step()
    >>> layer.weight
    Parameter containing:
    tensor([[-0.0100, -0.0100]], requires_grad=True)

    Args:
        optimiser: Makes the optimiser from the parameters. They are clipped when it is made, too.
        bound: Largest absolute value of a weight.

    Raises:
        UserError: The bound is not above 0.
    """
    if not bound > 0:
        raise UserError(f"Weights are clipped to [−bound, bound], so the bound must be above 0, not {bound}.")

    def make(parameters: Iterable[nn.Parameter]) -> Optimizer:
        own = list(parameters)
        made = optimiser(own)

        @torch.no_grad()
        def clip(*_: Any) -> None:
            for weights in own:
                weights.clamp_(-bound, bound)

        clip()
        made.register_step_post_hook(clip)
        return made

    return make
