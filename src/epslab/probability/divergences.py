"""How far one distribution is from another: from densities here, from samples in ``distances``.

Values are in nats and summed over the last axis: the dimensions of z, or the outcomes of a categorical distribution.
The other axes are kept. Standard deviations are given as their logarithms. Divergences of normals are computed in
float32 or wider.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from epslab.errors import UserError
from epslab.probability.densities import wide
from epslab.probability.distances import frechet, mmd, mmd_inverse_multiquadratic, sliced_wasserstein, wasserstein_1d

__all__ = [
    "cross_entropy",
    "entropy",
    "frechet",
    "jeffreys",
    "jensen_shannon",
    "kl_categorical",
    "kl_monte_carlo",
    "kl_normal",
    "kl_standard_normal",
    "mmd",
    "mmd_inverse_multiquadratic",
    "sliced_wasserstein",
    "wasserstein_1d",
]


def kl_standard_normal(mean: Float[Tensor, "*batch d"], log_std: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch"]:
    """KL(N(mu, sigma²) ‖ N(0, I)) = ½ Σ (sigma² + mu² − 1 − 2 log sigma); Kingma & Welling (2014), appendix B.

    Args:
        mean: mu, [n d].
        log_std: log sigma, [n d].

    Returns:
        [n] in nats, summed over the d dimensions.
    """
    mean, log_std = wide(mean), wide(log_std)
    # expm1 keeps the digits that sigma² − 1 loses near sigma = 1.
    return 0.5 * (torch.expm1(2 * log_std) - 2 * log_std + mean.square()).sum(-1)


def kl_normal(
    mean_p: Float[Tensor, "*#batch d"],
    log_std_p: Float[Tensor, "*#batch d"],
    mean_q: Float[Tensor, "*#batch d"],
    log_std_q: Float[Tensor, "*#batch d"],
) -> Float[Tensor, "..."]:
    """KL of two normals, with s the standard deviations.

        KL(p‖q) = Σ log(s_q/s_p) + (s_p² + (m_p − m_q)²)/(2 s_q²) − ½

    Leading axes broadcast; the result is summed over the last.
    """
    mean_p, log_std_p, mean_q, log_std_q = (wide(values) for values in (mean_p, log_std_p, mean_q, log_std_q))
    log_ratio = log_std_p - log_std_q
    shift = (mean_p - mean_q) * (-log_std_q).exp()
    return 0.5 * (torch.expm1(2 * log_ratio) - 2 * log_ratio + shift.square()).sum(-1)


def kl_monte_carlo(log_p: Float[Tensor, "samples n"], log_q: Float[Tensor, "samples n"]) -> Float[Tensor, " n"]:
    """KL(p‖q) as the mean of log p − log q over the same samples **of p**; unbiased, can be negative."""
    return (log_p - log_q).mean(0)


def kl_categorical(p: Float[Tensor, "*#batch k"], q: Float[Tensor, "*#batch k"]) -> Float[Tensor, "..."]:
    """KL(p‖q) = Σ p log(p/q) over the last axis; +inf where q = 0 < p.

    Outcomes with p = 0 contribute nothing, to the value and to the gradient.

    Args:
        p: Probabilities [... k].
        q: Probabilities [... k]; leading axes broadcast.

    Raises:
        UserError: Entries below 0, or that do not sum to 1.
    """
    _require_probabilities(p, q)
    return _relative_entropy(p, q)


def entropy(p: Float[Tensor, "*batch k"]) -> Float[Tensor, "*batch"]:
    """H(p) = −Σ p log p over the last axis, with 0·log 0 = 0; in [0, ln k]. Raises as ``kl_categorical``."""
    return cross_entropy(p, p)


def cross_entropy(p: Float[Tensor, "*#batch k"], q: Float[Tensor, "*#batch k"]) -> Float[Tensor, "..."]:
    """H(p, q) = −Σ p log q = H(p) + KL(p‖q) over the last axis; +inf where q = 0 < p. Raises as ``kl_categorical``."""
    _require_probabilities(p, q)
    support = p > 0
    return -torch.where(support, p * torch.where(support, q, 1.0).log(), 0.0).sum(-1)


def jensen_shannon(p: Float[Tensor, "*#batch k"], q: Float[Tensor, "*#batch k"]) -> Float[Tensor, "..."]:
    """½ KL(p‖m) + ½ KL(q‖m) with m = (p + q)/2; in [0, ln 2], ln 2 for disjoint supports. Raises as ``kl_categorical``.

    Lin (1991).
    """
    _require_probabilities(p, q)
    # Doubled throughout, 2·KL(p‖m) = Σ 2p log(2p/(p + q)): halving the smallest numbers could round m down to 0 < p.
    return 0.25 * (_relative_entropy(2 * p, p + q) + _relative_entropy(2 * q, p + q))


def jeffreys(p: Float[Tensor, "*#batch k"], q: Float[Tensor, "*#batch k"]) -> Float[Tensor, "..."]:
    """KL(p‖q) + KL(q‖p). It has no upper bound, unlike Jensen–Shannon. Raises as ``kl_categorical``."""
    return kl_categorical(p, q) + kl_categorical(q, p)


def _relative_entropy(p: Float[Tensor, "*#batch k"], q: Float[Tensor, "*#batch k"]) -> Float[Tensor, "..."]:
    """Σ p log(p/q) over the support of p; p and q are not negative and need not sum to 1."""
    # The inner where keeps log 0 out of the gradient: infinity times the outer where's zero would be NaN.
    support = p > 0
    log_ratio = torch.where(support, p, 1.0).log() - torch.where(support, q, 1.0).log()
    return torch.where(support, p * log_ratio, 0.0).sum(-1)


def _require_probabilities(*laws: Float[Tensor, "... k"]) -> None:
    for law in laws:
        total = law.detach().sum(-1)
        if not bool((law >= 0).all()) or not bool(((total - 1).abs() <= 1e-3).all()):
            raise UserError(
                "Probabilities that are not negative and sum to 1 over the last axis were expected, but smallest entry"
                f" and sums are {law.min().item():.4g} and {total.min().item():.4g} to {total.max().item():.4g}; apply"
                " softmax(-1) to logits first."
            )
