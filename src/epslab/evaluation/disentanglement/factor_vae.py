"""The FactorVAE score (Kim & Mnih, 2018): can a fixed factor be told by the dimension that varies least?"""

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor

from epslab import seeds
from epslab.classifiers import Proportion
from epslab.types import Latents


def factor_vae_score(
    z: Latents, factors: Int[Tensor, "n f"], seed: int = 0, *, votes: int = 800, size: int = 64
) -> Proportion:
    """Accuracy of the majority vote, 1/F by chance (Kim & Mnih, 2018, section 4).

    A vote fixes a factor k at the value of a random image, takes ``size`` images that have it, and names the dimension
    d* whose variance is the smallest share of its variance over all images. The classifier maps each d* to the factor
    that most of the first votes had; the score is the share of the second ones that it names right.

    Args:
        z: One sample of q(z given x) per image, [N D].
        factors: The value of each factor, [N F].
        seed: Of the votes.
        votes: Votes to learn from, and as many to try.
        size: Images in a vote, drawn with replacement.
    """
    g = seeds.generator(seed, "factor-vae")
    total = z.double().var(0)
    used = total > 0
    if not used.any():  # a code that never changes names nothing
        return Proportion(votes // factors.shape[1], votes)
    scaled = z.double()[:, used] / total[used].sqrt()
    table = torch.zeros(scaled.shape[1], factors.shape[1], dtype=torch.int64)
    k, d = _votes(scaled, factors, votes, size, g)
    table.index_put_((d, k), torch.ones_like(k), accumulate=True)
    k, d = _votes(scaled, factors, votes, size, g)
    return Proportion.of(table.argmax(1)[d] == k)


def _votes(
    scaled: Float[Tensor, "n d"], factors: Int[Tensor, "n f"], votes: int, size: int, g: Generator
) -> tuple[Int[Tensor, " votes"], Int[Tensor, " votes"]]:
    """The factors that were fixed, and the dimensions that varied least."""
    fixed = torch.randint(factors.shape[1], (votes,), generator=g)
    image = torch.randint(len(scaled), (votes,), generator=g)
    chosen = torch.empty(votes, size, dtype=torch.int64)
    for vote, (k, n) in enumerate(zip(fixed.tolist(), image.tolist(), strict=True)):
        same = torch.nonzero(factors[:, k] == factors[n, k]).flatten()
        chosen[vote] = same[torch.randint(len(same), (size,), generator=g)]
    return fixed, scaled[chosen].var(1).argmin(1)
