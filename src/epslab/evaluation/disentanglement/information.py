"""The mutual information of latent dimensions and factors, and the gap between the best two (Chen et al., 2018)."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import one_hot

from epslab.seeds import noise
from epslab.types import Latents, Seeds

_ROWS = 512


def factor_information(
    means: Latents, log_stds: Latents, factors: Int[Tensor, "n f"], seeds: Seeds
) -> Float[Tensor, "n d f"]:
    """The values log q(z_j given v_k) − log q(z_j) at one draw of z per image, nats; their mean is I(z_j; v_k).

    With one normal per image, q(z_j) = (1/N) Σ_n q(z_j given x_n), and q(z_j given v_k) the same over the images of
    that value: Chen et al. (2018), appendix C. It is the information under q and the empirical distribution of these
    images, so a posterior narrower than the distance of neighbouring images' codes raises it: give many images. Noise
    lowers it: a mean that moves by less than q's standard deviation tells nothing. Memory is 512·N numbers.

    Args:
        means: Means of q(z given x), [N D].
        log_stds: Logarithms of its standard deviations, [N D].
        factors: The value of each factor, [N F].
        seeds: One per image, for its draw of z.
    """
    mu, log_sigma = means.double(), log_stds.double()
    z = mu + log_sigma.exp() * noise(seeds, 0, (mu.shape[1],), torch.float64)
    found = [_of_dimension(z[:, j], mu[:, j], log_sigma[:, j], factors) for j in range(mu.shape[1])]
    return torch.stack(found, 1)


def _of_dimension(
    z: Float[Tensor, " n"],
    mu: Float[Tensor, " n"],
    log_sigma: Float[Tensor, " n"],
    factors: Int[Tensor, "n f"],
) -> Float[Tensor, "n f"]:
    """The values for one latent dimension and every factor."""
    weights = [one_hot(values).double() for values in factors.unbind(1)]  # [N V] each
    parts = []
    for first in range(0, len(z), _ROWS):
        rows = slice(first, first + _ROWS)
        log_q = -0.5 * ((z[rows, None] - mu) * (-log_sigma).exp()).square() - log_sigma  # [rows N], without √2π
        q = (log_q - log_q.amax(1, keepdim=True)).exp()
        given = [
            (q @ weight / weight.sum(0).clamp_min(1)).gather(1, factors[rows, k : k + 1])  # at the image's own v_k
            for k, weight in enumerate(weights)
        ]
        parts.append(torch.cat(given, 1).log() - q.mean(1, keepdim=True).log())
    return torch.cat(parts)


def entropies(factors: Int[Tensor, "n f"]) -> Float[Tensor, " f"]:
    """H(v_k) under the empirical distribution, nats."""
    shares = [torch.bincount(values).double() / len(values) for values in factors.unbind(1)]
    return torch.stack([-torch.special.xlogy(p, p).sum() for p in shares])


def gaps(information: Float[Tensor, "n d f"], factors: Int[Tensor, "n f"]) -> Float[Tensor, "n f"]:
    """Per image, the values whose mean is the mutual information gap of each factor.

        MIG = (1/F) Σ_k (I(z_{j(k)}; v_k) − max_{j ≠ j(k)} I(z_j; v_k)) / H(v_k),   j(k) = argmax_j I(z_j; v_k)

    Chen et al. (2018), eq. 6. With a single latent dimension the second is 0. A factor of one value has no gap: NaN.

    Args:
        information: Of ``factor_information``, [N D F].
        factors: The value of each factor, [N F].
    """
    if information.shape[1] == 1:
        information = torch.cat([information, torch.zeros_like(information)], 1)
    best = information.mean(0).topk(2, dim=0).indices  # [2 F]
    first, second = (information[:, best[i], torch.arange(best.shape[1])] for i in (0, 1))
    entropy = entropies(factors)
    return (first - second) / torch.where(entropy > 0, entropy, math.nan)
