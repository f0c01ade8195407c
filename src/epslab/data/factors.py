"""Images of which it is known what made them: each with the value of every factor of variation."""

import hashlib
from dataclasses import dataclass, field
from typing import TypeVar

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from epslab import notebook
from epslab.data.examples import bytes_of
from epslab.data.imageset import ImageSet
from epslab.errors import UserError

Set = TypeVar("Set", bound="FactorSet")


@dataclass(frozen=True, eq=False, repr=False)
class FactorSet(ImageSet):
    """An image set that knows its factors.

    >>> from epslab.data import load
    >>> shapes = load("shapes", "test")
    >>> shapes.factor_names, shapes[:3].factors.shape
    (('shape', 'size', 'x', 'y', 'brightness'), torch.Size([3, 5]))

    Args:
        pixels: uint8 [n c h w], 0..255.
        labels: int64 [n], 0..classes−1.
        classes: The classes' names, by label.
        name: Of the data set.
        factors: int64 [n F], 0 or more: the value of each factor, by number.
        factor_names: The factors' names, F of them.

    Raises:
        UserError: As for an ``ImageSet``; or factors of a wrong type or shape.
    """

    factors: Tensor = field(default_factory=lambda: torch.zeros(0, 0, dtype=torch.int64))
    factor_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check that pixels, labels, classes and factors belong together."""
        super().__post_init__()
        wanted = (len(self.pixels), len(self.factor_names))
        if self.factors.dtype != torch.int64 or self.factors.shape != wanted or (self.factors < 0).any():
            raise UserError(
                f"Factors are {self.factors.dtype} {list(self.factors.shape)}; give int64 {list(wanted)}, 0 or more:"
                " one row per image, one column per name."
            )

    def __getitem__(self: Set, index: slice | Int[Tensor, " k"] | Bool[Tensor, " n"]) -> Set:
        """A part of the set: a slice shares its memory, a tensor of indices (or a mask) copies."""
        parts = (self.pixels[index], self.labels[index], self.classes, self.name, self.factors[index])
        return type(self)(*parts, self.factor_names)

    def _repr_html_(self) -> str:
        values = [len(torch.bincount(column)) for column in self.factors.unbind(1)]
        rows = [(name, f"{count:,}") for name, count in zip(self.factor_names, values, strict=True)]
        strip = notebook.strip_of(self.pixels[:8])
        return notebook.shown(repr(self)[1:-1], rows, ("factor", "values"), right=(False, True), strip=strip)

    def to(self, device: torch.device | str) -> "FactorSet":
        """The same set on a device."""
        moved = (self.pixels.to(device), self.labels.to(device), self.classes, self.name, self.factors.to(device))
        return FactorSet(*moved, self.factor_names)

    def checksum(self) -> str:
        """``sha256:…`` of the images, labels, classes and factors: the same for the same content."""
        digest = hashlib.sha256(f"{super().checksum()} {self.factor_names}".encode())
        digest.update(bytes_of(self.factors))
        return f"sha256:{digest.hexdigest()}"
