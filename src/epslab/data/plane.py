"""The toys of ``epslab.data.toys`` as data sets with a name: 10,000 points to train on and 2,500 to test on."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol, runtime_checkable

from torch import Generator

from epslab import seeds
from epslab.data import toys
from epslab.data.modes import Modes
from epslab.data.official import FileStatus
from epslab.data.pointset import PointSet


@runtime_checkable
class Toy(Protocol):
    """One of the samplers of ``epslab.data.toys``."""

    def __call__(self, n: int, *, generator: Generator | None = None) -> toys.Points:
        """N points."""
        ...


@dataclass(frozen=True)
class Plane:
    """Points on the plane, drawn once from a fixed seed: the same at every load.

    Args:
        name: Of the data set.
        draw: Draws the points.
        modes: Of the law, if it is a mixture of normals; a point's label is then its nearest mode.
        shape: Of a point.
        lengths: Training and test points.
        disk: Bytes on disk.
        origin: Where the points come from.
    """

    name: str
    draw: Toy
    modes: Modes | None = None
    shape: tuple[int, ...] = (2,)
    lengths: tuple[int, int] = (10_000, 2_500)
    disk: int = 0
    origin: str = "drawn by epslab"

    @property
    def classes(self) -> tuple[str, ...]:
        """A name for each mode."""
        return tuple(f"mode {i + 1}" for i in range(0 if self.modes is None else len(self.modes)))

    def present(self, root: Path) -> bool:
        """True: they are drawn when they are loaded."""
        return True

    def check(self, root: Path) -> list[FileStatus]:
        """Nothing to check: there are no files."""
        return []

    def load(self, split: str, root: Path) -> tuple[PointSet, list[Path]]:
        """A split, drawn from a stream of its own."""
        n = self.lengths[0 if split == "train" else 1]
        points = self.draw(n, generator=seeds.generator(0, "data", self.name, split))
        if self.modes is None:
            return PointSet(points), []
        return PointSet(points, self.modes.nearest(points)[1], modes=self.modes), []

    def fetch(self, root: Path) -> None:
        """Nothing to do: there are no files."""


# The standard deviations of studies of mode collapse (Metz et al., 2017; Srivastava et al., 2017).
RING = Plane("ring", partial(toys.gaussian_ring, std=0.02), Modes(toys.ring_centres(), 0.02))
GRID = Plane("grid", partial(toys.gaussian_grid, std=0.05), Modes(toys.grid_centres(), 0.05))
TWO_MOONS = Plane("two-moons", toys.two_moons)
SWISS_ROLL = Plane("swiss-roll", toys.swiss_roll)
