"""Langevin dynamics against what is known exactly: the recursion on a normal law, its variance, two modes."""

import math

import pytest
import torch
from torch import Tensor

from epslab import seeds
from epslab.errors import UserError
from epslab.generative.langevin import annealed_langevin, langevin
from epslab.generative.samplers import noise_of

N = 20_000


def generator(name: str = "langevin") -> torch.Generator:
    return seeds.generator(0, name)


def close_variance(x: Tensor, variance: float) -> None:
    """Within 4 standard errors of a normal sample's variance."""
    assert abs(float(x.var()) - variance) < 4 * variance * math.sqrt(2 / x.numel())


def test_each_step_is_the_recursion_to_the_digit() -> None:
    """On N(0, s²): x ← (1 − h/s²)·x + √(2h)·xi; Song & Ermon's step size alpha is 2h, and not h."""
    x, h, s2 = torch.randn(5, 3, dtype=torch.float64, generator=generator()), 0.2, 0.7
    xis = list(torch.randn(4, 5, 3, dtype=torch.float64, generator=generator()))
    before = x.clone()
    found = langevin(lambda x: -x / s2, x, step=h, steps=4, noise=xis)
    assert torch.equal(x, before)
    for xi in xis:
        x = (1 - h / s2) * x + math.sqrt(2 * h) * xi
    torch.testing.assert_close(found, x, rtol=1e-12, atol=1e-12)
    assert torch.equal(langevin(lambda x: -x, before, step=h, steps=0), before)


@pytest.mark.parametrize("h", [0.1, 0.5, 1.0, 1.5])
def test_the_discretisation_widens_a_standard_normal_to_its_known_variance(h: float) -> None:
    """Var = (1 − (1 − h)^{2k})/(1 − h/2) after k steps from 0; the exact law's 1 is more than 4 errors away."""
    steps = 40
    x = langevin(lambda x: -x, torch.zeros(N, 1), step=h, steps=steps, generator=generator())
    settled = 1 / (1 - h / 2)
    close_variance(x, settled * (1 - (1 - h) ** (2 * steps)))
    assert settled > 1 + 4 * settled * math.sqrt(2 / N)
    assert abs(float(x.mean())) < 4 * math.sqrt(settled / N)


def test_a_chain_does_not_depend_on_its_batch() -> None:
    points = torch.randn(10, 2, generator=generator())
    ten = langevin(lambda x: -x, points, step=0.1, steps=5, generator=generator("a"))
    five = langevin(lambda x: -x, points[:5], step=0.1, steps=5, generator=generator("a"))
    assert torch.equal(five, ten[:5])
    assert not torch.equal(langevin(lambda x: -x, points, step=0.1, steps=5, generator=generator("b")), ten)
    again = annealed_langevin(smooth(1.0), points, [2.0, 1.0], steps=3, noise=noise_of(torch.arange(10), (2,)))
    parts = annealed_langevin(smooth(1.0), points[:5], [2.0, 1.0], steps=3, noise=noise_of(torch.arange(5), (2,)))
    assert torch.equal(parts, again[:5])


def smooth(s2: float):  # type: ignore[no-untyped-def]
    """The score of N(0, s²), smoothed."""
    return lambda x, sigma: -x / (s2 + sigma[:, None] ** 2)


def test_annealing_takes_steps_of_its_share_of_each_level() -> None:
    """On N(0, s²) the variance follows v ← (1 − h/(s² + sigma²))²·v + 2h with h = step·sigma², level by level."""
    s2, sigmas, share, steps = 0.3, [3.0, 1.0, 0.3], 0.4, 6
    x = annealed_langevin(smooth(s2), 5 * torch.randn(N, 1, generator=generator()), sigmas, step=share, steps=steps,
                          generator=generator("xi"))  # fmt: skip
    v = 25.0
    for sigma in sigmas:
        h = share * sigma**2
        for _ in range(steps):
            v = (1 - h / (s2 + sigma**2)) ** 2 * v + 2 * h
    close_variance(x, v)


def test_a_point_mass_settles_at_the_variance_that_is_stated() -> None:
    """sigma²/(1 − step/2) where p_sigma has variance sigma²."""
    x = annealed_langevin(smooth(0.0), torch.randn(N, 1, generator=generator()), [1.0], step=0.6, steps=40,
                          generator=generator("xi"))  # fmt: skip
    close_variance(x, 1 / (1 - 0.3))


def test_annealing_finds_the_weights_of_far_modes_and_a_plain_chain_does_not() -> None:
    """Song & Ermon (2019), section 3.2.2: a fifth at −5 and four fifths at 5; between them the density is 0."""
    weights, centres = torch.tensor([0.2, 0.8]), torch.tensor([-5.0, 5.0])

    def score(x: Tensor, sigma: Tensor) -> Tensor:
        distance = x - centres  # [n 2]
        responsibility = (weights.log() - distance.square() / (2 * (1 + sigma[:, None] ** 2))).softmax(1)
        return -(responsibility * distance).sum(1, keepdim=True) / (1 + sigma[:, None] ** 2)

    n = 2000
    start = 16 * (torch.rand(n, 1, generator=generator()) - 0.5)
    zero = torch.zeros(n)
    plain = langevin(lambda x: score(x, zero), start, step=0.05, steps=400, generator=generator("plain"))
    sigmas = (10 * 0.75 ** torch.arange(18)).tolist()
    annealed = annealed_langevin(score, 10 * start / 8, sigmas, step=0.1, steps=25, generator=generator("annealed"))
    error = math.sqrt(0.2 * 0.8 / n)
    assert abs(float((plain > 0).double().mean()) - 0.8) > 10 * error
    assert abs(float((annealed > 0).double().mean()) - 0.8) < 4 * error


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"step": 0.0, "steps": 1}, "The step size is 0.0, but must be more than 0."),
        ({"step": math.nan, "steps": 1}, "The step size is nan"),
        ({"step": 0.1, "steps": -1}, "steps is -1"),
        ({"step": 0.1, "steps": 2, "noise": [torch.zeros(3, 2)]}, "ended after 1"),
        ({"step": 0.1, "steps": 1, "noise": [torch.zeros(3, 1)]}, "has shape [3, 1]"),
        ({"step": 0.1, "steps": 1, "noise": [], "generator": generator()}, "not from both"),
    ],
)
def test_what_cannot_work_is_refused(arguments: dict[str, object], sentence: str) -> None:
    with pytest.raises(UserError) as error:
        langevin(lambda x: -x, torch.zeros(3, 2), **arguments)  # type: ignore[arg-type]
    assert sentence in str(error.value)


def test_scores_and_ladders_that_cannot_work_are_refused() -> None:
    x = torch.zeros(3, 2)
    with pytest.raises(UserError, match=r"score has shape \[3\] at points of shape \[3, 2\]"):
        langevin(lambda x: -x.sum(1), x, step=0.1, steps=1)
    for ladder in ([], [1.0, 0.0], [1.0, -1.0]):
        with pytest.raises(UserError, match="a ladder has at least one"):
            annealed_langevin(smooth(1.0), x, ladder)
    with pytest.raises(UserError, match="must be above 0 and below 2"):
        annealed_langevin(smooth(1.0), x, [1.0], step=2.0)
