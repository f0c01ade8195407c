"""Shapes: 3,072 small images drawn by code, one for every combination of five factors that are known.

A square, a disc or a triangle of one of 4 sizes and 4 levels of brightness stands at one of 8×8 places on black, as in
dSprites (Matthey et al., 2017), but without rotations, which a square does not show. Every factor is independent of
the others, so a code can hold each in a dimension of its own.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from epslab import seeds
from epslab.data.factors import FactorSet
from epslab.data.official import FileStatus
from epslab.errors import UserError
from epslab.types import ImageShape

SIDE = 16
KINDS = ("square", "disc", "triangle")
FACTORS: dict[str, tuple[float, ...]] = {
    "shape": (0.0, 1.0, 2.0),
    "size": (1.6, 2.0, 2.4, 2.8),
    "x": tuple(4.5 + i for i in range(8)),
    "y": tuple(4.5 + i for i in range(8)),
    "brightness": (0.4, 0.6, 0.8, 1.0),
}
"""What each factor's values mean: index into ``KINDS``; radius of the disc of the same area, in pixels; the centre, in
pixels from the left and from the top; grey level."""
_SUBPIXELS = 4


def combinations() -> Int[Tensor, "n f"]:
    """Every combination of the factors' values, by number; the last factor varies fastest."""
    return torch.cartesian_prod(*(torch.arange(len(values)) for values in FACTORS.values()))


def render(factors: Int[Tensor, "n f"]) -> UInt8[Tensor, "n 1 16 16"]:
    """The images of these combinations, antialiased: each pixel is the covered share of 4×4 points in it.

    >>> image = render(torch.tensor([[1, 3, 0, 0, 3]]))  # a large bright disc at the upper left
    >>> int(image.max()), int(image[0, 0, 4, 4]), int(image[0, 0, 12, 12])
    (255, 255, 0)

    Args:
        factors: int64 [n 5], in the order of ``FACTORS``.

    Raises:
        UserError: Another number of factors, or a value that a factor does not have.
    """
    sizes = torch.tensor([len(values) for values in FACTORS.values()])
    if factors.shape[1] != len(FACTORS) or (factors < 0).any() or (factors >= sizes).any():
        limits = ", ".join(f"{name} 0..{len(values) - 1}" for name, values in FACTORS.items())
        raise UserError(f"Factors {factors.tolist()[:1]} are no shapes; give rows of {limits}.")
    columns = zip(FACTORS.values(), factors.unbind(1), strict=True)
    kind, size, x, y, brightness = (torch.tensor(values)[index].view(-1, 1, 1) for values, index in columns)
    at = (torch.arange(SIDE * _SUBPIXELS) + 0.5) / _SUBPIXELS
    inside = _inside(kind, (at.view(1, 1, -1) - x) / size, (at.view(1, -1, 1) - y) / size)
    blocks = inside.float().view(-1, SIDE, _SUBPIXELS, SIDE, _SUBPIXELS)
    return (blocks.mean((2, 4)) * brightness * 255).round().to(torch.uint8).unsqueeze(1)


def _inside(
    kind: Float[Tensor, "n 1 1"], u: Float[Tensor, "n 1 w"], v: Float[Tensor, "n h 1"]
) -> Bool[Tensor, "n h w"]:
    """Whether points lie in the shape around 0 of the area of the unit disc; v points down."""
    square = torch.maximum(u.abs(), v.abs()) <= math.sqrt(math.pi) / 2
    disc = u.square() + v.square() <= 1
    inner = math.sqrt(math.pi / math.sqrt(27))  # the equilateral triangle's inner radius
    triangle = (v <= inner) & (math.sqrt(3) * u.abs() - v <= 2 * inner)
    return torch.where(kind == 0, square, torch.where(kind == 1, disc, triangle))


@dataclass(frozen=True)
class Shapes:
    """The shapes as a data set: two thirds of the combinations to train on, a third to test; the split is fixed."""

    name: str = "shapes"
    classes: tuple[str, ...] = KINDS
    shape: ImageShape = (1, SIDE, SIDE)
    lengths: tuple[int, int] = (2048, 1024)
    disk: int = 0
    origin: str = "drawn by epslab"

    def present(self, root: Path) -> bool:
        """True: they are drawn by code."""
        return True

    def check(self, root: Path) -> list[FileStatus]:
        """There are no files."""
        return []

    def load(self, split: str, root: Path) -> tuple[FactorSet, list[Path]]:
        """A split; no file can differ."""
        factors = combinations()
        order = torch.randperm(len(factors), generator=seeds.generator(0, "data", "shapes"))
        own = order[: self.lengths[0]] if split == "train" else order[self.lengths[0] :]
        factors = factors[own.sort().values]
        return FactorSet(render(factors), factors[:, 0].clone(), KINDS, "", factors, tuple(FACTORS)), []

    def fetch(self, root: Path) -> None:
        """Nothing to do."""


SHAPES = Shapes()
