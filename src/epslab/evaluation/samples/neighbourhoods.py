"""Precision, recall, density and coverage: whether samples lie where data lie, and data where samples do.

Around each point lies its neighbourhood: the ball that reaches to its k-th nearest neighbour of its own set.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Tensor

from epslab.evaluation.samples.search import nearest, squared_distances

_ROWS = 1000
_ROUNDING = 1e-9  # of a squared distance, relative: a point on the sphere lies in the ball


@dataclass(frozen=True, eq=False)
class Neighbourhoods:
    """N data points y and M samples x, with balls B of radius NND_k around both; each measure is a mean.

    Precision and recall: Kynkäänniemi et al. (2019), eq. 1–2; density and coverage: Naeem et al. (2020), eq. 5–6.

    For two samples of one continuous law, precision and recall have the same expectation where N = M, density has
    expectation 1, and coverage 1 − C(N−1, k)/C(N−1+M, k).

    Args:
        precision: For each sample, whether it lies in any B(y), [M].
        recall: For each data point, whether it lies in any B(x), [N].
        density: For each sample, the number of balls B(y) it lies in, divided by k, [M].
        coverage: For each data point, whether any sample lies in its B(y), [N].
    """

    precision: Float64[Tensor, " m"]
    recall: Float64[Tensor, " n"]
    density: Float64[Tensor, " m"]
    coverage: Float64[Tensor, " n"]


def reach(points: Float64[Tensor, "n d"], k: int) -> Float64[Tensor, " n"]:
    """NND_k: each point's distance to its k-th nearest neighbour among the others, [n]; needs n > k."""
    return nearest(points, points, k, own=True).distance[:, k - 1]


@torch.no_grad()
def neighbourhoods(
    data: Float64[Tensor, "n d"],
    samples: Float64[Tensor, "m d"],
    k: int,
    data_reach: Float64[Tensor, " n"] | None = None,
) -> Neighbourhoods:
    """The four measures of samples beside data, of more than k points each.

    Args:
        data: y, [N d].
        samples: x, [M d].
        k: Which neighbour a ball reaches to.
        data_reach: ``reach(data, k)``, if it is known.
    """
    squared_y = (reach(data, k) if data_reach is None else data_reach).square() * (1 + _ROUNDING)
    squared_x = reach(samples, k).square() * (1 + _ROUNDING)
    centre = data.mean(0)  # distances from products of small numbers keep more digits
    x = samples - centre
    within = torch.zeros(len(samples), dtype=torch.float64, device=data.device)
    recalled, covered = [], []
    for first in range(0, len(data), _ROWS):
        y = data[first : first + _ROWS] - centre
        squared = squared_distances(y, x)  # [rows M]
        squared -= _ROUNDING * (y.square().sum(1)[:, None] + x.square().sum(1)[None])
        inside = squared <= squared_y[first : first + _ROWS, None]
        within += inside.sum(0)
        covered.append(inside.any(1))
        recalled.append((squared <= squared_x[None]).any(1))
    return Neighbourhoods(
        precision=(within > 0).double(),
        recall=torch.cat(recalled).double(),
        density=within / k,
        coverage=torch.cat(covered).double(),
    )
