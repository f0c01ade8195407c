"""A monitor of mode collapse that costs next to nothing while a model trains."""

import torch
from jaxtyping import Float
from torch import Tensor

from epslab.probability.densities import wide
from epslab.types import PerExample


def diversity(samples: Float[Tensor, "n *shape"], real: Float[Tensor, "n *shape"]) -> PerExample:
    """The distance from each sample to the next in the batch, over the mean of that distance in the data, [n].

        ‖x̃_i − x̃_{i+1}‖₂ / (1/n · Σ_j ‖x_j − x_{j+1}‖₂),    the last one's next is the first

    Its mean is about 1 where the samples spread as the data do, and 0 where all samples are one. A model that misses
    some of many modes can still be near 1: modes and classes are counted when the trained model is evaluated.
    Where the data has no spread (one example, or equal ones) there is nothing to compare with, and it is 1.

    >>> same = torch.ones(4, 2)
    >>> diversity(same, torch.randn(4, 2))
    tensor([0., 0., 0., 0.])

    Args:
        samples: Independent draws.
        real: Independent examples of the data, any number.
    """
    apart, expected = _to_next(samples), _to_next(real).mean()
    return torch.where(expected > 0, apart / expected, torch.ones_like(apart))


def _to_next(x: Float[Tensor, "n *shape"]) -> PerExample:
    flat = wide(x).flatten(1)
    distances: Tensor = (flat - flat.roll(-1, 0)).norm(dim=1)
    return distances
