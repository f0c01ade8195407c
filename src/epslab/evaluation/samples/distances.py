"""Distances between two sets of features, as torchmetrics computes them."""

import warnings

import torch
from jaxtyping import Float64
from torch import Tensor, nn

from epslab import seeds
from epslab.evaluation.estimate import Estimate
from epslab.lightning import without_broken

with without_broken("torchvision"):
    from torchmetrics.image.fid import FrechetInceptionDistance
    from torchmetrics.image.kid import KernelInceptionDistance

_BLOCK = 1000  # samples of a block
_BLOCKS = 10  # at least, where that leaves two samples each


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
    negative. It is the mean over disjoint blocks of samples, at most 1,000 each and at least ten blocks where there are
    20 samples or more; the blocks give its standard error.

    Args:
        data: [N d], in any order.
        samples: [M d]; N and M ≥ 2.
        seed: Deals the points into blocks.
    """
    n = min(len(data), len(samples))
    size = min(_BLOCK, max(2, n // _BLOCKS))
    own = seeds.generator(seed, "kernel distance")
    x, y = (points[torch.randperm(len(points), generator=own).to(points.device)] for points in (data, samples))
    blocks = [_one_block(x[i : i + size], y[i : i + size]) for i in range(0, n - size + 1, size)]
    return Estimate.of(torch.tensor(blocks, dtype=torch.float64))


def _one_block(data: Tensor, samples: Tensor) -> float:
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):  # it shuffles by torch's default generator
        warnings.filterwarnings("ignore", "Metric `Kernel Inception Distance` will save", UserWarning)
        metric = KernelInceptionDistance(
            _AsGiven(data.shape[1]), subsets=1, subset_size=len(data), normalize=True, sync_on_compute=False
        ).to(data.device)
        metric.update(data, real=True)
        metric.update(samples, real=False)
        return float(metric.compute()[0])
