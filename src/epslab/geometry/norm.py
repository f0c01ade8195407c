"""What a norm has to know for a ball to be built on it; ``linf``, ``l2`` and ``l1`` each say it for one norm."""

import math
from collections.abc import Callable
from typing import NamedTuple, Protocol, runtime_checkable

from jaxtyping import Bool, Float, Int
from torch import Tensor

from epslab import seeds
from epslab.geometry.rounding import INSIDE, beside

Points = Float[Tensor, "n *shape"]
"""Images, or any other points: one for each index of the first axis, which is not the only one."""
Radii = Float[Tensor, " n"]
Box = tuple[float | Tensor, float | Tensor]
"""The lowest and the highest value of each coordinate: numbers, or tensors that broadcast to the points."""


@runtime_checkable
class Projector(Protocol):
    """The map into the balls around fixed centres; ``projector[index]`` is that of some of the examples."""

    def __call__(self, points: Points) -> Points:
        """The nearest points of the balls, or of what the balls share with the box."""
        ...

    def __getitem__(self, examples: Bool[Tensor, " n"] | Int[Tensor, " m"] | slice) -> "Projector":
        """The same for these examples, by mask, index or slice; nothing is computed again."""
        ...


class Norm(NamedTuple):
    """What distinguishes one norm from another; radii come as [n 1 …], centres lie in the box."""

    p: float
    dual_p: float  # 1/p + 1/dual_p = 1
    projector: Callable[[Tensor, Tensor, Box | None], Projector]  # of centre, radii, box
    ascent: Callable[[Tensor], Tensor]  # argmax of <g, d> over ‖d‖ ≤ 1, of g
    moves: Callable[[Tensor, Tensor, Tensor], Tensor]  # argmax of <|g|, m> over 0 ≤ m ≤ room, ‖m‖ ≤ r, of |g|, room, r
    draw: Callable[[Tensor, int, tuple[int, ...]], Tensor]  # of seeds, counter, shape: uniform in the unit ball


def draw_length(example_seeds: Tensor, counter: int, points: Tensor) -> Tensor:
    """The length of a uniform draw from the unit ball, [n 1 …]: P(‖δ‖ ≤ t) = t^d, so it is U^(1/d)."""
    u = seeds.uniform(seeds.fork(example_seeds, "ball-radius"), counter, (1,), points.dtype)
    return beside(u.squeeze(1) ** (1.0 / math.prod(points.shape[1:])) * INSIDE, points)
