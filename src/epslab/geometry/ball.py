"""The ball: a norm and a radius, around any centre."""

from dataclasses import dataclass
from typing import SupportsFloat

import torch
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor

from epslab.errors import UserError, unknown
from epslab.geometry import l1, l2, linf
from epslab.geometry.norm import Box, Norm, Points, Projector, Radii
from epslab.geometry.room import room, within
from epslab.geometry.rounding import beside, length, placed
from epslab.seeds import draw
from epslab.types import PerExample, Seeds


@dataclass(frozen=True, eq=False)
class Ball:
    """The points x' with ‖x' − c‖ ≤ radius around any centre c; balls are compared by their settings.

    >>> ball = Ball("l2", 0.5)
    >>> ball.project(torch.tensor([[4.0, 3.0]]), torch.tensor([[0.0, 0.0]]))
    tensor([[0.4000, 0.3000]])

    Args:
        norm: "linf", "l2" or "l1"; ``math.inf``, 2 and 1 are understood, and the name is what is kept.
        radius: ≥ 0 and finite, in the points' own unit (pixels in [0, 1]): one number, kept as a float, or one per
            example [n], kept as a float64 copy.

    Raises:
        UserError: Another norm; a radius that is negative, infinite or NaN.
    """

    norm: str | float | int
    radius: SupportsFloat | Tensor

    def __post_init__(self) -> None:
        norm = _NAMES.get(self.norm)
        if norm is None:
            raise unknown("norm", str(self.norm), _NORMS)
        object.__setattr__(self, "norm", norm)
        object.__setattr__(self, "radius", _checked(self.radius))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ball) and self._settings() == other._settings()

    def __hash__(self) -> int:
        return hash(self._settings())

    def __getitem__(self, examples: Bool[Tensor, " n"] | Int[Tensor, " m"] | slice) -> "Ball":
        """The ball of these examples, by mask, index or slice; a radius that is one number stays itself."""
        if not isinstance(self.radius, Tensor):
            return self
        return Ball(
            self.norm, self.radius[examples.to(self.radius.device) if isinstance(examples, Tensor) else examples]
        )

    def scaled(self, factor: SupportsFloat | Float[Tensor, " n"]) -> "Ball":
        """The ball with factor times the radius; a factor per example [n] gives a radius per example."""
        ours, factor = _checked(self.radius), _checked(factor, "factor")
        return Ball(self.norm, ours * factor)

    def radii(self, n: int, device: torch.device | str = "cpu") -> Radii:
        """The radius of each of n examples, float64 [n] on ``device``.

        Raises:
            UserError: The ball has radii for another number of examples.
        """
        if not isinstance(self.radius, Tensor):
            return torch.full((n,), float(self.radius), dtype=torch.float64, device=device)
        if len(self.radius) != n:
            raise UserError(
                f"The ball has radii for {len(self.radius)} examples, but is used for {n}; give one radius per example,"
                " or a single number."
            )
        return self.radius.to(device)

    def project(self, points: Points, centre: Points) -> Points:
        """The nearest point of the ball around each centre, to 10⁻¹² of the radius and the rounding of its own type.

        A point that is inside already comes back bit for bit, so projecting twice changes nothing; radius 0 gives the
        centre. Type and memory format are the points', whose type must be the centre's. Pixels finite.

        Raises:
            UserError: The ball has radii for another number of examples.
        """
        return self.projector(centre)(points)

    def projector(self, centre: Points, box: Box | None = None) -> Projector:
        """The map to the nearest point of the ball around this centre, or with a ``box`` of what the two share.

        Linf: each coordinate is clamped to bounds that are computed once. L2 and L1: see ``epslab.geometry.l2`` and
        ``l1`` for the exact solution (Croce & Hein, 2021). It is promised what ``project`` promises.

        Args:
            centre: The centres, [n *shape], in the box.
            box: Lowest and highest value of a coordinate, e.g. (0.0, 1.0); numbers, or tensors shaped as the centres.
        """
        return self._norm.projector(centre, self._radii_beside(centre), box)

    def farthest(self, gradient: Points, centre: Points, box: Box | None = (0.0, 1.0)) -> Points:
        """Where a linear function is greatest on the ball and the box: argmax of ⟨g, x'⟩ over ‖x' − c‖ ≤ r, x' in it.

        Linf: each coordinate goes to its bound. L2: clip(c + λ·g) with the λ that spends the radius. L1: the largest
        |g_i| first, each coordinate up to its bound, until the radius is spent (Croce & Hein, 2021, proposition 3.1).
        Coordinates without a gradient stay. The result is inside as a projection is.

        Args:
            gradient: g, [n *shape]; its scale does not matter.
            centre: The centres, [n *shape], in the box.
            box: As for ``projector``; None: the ball alone.
        """
        g, wide = gradient.double(), centre.double()
        return within(placed(centre, self._moves(g, room(wide, g, box))), box)

    def step(
        self, gradient: Points, points: Points, box: Box | None = (0.0, 1.0), most: Tensor | None = None
    ) -> Points:
        """``farthest`` in the points' own precision, float32 at least: for a step that is projected afterwards.

        Rounding may put the result outside the ball, but never outside the box.

        Args:
            gradient: g, [n *shape].
            points: Where the step starts, [n *shape], in the box.
            box: As for ``farthest``.
            most: How far a coordinate may move, if less than the box leaves it; broadcasts to the points.
        """
        own = torch.promote_types(points.dtype, torch.float32)
        g, wide = gradient.to(own), points.to(own)
        space = room(wide, g, box)
        return within((wide + self._moves(g, space if most is None else space.minimum(most))).to(points.dtype), box)

    def ascent(self, gradient: Points) -> Points:
        """The direction in which a linear function rises fastest: argmax of ⟨g, d⟩ over ‖d‖ ≤ 1, per example.

        Linf: sign g. L2: g/‖g‖₂. L1: the sign of one largest |g_i| at i, the first of equals. A gradient of zero has no
        direction and gives zero; the scale of a finite gradient does not matter, down to the smallest number.
        """
        return self._norm.ascent(gradient)

    def sample(
        self, centre: Points, generator: Generator | None = None, *, seeds: Seeds | None = None, counter: int = 0
    ) -> Points:
        """A uniform draw from the ball around each centre, not clipped to any box; type and format of the centre.

        An example's draw is a function of its seed and the counter alone (``epslab.seeds``).

        Args:
            centre: The centres, [n *shape].
            generator: Draws the seeds (None: torch's default).
            seeds: One seed per example, in place of the generator.
            counter: Which of the example's draws: 0, 1, 2, …
        """
        radii = self._radii_beside(centre)
        seeds = draw(len(centre), generator, centre.device) if seeds is None else seeds
        return placed(centre, self._norm.draw(seeds, counter, centre.shape[1:]) * radii)

    def distance(self, points: Points, centre: Points) -> PerExample:
        """‖x' − c‖ of each example, float64 [n]."""
        return length(points.double() - centre.double(), self._norm.p)

    def dual(self, gradient: Points) -> PerExample:
        """The dual norm of each gradient, float64 [n]: Σ|g|, ‖g‖₂ or max|g| for Linf, L2, L1.

        It is what a step of length 1 along ``ascent`` adds to a linear function, and no other step adds more.
        """
        return length(gradient.double(), self._norm.dual_p)

    @property
    def _norm(self) -> Norm:
        return _NORMS[str(self.norm)]

    def _radii_beside(self, points: Points) -> Float[Tensor, "n ..."]:
        """The radii with the points' number of axes, [n 1 …]."""
        return beside(self.radii(len(points), points.device), points)

    def _moves(self, gradient: Tensor, space: Tensor) -> Tensor:
        """The move along the gradient that gains most, no coordinate beyond its room."""
        radii = self.radii(len(gradient), gradient.device)[:, None]
        moved = self._norm.moves(gradient.abs().flatten(1), space.flatten(1), radii)
        return torch.copysign(moved.view(gradient.shape), gradient)

    def _settings(self) -> tuple[str, float | tuple[float, ...]]:
        radius = tuple(self.radius.tolist()) if isinstance(self.radius, Tensor) else float(self.radius)
        return str(self.norm), radius


