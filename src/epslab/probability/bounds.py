"""Estimates of log p(x) of a latent-variable model, per example, and the conversion to bits/dim.

Both estimates are averages of weights, taken as logarithms: log (1/K) Σ_k w_k by log-sum-exp, never (1/K) Σ_k log w_k
and never a mean weighted by the w_k. They run through the draws in chunks and keep one number an example, so their
memory does not grow with the number of draws. Draw k of an example belongs to its seed and to k alone: neither the
chunk nor the other examples change it. A NaN among the weights stays visible in the result.
"""

import math
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from epslab import seeds as noise
from epslab.errors import UserError
from epslab.types import Images, LatentVariableModel, PerExample, Seeds

LATENTS_PER_PASS = 1024
"""Draws times examples that go through the decoder at once, where ``chunk`` is not given."""


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
    images: Images,
    samples: int,
    generator: Generator | None = None,
    *,
    seeds: Seeds | None = None,
    chunk: int | None = None,
) -> PerExample:
    """Log (1/L) Σ_l p(x given z_l), z_l from the prior: log p(x) as simple Monte Carlo sees it, [n] in nats.

    Its expectation lies below log p(x), further the fewer draws fall where the posterior is; the error grows with the
    number of latent dimensions. No gradient is kept.

    Args:
        model: Gives log p(x given z_l) at its own draws.
        images: Examples x.
        samples: Number of draws L ≥ 1 for each example.
        generator: Draws the examples' seeds, where ``seeds`` is not given (None: torch's default).
        seeds: One seed an example.
        chunk: Draws in one pass; as many as make 1024 latents, at least one, if None.

    Raises:
        UserError: ``samples`` or ``chunk`` < 1.
    """
    return _log_mean_exp(model.log_likelihoods, images, samples, generator, seeds, chunk)


def importance_weighted(
    model: LatentVariableModel,
    images: Images,
    samples: int,
    generator: Generator | None = None,
    *,
    seeds: Seeds | None = None,
    chunk: int | None = None,
) -> PerExample:
    """Log (1/K) Σ_k p(x, z_k)/q(z_k given x), z_k from q: the bound of Burda et al. (2016), eq. 8, [n] in nats.

    Its expectation never falls with K and never exceeds log p(x); with K = 1 it is the ELBO's, and where q is the true
    posterior every draw gives log p(x). No gradient is kept.

    Args:
        model: Gives log p(x, z_k) − log q(z_k given x) at its own draws.
        images: Examples x.
        samples: Number of draws K ≥ 1 for each example.
        generator: Draws the examples' seeds, where ``seeds`` is not given (None: torch's default).
        seeds: One seed an example.
        chunk: Draws in one pass; as many as make 1024 latents, at least one, if None.

    Raises:
        UserError: ``samples`` or ``chunk`` < 1.
    """
    return _log_mean_exp(model.log_weights, images, samples, generator, seeds, chunk)


@torch.no_grad()
def _log_mean_exp(
    log_values: Callable[..., Float[Tensor, "samples n"]],
    images: Images,
    samples: int,
    generator: Generator | None,
    seeds: Seeds | None,
    chunk: int | None,
) -> PerExample:
    """Log of the mean of exp(log_values) over draws 0..samples−1, in a running log-sum-exp."""
    if samples < 1:
        raise UserError(f"The number of samples is {samples}, but an estimate needs at least 1.")
    if chunk is not None and chunk < 1:
        raise UserError(f"The chunk is {chunk} draws, but must be at least 1; leave it out for a good one.")
    n = len(images)
    seeds = noise.draw(n, generator, images.device) if seeds is None else seeds
    chunk = max(1, LATENTS_PER_PASS // max(n, 1)) if chunk is None else chunk
    # In float64, thousands of small weights added to a large sum are not lost.
    total = torch.full((n,), -math.inf, dtype=torch.float64, device=images.device)
    for first in range(0, samples, chunk):
        log_w = log_values(images, min(chunk, samples - first), seeds=seeds, first=first)
        total = torch.logaddexp(total, log_w.double().logsumexp(0))
    return (total - math.log(samples)).to(images.dtype)
