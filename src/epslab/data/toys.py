"""Distributions on the plane with known modes and supports, to see what a generative model misses.

The ring and the grid are those of mode-collapse studies (Metz et al., 2017; Srivastava et al., 2017). Every sampler
draws n independent points, float32 [n 2].

>>> from epslab.data import toys
>>> toys.gaussian_ring(100, modes=8).shape, toys.two_moons(100).shape
(torch.Size([100, 2]), torch.Size([100, 2]))
"""

import math

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from epslab.errors import UserError

Points = Float[Tensor, "n 2"]


def ring_centres(modes: int = 8, radius: float = 2.0) -> Float[Tensor, "modes 2"]:
    """The centres of ``gaussian_ring``: evenly spaced on a circle, from (radius, 0) anticlockwise."""
    _require(modes >= 1, f"A ring of {modes} modes was asked for; give 1 or more.")
    angle = torch.arange(modes, dtype=torch.float64) * (2 * math.pi / modes)
    return (radius * torch.stack([angle.cos(), angle.sin()], dim=1)).float()


def gaussian_ring(
    n: int, modes: int = 8, *, radius: float = 2.0, std: float = 0.02, generator: Generator | None = None
) -> Points:
    """An equal mixture of normals of standard deviation ``std``, centred on a circle."""
    return _mixture(n, ring_centres(modes, radius), std, generator)


def grid_centres(side: int = 5, spacing: float = 2.0) -> Float[Tensor, "modes 2"]:
    """The side² centres of ``gaussian_grid``: a square lattice around the origin."""
    _require(side >= 1, f"A grid of side {side} was asked for; give 1 or more.")
    line = (torch.arange(side, dtype=torch.float32) - (side - 1) / 2) * spacing
    return torch.cartesian_prod(line, line)


def gaussian_grid(
    n: int, side: int = 5, *, spacing: float = 2.0, std: float = 0.05, generator: Generator | None = None
) -> Points:
    """An equal mixture of side² normals of standard deviation ``std``, centred on a square lattice."""
    return _mixture(n, grid_centres(side, spacing), std, generator)


def swiss_roll(n: int, *, std: float = 0.02, generator: Generator | None = None) -> Points:
    """A spiral: radius r uniform in [⅓, 1] at the angle 4.5π·r, plus normal noise of standard deviation ``std``."""
    r = (1 + 2 * torch.rand(n, generator=generator, device=_device(generator))) / 3
    angle = 4.5 * math.pi * r
    return _blur(torch.stack([r * angle.cos(), r * angle.sin()], dim=1), std, generator)


def two_moons(n: int, *, std: float = 0.05, generator: Generator | None = None) -> Points:
    """Two half circles of radius 1 in equal parts, plus normal noise of standard deviation ``std``.

    The upper is (cos a, sin a), the lower (1 − cos a, ½ − sin a), a uniform in [0, π].
    """
    a = math.pi * torch.rand(n, generator=generator, device=_device(generator))
    lower = torch.randint(2, (n,), generator=generator, device=_device(generator)).bool()
    x = torch.where(lower, 1 - a.cos(), a.cos())
    y = torch.where(lower, 0.5 - a.sin(), a.sin())
    return _blur(torch.stack([x, y], dim=1), std, generator)


def _mixture(n: int, centres: Float[Tensor, "modes 2"], std: float, generator: Generator | None) -> Points:
    component = torch.randint(len(centres), (n,), generator=generator, device=_device(generator))
    return _blur(centres.to(component.device)[component], std, generator)


def _blur(points: Points, std: float, generator: Generator | None) -> Points:
    _require(std >= 0, f"A standard deviation of {std} was given; it must be 0 or more.")
    return points + std * torch.randn(points.shape, generator=generator, device=points.device)


def _device(generator: Generator | None) -> torch.device:
    return torch.device("cpu") if generator is None else generator.device


def _require(condition: bool, sentence: str) -> None:
    if not condition:
        raise UserError(sentence)
