"""Estimates of log p(x) of a latent-variable model, per example, and the conversion to bits/dim.

Both estimates are logarithms of averages of weights,

    log (1/K) Σ_k w_k,    by log-sum-exp,

never (1/K) Σ_k log w_k and never a mean weighted by the w_k. The draws are made in chunks, and one number per example
is kept, so memory does not grow with the number of draws. Draw k of an example depends on its seed and on k alone:
neither the chunk nor the other examples change it. A NaN among the weights stays visible in the result.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from epslab.errors import UserError
from epslab.probability.densities import wide
from epslab.seeds import draw
from epslab.types import Images, LatentVariableModel, PerExample, Seeds

LATENTS_PER_PASS = 1024
"""Number of latents (draws times examples) per pass of the decoder if ``chunk`` is None."""

OnDraws = Callable[[int], None]
"""Called with the number of draws just made, of all examples together."""


@runtime_checkable
class Draws(Protocol):
    """A model's log-densities at one batch of images; what all draws share is computed once."""

    def log_weights(self, samples: int, *, seeds: Seeds, first: int = 0) -> Float[Tensor, "samples n"]:
        """Log p(x, z_k) − log q(z_k given x), z_k from q, for draws first..first+samples−1."""
        ...

    def log_likelihoods(self, samples: int, *, seeds: Seeds, first: int = 0) -> Float[Tensor, "samples n"]:
        """Log p(x given z_l), z_l from the prior, for draws first..first+samples−1."""
        ...


@runtime_checkable
class EncodesOnce(LatentVariableModel, Protocol):
    """A latent-variable model that can encode a batch once for many draws, as ``epslab.generative.VAE`` does."""

    def at(self, images: Images) -> Draws:
        """The log-densities at these images."""
        ...


def bits_per_dim(nll: Float[Tensor, "*shape"], image_shape: Sequence[int]) -> Float[Tensor, "*shape"]:
    """Negative log-likelihoods in nats to bits per dimension: nll·log2(e)/Π d_i.

    Args:
        nll: −log p(x) in nats, summed over dimensions; any shape.
        image_shape: (channels, height, width), without the batch.

    Raises:
        UserError: The shape has more than three axes, as that of a batch has.
    """
    if len(image_shape) > 3:
        raise UserError(
            f"The image shape is {tuple(image_shape)}, but at most (channels, height, width) was expected; leave the"
            " batch dimension out."
        )
    return nll * (math.log2(math.e) / math.prod(image_shape))


def prior_monte_carlo(
    model: LatentVariableModel,
    images: Float[Tensor, "n *shape"],
    samples: int,
    generator: Generator | None = None,
    *,
    seeds: Seeds | None = None,
    chunk: int | None = None,
    on_draws: OnDraws | None = None,
) -> PerExample:
    """Log (1/L) Σ_l p(x given z_l), z_l from the prior: log p(x) by simple Monte Carlo, [n] in nats.

    Its expectation is below log p(x), and the gap grows as fewer draws fall where the posterior has its mass, so with
    the number of latent dimensions. No gradient is kept.

    Args:
        model: A ``LatentVariableModel``, such as ``VAE`` or ``LinearGaussian``.
        images: Examples x.
        samples: Number of draws L ≥ 1 for each example.
        generator: Draws the examples' seeds if ``seeds`` is None (None: torch's default).
        seeds: One seed per example.
        chunk: Draws of each example in one pass; None: as many as make 1024 latents, at least one.
        on_draws: Called after each pass with the number of draws made in it.

    Raises:
        UserError: ``samples`` or ``chunk`` < 1.
    """
    at = model.at(images).log_likelihoods if isinstance(model, EncodesOnce) else partial(model.log_likelihoods, images)
    return _log_mean_exp(at, images, samples, generator, seeds, chunk, on_draws)


def importance_weighted(
    model: LatentVariableModel,
    images: Float[Tensor, "n *shape"],
    samples: int,
    generator: Generator | None = None,
    *,
    seeds: Seeds | None = None,
    chunk: int | None = None,
    on_draws: OnDraws | None = None,
) -> PerExample:
    """Log (1/K) Σ_k p(x, z_k)/q(z_k given x), z_k from q: the bound of Burda et al. (2016), eq. 8, [n] in nats.

    Its expectation never falls with K and never exceeds log p(x). With K = 1 it is the ELBO. If q is the true
    posterior, every draw gives log p(x). No gradient is kept.

    >>> from epslab.generative import LinearGaussian
    >>> model = LinearGaussian(torch.tensor([[2.0], [1.0]]), torch.zeros(2), 0.5)
    >>> x = model.sample(3)
    >>> bound = importance_weighted(model, x, samples=10)  # the model's q is its exact posterior
    >>> bool(torch.allclose(bound, model.log_prob(x), atol=1e-4))
    True

    Arguments and errors are those of ``prior_monte_carlo``, with K for L.
    """
    at = model.at(images).log_weights if isinstance(model, EncodesOnce) else partial(model.log_weights, images)
    return _log_mean_exp(at, images, samples, generator, seeds, chunk, on_draws)


@torch.no_grad()
def _log_mean_exp(
    log_values: Callable[..., Float[Tensor, "samples n"]],
    images: Float[Tensor, "n *shape"],
    samples: int,
    generator: Generator | None,
    seeds: Seeds | None,
    chunk: int | None,
    on_draws: OnDraws | None,
) -> PerExample:
    """Log of the mean of exp(log_values) over draws 0..samples−1, by a running log-sum-exp; float32 or wider."""
    if samples < 1:
        raise UserError(f"The number of samples is {samples}, but an estimate needs at least 1.")
    if chunk is not None and chunk < 1:
        raise UserError(f"The chunk is {chunk} draws, but must be at least 1; leave it out for a good one.")
    n = len(images)
    seeds = draw(n, generator, images.device) if seeds is None else seeds
    chunk = max(1, LATENTS_PER_PASS // max(n, 1)) if chunk is None else chunk
    total = torch.full((n,), -math.inf, device=images.device)
    for first in range(0, samples, chunk):
        log_w = log_values(min(chunk, samples - first), seeds=seeds, first=first)
        # In float64, thousands of small weights are not lost in a large sum.
        total = torch.logaddexp(total, log_w.double().logsumexp(0))
        if on_draws is not None:
            on_draws(log_w.numel())
    return (total - math.log(samples)).to(wide(images).dtype)
