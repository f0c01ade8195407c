"""Mixtures of round normals on the plane, whose score is known at every noise level."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Generator, Tensor


@dataclass(frozen=True, eq=False)
class Mixture:
    """Σ_k w_k N(c_k, std² I).

    >>> two = Mixture(torch.tensor([[-5.0, -5.0], [5.0, 5.0]]), 1.0, (0.2, 0.8))
    >>> two.score(torch.tensor([[5.0, 6.0]]), torch.tensor([0.0]))
    tensor([[ 0., -1.]])

    Args:
        centres: c_k, [k d].
        std: Of every component, in every coordinate.
        weights: w_k, summing to 1; None: equal.
    """

    centres: Tensor
    std: float
    weights: Sequence[float] | None = None

    def score(self, x: Float[Tensor, "n d"], sigma: Float[Tensor, " n"]) -> Float[Tensor, "n d"]:
        """The score of the mixture smoothed by noise of standard deviation sigma, whose components have std² + sigma².

            ∇ log p_sigma(x) = Σ_k γ_k(x)·(c_k − x)/(std² + sigma²)

        with γ_k(x) the probability that x comes from component k.
        """
        variance = (self.std**2 + sigma**2)[:, None]
        difference = self.centres.to(x) - x[:, None]  # [n k d]
        log_weights = torch.zeros(len(self.centres)).to(x) if self.weights is None else x.new_tensor(self.weights).log()
        gamma = (log_weights - difference.square().sum(2) / (2 * variance)).softmax(1)
        return (gamma[:, :, None] * difference).sum(1) / variance

    def sample(self, n: int, generator: Generator) -> Float[Tensor, "n d"]:
        """Independent draws."""
        weights = torch.ones(len(self.centres)) if self.weights is None else torch.tensor(self.weights)
        component = torch.multinomial(weights, n, replacement=True, generator=generator)
        return self.centres[component] + self.std * torch.randn(n, self.centres.shape[1], generator=generator)
