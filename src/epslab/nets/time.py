"""Nets that are told the time: its sinusoidal embedding, and a perceptron for points."""

import math

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from epslab.errors import UserError

_OCTAVES = 6  # of the waves that a perceptron sees its points by
_PERIOD = 10_000.0  # longest wavelength over 2π, in steps


class TimeEmbedding(nn.Module):
    """A time as features: sines and cosines of t, then two linear layers with SiLU between them.

        e(t) = (sin(ω_i·t), cos(ω_i·t))_i,    ω_i = 10000^(−i/h),    i = 0, …, h − 1

    Vaswani et al. (2017), section 3.5, as in Ho et al. (2020), appendix B. It resolves steps 0, 1, …, 1000 and times
    between them; a time in [0, 1] should be given times 1000.

    >>> TimeEmbedding(32, 64)(torch.tensor([0, 999])).shape
    torch.Size([2, 64])

    Args:
        width: Number of sines and cosines, 2·h.
        features: Size of the result.

    Raises:
        UserError: The width is odd or below 2.
    """

    def __init__(self, width: int, features: int) -> None:
        super().__init__()
        if width < 2 or width % 2:
            raise UserError(f"width={width}: a time embedding has as many sines as cosines; give an even number.")
        self.waves = width // 2
        self.body = nn.Sequential(nn.Linear(width, features), nn.SiLU(), nn.Linear(features, features))

    def forward(self, t: Shaped[Tensor, " n"]) -> Float[Tensor, "n features"]:
        """The features of times [n], whole or not."""
        i = torch.arange(self.waves, device=t.device, dtype=torch.float32)
        # Times up to 1000 need float32: half precision would round them to whole steps and more.
        angles = t.float()[:, None] * torch.exp(i * (-math.log(_PERIOD) / self.waves))
        e = torch.cat([angles.sin(), angles.cos()], dim=1)
        features: Tensor = self.body(e.to(next(self.parameters()).dtype))
        return features


class TimePerceptron(nn.Module):
    """A residual perceptron over points that is told the time: (x [n d], t [n]) to [n d].

    >>> net = TimePerceptron(2)
    >>> net(torch.randn(5, 2), torch.arange(5)).shape
    torch.Size([5, 2])

    Each hidden layer is h ← h + W·SiLU(V·h + U·e(t)), with e(t) the time embedding; the output layer starts at 0. The
    first layer sees x with sines and cosines of its coordinates, of wavelengths 4, 2, …, ⅛ (Tancik et al., 2020):
    without them a net of this size blurs modes that are narrow beside the distance between them.

    Args:
        dimensions: d.
        hidden: Units of each hidden layer, even.
        layers: Hidden layers.

    Raises:
        UserError: A number below 1, or an odd number of units.
    """

    def __init__(self, dimensions: int, hidden: int = 128, layers: int = 3) -> None:
        super().__init__()
        for name, value in (("dimensions", dimensions), ("hidden", hidden), ("layers", layers)):
            if value < 1:
                raise UserError(f"{name}={value}: a perceptron over points and time needs at least 1.")
        self.dimensions = dimensions
        self.time = TimeEmbedding(hidden, hidden)
        self.start = nn.Linear(dimensions * (1 + 2 * _OCTAVES), hidden)
        self.layers = nn.ModuleList(_TimedLayer(hidden) for _ in range(layers))
        self.end = nn.Linear(hidden, dimensions)
        nn.init.zeros_(self.end.weight)
        nn.init.zeros_(self.end.bias)

    def forward(self, x: Float[Tensor, "n d"], t: Shaped[Tensor, " n"]) -> Float[Tensor, "n d"]:
        """The output at points x and times t."""
        if x.ndim != 2 or x.shape[1] != self.dimensions:
            raise UserError(
                f"The perceptron was built for points [n {self.dimensions}], but was given {list(x.shape)}."
            )
        e = nn.functional.silu(self.time(t))
        h = self.start(torch.cat([x, *_waves(x)], dim=1))
        for layer in self.layers:
            h = layer(h, e)
        result: Tensor = self.end(nn.functional.silu(h))
        return result


def _waves(x: Float[Tensor, "n d"]) -> list[Float[Tensor, "n d"]]:
    """sin(π·2^k·x/2) and cos(π·2^k·x/2) for k = 0, …, 5."""
    angles = [math.pi * 2**k / 2 * x for k in range(_OCTAVES)]
    return [wave(angle) for angle in angles for wave in (torch.sin, torch.cos)]


class _TimedLayer(nn.Module):
    """h + W·SiLU(V·h + U·e)."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.inwards = nn.Linear(hidden, hidden)
        self.time = nn.Linear(hidden, hidden, bias=False)
        self.outwards = nn.Linear(hidden, hidden)

    def forward(self, h: Tensor, e: Tensor) -> Tensor:
        change: Tensor = self.outwards(nn.functional.silu(self.inwards(h) + self.time(e)))
        return h + change
