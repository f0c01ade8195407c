import math

import pytest
import torch

from epslab.data import toys
from epslab.errors import UserError

N = 20_000


def g(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("sampler", [toys.gaussian_ring, toys.gaussian_grid, toys.swiss_roll, toys.two_moons])
def test_shape_type_and_generator(sampler):
    points = sampler(7, generator=g())
    assert points.shape == (7, 2)
    assert points.dtype == torch.float32
    assert torch.equal(points, sampler(7, generator=g()))
    assert not torch.equal(points, sampler(7, generator=g(1)))
    state = torch.get_rng_state()
    sampler(7, generator=g())
    assert torch.equal(state, torch.get_rng_state())
    assert sampler(0).shape == (0, 2)
    with pytest.raises(UserError, match="0 or more"):
        sampler(7, std=-1.0)


@pytest.mark.parametrize(
    ("sampler", "centres", "std"),
    [
        (toys.gaussian_ring, toys.ring_centres(), 0.02),
        (toys.gaussian_grid, toys.grid_centres(), 0.05),
    ],
)
def test_mixtures_have_their_modes(sampler, centres, std):
    points = sampler(N, generator=g())
    distance = torch.cdist(points, centres)
    nearest = distance.argmin(1)
    modes = len(centres)
    counts = torch.bincount(nearest, minlength=modes).double()
    assert ((counts - N / modes).abs() <= 4 * math.sqrt(N / modes * (1 - 1 / modes))).all()
    offsets = (points - centres[nearest]).double()
    # Means and variances of the offsets: normal, standard deviation std, in both coordinates.
    assert (offsets.mean(0).abs() <= 4 * std / math.sqrt(N)).all()
    assert (offsets.var(0) - std**2).abs().max() <= 4 * std**2 * math.sqrt(2 / N)
    assert (offsets.prod(1).mean()).abs() <= 4 * std**2 / math.sqrt(N)


def test_centres():
    ring = toys.ring_centres(4)
    assert ring.sub(torch.tensor([[2.0, 0], [0, 2], [-2, 0], [0, -2]])).abs().max() < 1e-6
    assert toys.ring_centres().norm(dim=1).sub(2).abs().max() < 1e-6
    assert toys.ring_centres().shape == (8, 2)
    grid = toys.grid_centres()
    assert grid.shape == (25, 2)
    assert {tuple(row) for row in grid.tolist()} == {(x, y) for x in (-4, -2, 0, 2, 4) for y in (-4, -2, 0, 2, 4)}
    assert toys.grid_centres(2).tolist() == [[-1, -1], [-1, 1], [1, -1], [1, 1]]
    assert toys.gaussian_ring(5, modes=3, radius=7.0, std=0.0, generator=g()).norm(dim=1).sub(7).abs().max() < 1e-5
    for centres in (toys.ring_centres, toys.grid_centres):
        with pytest.raises(UserError, match="1 or more"):
            centres(0)


def test_swiss_roll_lies_on_its_spiral():
    points = toys.swiss_roll(N, std=0.0, generator=g()).double()
    r = points.norm(dim=1)
    angle = 4.5 * math.pi * r
    assert (points - torch.stack([r * angle.cos(), r * angle.sin()], 1)).abs().max() < 1e-5
    assert r.min() >= 1 / 3 - 1e-6
    assert r.max() <= 1 + 1e-6
    # r is uniform in [⅓, 1]: mean ⅔, variance (⅔)²/12.
    assert (r.mean() - 2 / 3).abs() <= 4 * (2 / 3) / math.sqrt(12 * N)
    noisy = toys.swiss_roll(N, std=0.1, generator=g())
    assert ((noisy - points).std() - 0.1).abs() <= 4 * 0.1 / math.sqrt(4 * N)


def test_two_moons_lie_on_their_half_circles():
    points = toys.two_moons(N, std=0.0, generator=g()).double()
    x, y = points.unbind(1)
    upper = ((x.square() + y.square()).sqrt() - 1).abs() + (-y).clamp(min=0)
    lower = (((x - 1).square() + (y - 0.5).square()).sqrt() - 1).abs() + (y - 0.5).clamp(min=0)
    assert torch.minimum(upper, lower).max() < 1e-6
    share = (upper < lower).double().mean()
    assert (share - 0.5).abs() <= 4 * 0.5 / math.sqrt(N)
    # E x = ½; E y = ½·(2/π) + ½·(½ − 2/π) = ¼.
    mean = torch.tensor([0.5, 0.25], dtype=torch.float64)
    assert ((points.mean(0) - mean).abs() <= 4 * points.std(0) / math.sqrt(N)).all()
