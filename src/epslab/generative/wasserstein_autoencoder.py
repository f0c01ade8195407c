"""The Wasserstein autoencoder: its codes together are to follow a prior, so that it can be drawn from.

Tolstikhin et al. (2018), "Wasserstein auto-encoders". An optimal transport cost between data and samples is at most
the reconstruction error of an encoder whose aggregated posterior, the law of f(x) over the data, equals the prior
(theorem 1). That constraint is relaxed to a penalty.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from epslab.errors import UserError
from epslab.generative.autoencoder import Autoencoder
from epslab.nets.modes import evaluating
from epslab.probability.densities import wide
from epslab.probability.distances import mmd_inverse_multiquadratic
from epslab.runs import Column
from epslab.seeds import draw, fork, noise
from epslab.types import Batch, Latents, PerExample, Progress, Seeds

_WIDTHS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
"""The paper's kernel is a sum over these multiples of 2·D, the mean squared distance of two draws of the prior."""


class WassersteinAutoencoder(Autoencoder):
    """z = f(x), x̂ = g(z), with the prior N(0, I) over codes: a sample is g(z) at a draw of the prior.

    >>> from epslab.nets.codes import perceptron_pair
    >>> model = WassersteinAutoencoder(*perceptron_pair((1, 8, 8), 5, (32,)), shape=(1, 8, 8), latent_dim=5)
    >>> model.encode(torch.rand(3, 1, 8, 8)).shape, model.sample(3).shape
    (torch.Size([3, 5]), torch.Size([3, 1, 8, 8]))

    Args:
        encoder: f, from examples [n *shape] to codes [n D].
        decoder: From codes to points [n d], which are g(z); or to logits [n c h w], with g(z) their sigmoid.
        shape: Of one example: (channels, height, width) of images, or (d,) of points.
        latent_dim: D.

    Raises:
        UserError: latent_dim is below 1; when called, examples of another shape.
    """

    def __init__(
        self,
        encoder: Callable[[Tensor], Tensor],
        decoder: Callable[[Tensor], Tensor],
        shape: tuple[int, ...],
        latent_dim: int,
    ) -> None:
        super().__init__(encoder, decoder, shape)
        if latent_dim < 1:
            raise UserError(f"latent_dim is {latent_dim}, but a code needs at least 1 dimension.")
        self.latent_dim = latent_dim

    def decode(self, z: Latents) -> Float[Tensor, "n *shape"]:
        """g(z): images in [0, 1], or points."""
        decoded = super().decode(z)
        return decoded.sigmoid() if len(self.shape) == 3 else decoded

    def sample(self, n: int, generator: Generator | None = None) -> Float[Tensor, "n *shape"]:
        """g(z) at n draws of z from the prior, in eval mode: sample k is the same however many are drawn."""
        like = next(self.parameters(), torch.empty(()))
        with torch.no_grad(), evaluating(self):
            return self.decode(self.prior_draws(draw(n, generator, like.device)).to(like.dtype))

    def prior_draws(self, seeds: Seeds) -> Latents:
        """One draw of N(0, I) for each seed, float32 [n D]."""
        return noise(fork(seeds, "prior"), 0, (self.latent_dim,))


@dataclass(frozen=True)
class MMDObjective:
    """‖x − x̂‖² + λ·MMD²(codes of the batch, as many draws of the prior): the penalty of WAE-MMD.

    The discrepancy is the unbiased one with the inverse multiquadratic kernel, a quantity of the whole batch: the same
    number for each of its examples, and 0 for a batch of one, which has none. The curves: ``loss``, ``squared_error``
    (falls), ``mmd`` (near 0, of either sign, once the codes follow the prior).

    Args:
        model: What is trained.
        weight: λ ≥ 0.

    Raises:
        UserError: The weight is negative.
    """

    model: WassersteinAutoencoder
    weight: float = 100.0

    def __post_init__(self) -> None:
        if not self.weight >= 0:
            raise UserError(f"weight is that of the codes' discrepancy and must be 0 or more, not {self.weight}.")

    @property
    def columns(self) -> dict[str, Column]:
        """What the entries are."""
        return {
            "loss": Column("Squared error + λ·discrepancy"),
            "squared_error": Column("Squared error ‖x − x̂‖²", better="lower"),
            "mmd": Column("Squared discrepancy of the codes from the prior", better="lower"),
        }

    def __call__(self, batch: Batch, progress: Progress) -> dict[str, PerExample]:
        """The loss of each example and its two parts."""
        z = self.model.encode(batch.examples)
        error = reconstruction_error(self.model, z, batch.examples)
        mmd = self.discrepancy(z, batch.seeds).expand(len(z))
        return {"loss": error + self.weight * mmd, "squared_error": error.detach(), "mmd": mmd.detach()}

    def discrepancy(self, z: Latents, seeds: Seeds) -> Float[Tensor, ""]:
        """MMD² between these codes and one draw of the prior for each."""
        z = wide(z)
        if len(z) < 2:
            return 0.0 * z.sum()
        scales = [2.0 * self.model.latent_dim * width for width in _WIDTHS]
        return mmd_inverse_multiquadratic(z, self.model.prior_draws(seeds).to(z), scales)


def reconstruction_error(model: Autoencoder, z: Latents, examples: Float[Tensor, "n *shape"]) -> PerExample:
    """‖x − g(z)‖² of each example, summed over its dimensions, [n]."""
    return wide(model.decode(z) - examples).square().flatten(1).sum(1)
