"""The training objective of a denoising autoencoder: the denoising error at a random level of the ladder."""

from dataclasses import dataclass

import torch

from epslab.generative.denoising import DenoisingAutoencoder
from epslab.probability.densities import wide
from epslab.runs import Column
from epslab.seeds import fork, noise, uniform
from epslab.types import Batch, PerExample, Progress


@dataclass(frozen=True)
class DenoisingObjective:
    """The squared error of denoising at a level drawn evenly from the ladder, weighed so that all levels count alike.

        loss = (1/sigma² + 1/s²)·‖r(x + sigma·eps, sigma) − x‖²

    The weight makes it the squared error of the net F itself (Karras et al., 2022, eq. 8); at narrow levels it is
    that of the score, sigma²·‖score + eps/sigma‖² (Song & Ermon, 2019, eq. 5 with lambda = sigma²).

    Curves: ``loss``, and ``score_error``, that last term, which no level weighs more than another.

    Args:
        model: What is trained.
    """

    model: DenoisingAutoencoder

    @property
    def columns(self) -> dict[str, Column]:
        """What the entries are."""
        return {
            "loss": Column("Denoising error, weighed", better="lower"),
            "score_error": Column("Error of the score, times sigma, squared", better="lower"),
        }

    def __call__(self, batch: Batch, progress: Progress) -> dict[str, PerExample]:
        """Weighed denoising error and error of the score at each example, each at a level of its own."""
        model, own = self.model, fork(batch.seeds, "denoising")
        x = wide(batch.examples)
        levels = len(model.sigmas)
        level = (uniform(own, 0, (), torch.float64) * levels).long().clamp(max=levels - 1)
        sigma = wide(model.sigmas)[level]
        eps = noise(own, 1, model.shape, x.dtype)
        noisy = x + sigma.view(-1, *[1] * len(model.shape)) * eps
        error = (model.denoise(noisy, sigma) - x).square().flatten(1).sum(1)
        score_error = error / sigma**2
        return {
            "loss": score_error + error / wide(model.std) ** 2,
            "score_error": score_error.detach(),
        }
