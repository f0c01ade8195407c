"""Nearest neighbours: which training example lies nearest to a sample, and how near."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from epslab.data import Examples

_ROWS = 1000  # queries at a time
_CHUNK = 10_000  # of the set that is searched


@dataclass(frozen=True, eq=False)
class Nearest:
    """The k nearest neighbours of n points, the nearest first.

    Args:
        distance: Euclidean, [n k].
        index: Of the neighbours in the set that was searched, [n k].
    """

    distance: Float[Tensor, "n k"]
    index: Int[Tensor, "n k"]


@torch.no_grad()
def nearest(
    points: Float[Tensor, "n *shape"],
    among: Float[Tensor, "m *shape"] | Examples,
    k: int = 1,
    *,
    own: bool = False,
) -> Nearest:
    """The k nearest neighbours of each point by Euclidean distance; memory grows with 1,000·10,000, not with n·m.

    Neighbours are found by matrix products, then their distances are computed again from the differences, so that the
    distance of an example to its copy is exactly 0.

    Args:
        points: [n …], flattened to vectors.
        among: The set that is searched, in its order: a tensor, or a data set.
        k: Number of neighbours, at most the size of the set.
        own: The points are the set itself, and a point is no neighbour of itself.

    >>> grid = torch.tensor([[0.0], [1.0], [3.0]])
    >>> nearest(grid, grid, own=True).distance.flatten()
    tensor([1., 1., 2.])
    """
    x = points.flatten(1)
    best = Nearest(x.new_empty(len(x), 0), torch.empty(len(x), 0, dtype=torch.int64, device=x.device))
    for first in range(0, len(among), _CHUNK):
        chunk = _part(among, first, min(first + _CHUNK, len(among))).to(x).flatten(1)
        parts = [_search(x[i : i + _ROWS], chunk, k, i - first if own else None) for i in range(0, len(x), _ROWS)]
        distance = torch.cat([best.distance, torch.cat([part.distance for part in parts])], 1)
        index = torch.cat([best.index, torch.cat([part.index for part in parts]) + first], 1)
        order = distance.argsort(dim=1, stable=True)[:, :k]
        best = Nearest(distance.gather(1, order), index.gather(1, order))
    return best


def _search(x: Float[Tensor, "n d"], chunk: Float[Tensor, "m d"], k: int, diagonal: int | None) -> Nearest:
    """The neighbours among one chunk; ``diagonal``: row i is the chunk's own point i + diagonal."""
    squared = squared_distances(x, chunk)
    if diagonal is not None:
        rows = torch.arange(len(x), device=x.device)
        same = rows + diagonal
        inside = (same >= 0) & (same < len(chunk))
        squared[rows[inside], same[inside]] = torch.inf
    k = min(k, len(chunk))
    found = squared.topk(k, largest=False)
    exact = torch.stack([(x - chunk[found.indices[:, i]]).square().sum(1) for i in range(k)], 1)
    exact[found.values.isinf()] = torch.inf  # a point itself, where the chunk has no other
    return Nearest(exact.sqrt(), found.indices)


def squared_distances(x: Float[Tensor, "n d"], y: Float[Tensor, "m d"]) -> Float[Tensor, "n m"]:
    """‖x‖² + ‖y‖² − 2 x·y, exact to rounding of the squared lengths."""
    return torch.addmm(y.square().sum(1)[None], x, y.T, alpha=-2).add_(x.square().sum(1)[:, None]).clamp_(min=0)


def _part(among: Tensor | Examples, first: int, end: int) -> Tensor:
    if isinstance(among, Tensor):
        return among[first:end]
    return among.batch(torch.arange(first, end))[0]