def Linf(radius: SupportsFloat | Tensor) -> Ball:  # noqa: N802
    """The ball max|x'_i − c_i| ≤ radius."""
    return Ball("linf", radius)


def L2(radius: SupportsFloat | Tensor) -> Ball:  # noqa: N802
    """The ball ‖x' − c‖₂ ≤ radius."""
    return Ball("l2", radius)


def L1(radius: SupportsFloat | Tensor) -> Ball:  # noqa: N802
    """The ball Σ|x'_i − c_i| ≤ radius."""
    return Ball("l1", radius)


def _checked(value: object, what: str = "radius") -> float | Tensor:
    """A finite value ≥ 0: a float, or a float64 tensor [n] of its own."""
    if isinstance(value, Tensor) and value.ndim > 1:
        raise UserError(f"The {what} has the shape {list(value.shape)}, but must be a number or one per example, [n].")
    if not isinstance(value, SupportsFloat):
        number = f": {value.replace('/', ' / ')} without quotes" if isinstance(value, str) else ""
        raise UserError(f"The {what} is {value!r}, but must be a number, or a tensor with one per example{number}.")
    several = value.detach().to(torch.float64, copy=True) if isinstance(value, Tensor) and value.ndim else None
    numbers = torch.tensor([float(value)], dtype=torch.float64) if several is None else several
    wrong = numbers[~(numbers.isfinite() & (numbers >= 0))]
    if len(wrong):
        raise UserError(f"The {what} is {wrong[0].item():g}, but must be a finite number of at least 0, e.g. 8/255.")
    return float(value) if several is None else several


_NORMS = {"linf": linf.LINF, "l2": l2.L2, "l1": l1.L1}
_NAMES: dict[str | float | int, str] = {name: name for name in _NORMS} | {norm.p: name for name, norm in _NORMS.items()}
