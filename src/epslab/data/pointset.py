"""A set of points, such as the toys of ``epslab.data.toys``."""

import hashlib
from dataclasses import dataclass
from typing import TypeVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from epslab import notebook
from epslab.data.examples import Divisible, bytes_of
from epslab.data.modes import Modes
from epslab.errors import UserError
from epslab.types import Labels

Set = TypeVar("Set", bound="PointSet")


@dataclass(frozen=True, eq=False)
class PointSet(Divisible):
    """Points in d dimensions, with or without labels; two sets are compared by ``checksum()``.

    Training gets its batches as float32.

    >>> from epslab.data import PointSet, toys
    >>> moons = PointSet(toys.two_moons(1000))
    >>> train, validation = moons.split([900, 100], seed=0)
    >>> len(train), train.shape
    (900, (2,))

    Args:
        points: Floating-point [n d], all finite.
        labels: int64 [n], 0 or more; None: the points have none.
        name: Of the data set; empty where there is none. It is no part of the content.
        modes: Of the law that the points were drawn from, where it is known to be a mixture of round normals: a model's
            samples can then be counted by mode (``epslab.evaluation.evaluate_modes``). No part of the content either.

    Raises:
        UserError: A wrong type or shape, unequal lengths, a negative label, a point that is not finite, or modes in
            another number of dimensions.
    """

    # Plain annotations: __post_init__ checks the shapes, always, and with a sentence.
    points: Tensor
    labels: Tensor | None = None
    name: str = ""
    modes: Modes | None = None

    def __post_init__(self) -> None:
        """Check points and labels."""
        if not self.points.is_floating_point() or self.points.ndim != 2:
            raise UserError(
                f"Points are {self.points.dtype} {list(self.points.shape)}; a point set holds floating-point [n d]:"
                " points.float(), one point per row."
            )
        if not self.points.isfinite().all():
            raise UserError("Some points are NaN or infinite; leave them out: points[points.isfinite().all(1)].")
        if self.modes is not None and self.modes.centres.shape[1] != self.points.shape[1]:
            raise UserError(
                f"The points have {self.points.shape[1]} coordinates, but the modes' centres"
                f" {self.modes.centres.shape[1]}."
            )
        if self.labels is None:
            return
        if self.labels.dtype != torch.int64 or self.labels.shape != self.points.shape[:1]:
            raise UserError(
                f"Labels are {self.labels.dtype} {list(self.labels.shape)} for {len(self.points)} points; give int64"
                f" [{len(self.points)}], one label per point."
            )
        if (self.labels < 0).any():
            raise UserError(f"Labels must be 0 or more, but the smallest is {int(self.labels.min())}.")

    def __len__(self) -> int:
        """The number of points."""
        return len(self.points)

    def __repr__(self) -> str:
        name = f" {self.name}" if self.name else ""
        labels = "no labels" if self.labels is None else f"{len(set(self.labels.tolist()))} labels"
        return f"<PointSet{name}: {len(self):,} points in {self.points.shape[1]} dimensions, {labels}>"

    def _repr_html_(self) -> str:
        rows = []
        if len(self):
            parts = (self.points.amin(0), self.points.mean(0), self.points.amax(0))
            columns = zip(*(part.tolist() for part in parts), strict=True)
            rows = [(f"x{i + 1}", *(f"{value:.3g}" for value in column)) for i, column in enumerate(columns)]
        headings = ("coordinate", "lowest", "mean", "highest")
        return notebook.shown(repr(self)[1:-1], rows, headings, right=(False, True, True, True))

    def __getitem__(self: Set, index: slice | Int[Tensor, " k"] | Bool[Tensor, " n"]) -> Set:
        """A part of the set: a slice shares its memory, a tensor of indices (or a mask) copies."""
        labels = None if self.labels is None else self.labels[index]
        return type(self)(self.points[index], labels, self.name, self.modes)

    @property
    def shape(self) -> tuple[int, ...]:
        """(d,): the number of coordinates."""
        return tuple(self.points.shape[1:])

    @property
    def about(self) -> dict[str, object]:
        """The name if there is one, and the shape of a point, for a run's ``config.yaml``."""
        return {**({"dataset": self.name} if self.name else {}), "shape": list(self.shape)}

    def checksum(self) -> str:
        """``sha256:…`` of type, shape, points and labels: the same for the same content."""
        digest = hashlib.sha256(repr((self.points.dtype, tuple(self.points.shape), self.labels is None)).encode())
        for tensor in (self.points, self.labels):
            if tensor is not None:
                digest.update(bytes_of(tensor))
        return f"sha256:{digest.hexdigest()}"

    def to(self, device: torch.device | str) -> "PointSet":
        """The same set on a device."""
        labels = None if self.labels is None else self.labels.to(device)
        return PointSet(self.points.to(device), labels, self.name, self.modes)

    def batch(self, indices: Int[Tensor, " n"]) -> tuple[Float[Tensor, "n d"], Labels]:
        """The points at these indices as float32, and their labels (0 where there are none)."""
        labels = torch.zeros_like(indices) if self.labels is None else self.labels[indices]
        return self.points[indices].to(torch.float32), labels
