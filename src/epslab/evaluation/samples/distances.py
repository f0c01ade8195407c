"""Distances between two sets of features, as torchmetrics computes them."""

import warnings
from math import nan

import torch
from jaxtyping import Float64
from torch import Tensor, nn

from epslab import seeds
from epslab.evaluation.estimate import Estimate
from epslab.lightning import without_broken

with without_broken("torchvision"):
    from torchmetrics.image.fid import FrechetInceptionDistance
    from torchmetrics.image.kid import KernelInceptionDistance

_WHOLE = 5000  # samples of which every one is compared with every other
_BLOCK = 1000  # of more, compared block by block
_GROUPS = 10  # of a jackknife


class _AsGiven(nn.Module):
    """In the place of torchmetrics' Inception: what comes in are features already."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features

    def forward(self, features: Tensor) -> Tensor:
        return features


def frechet_distance(data: Float64[Tensor, "n d"], samples: Float64[Tensor, "m d"]) -> float:
    """‖m1 − m2‖² + tr(C1 + C2 − 2 (C1 C2)^½) of the two sets' means and covariances (Heusel et al., 2017, eq. 6).

    Of Inception's features it would be the FID. It is biased: with fewer samples it is larger, also between two samples
    of one law, so compare it at equal numbers of samples only.
    """
    centre = data.mean(0)  # the distance does not see a common shift, but rounding does
    metric = FrechetInceptionDistance(_AsGiven(data.shape[1]), normalize=True, sync_on_compute=False)
    metric.to(data.device).set_dtype(torch.float64)
    metric.update(data - centre, real=True)
    metric.update(samples - centre, real=False)
    return max(float(metric.compute()), 0.0)


def kernel_distance(data: Float64[Tensor, "n d"], samples: Float64[Tensor, "m d"], seed: int = 0) -> Estimate:
    """The squared maximum mean discrepancy with the kernel (x·y/d + 1)³ (Bińkowski et al., 2018), unbiased.

    Of Inception's features it would be the KID. Between two samples of one law its expectation is 0, so it can be
    negative. Up to 5,000 samples are compared all with all, and the standard error is the jackknife's over tenths of
    them (where the laws are equal, too large rather than too small); more are dealt into blocks of 1,000, whose mean is
    taken with its standard error.

    Args:
        data: [N d], in any order.
        samples: [M d]; N and M ≥ 2. Of the larger set, as many are used as the smaller one has.
        seed: Deals the points into blocks.
    """
    n = min(len(data), len(samples))
    own = seeds.generator(seed, "kernel distance")
    x, y = (points[torch.randperm(len(points), generator=own).to(points.device)[:n]] for points in (data, samples))
    if n > _WHOLE:
        count = -(-n // _BLOCK)
        blocks = [_one_block(a, b) for a, b in zip(x.tensor_split(count), y.tensor_split(count), strict=True)]
        return Estimate.of(torch.tensor(blocks, dtype=torch.float64))
    groups = torch.arange(n, device=x.device) * _GROUPS // n
    left = [groups != group for group in range(_GROUPS)] if n >= 2 * _GROUPS else []
    without = torch.tensor([_one_block(x[kept], y[kept]) for kept in left], dtype=torch.float64)
    error = without.std(correction=0).item() * (len(left) - 1) ** 0.5 if left else nan
    return Estimate(_one_block(x, y), error, n)


def _one_block(data: Tensor, samples: Tensor) -> float:
    """All of these with each other."""
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):  # it shuffles by torch's default generator
        warnings.filterwarnings("ignore", "Metric `Kernel Inception Distance` will save", UserWarning)
        metric = KernelInceptionDistance(
            _AsGiven(data.shape[1]), subsets=1, subset_size=len(data), normalize=True, sync_on_compute=False
        ).to(data.device)
        metric.update(data, real=True)
        metric.update(samples, real=False)
        return float(metric.compute()[0])
