"""Samples beside held-out examples: each measure against what is known of it in closed form."""

import math
from math import comb

import pytest
import torch
from torch import Tensor

from epslab.evaluation.samples.neighbourhoods import neighbourhoods
from epslab.seeds import generator


def normal(n: int, d: int, seed: int) -> Tensor:
    return torch.randn(n, d, generator=generator(seed, "samples"), dtype=torch.float64)


def within(values: list[float], expected: float) -> bool:
    """Whether the mean lies within 4 of its own standard errors of what is expected."""
    found = torch.tensor(values, dtype=torch.float64)
    return abs(found.mean().item() - expected) <= 4 * found.std().item() / math.sqrt(len(found))


@pytest.mark.parametrize(("n", "m", "k"), [(40, 40, 5), (60, 25, 1), (20, 50, 3)])
def test_expectations_of_two_samples_of_one_law(n: int, m: int, k: int) -> None:
    """Naeem et al. (2020): coverage 1 − C(N−1, k)/C(N−1+M, k) and density 1, in any dimension."""
    found = [neighbourhoods(normal(n, 3, i), normal(m, 3, 1000 + i), k) for i in range(400)]
    assert within([one.coverage.mean().item() for one in found], 1 - comb(n - 1, k) / comb(n - 1 + m, k))
    assert within([one.density.mean().item() for one in found], 1.0)
    if n == m:
        assert within([(one.precision.mean() - one.recall.mean()).item() for one in found], 0.0)
