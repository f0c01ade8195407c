"""Norm balls ‖x' − c‖_p ≤ r for p = ∞, 2, 1: project, sample, steepest ascent, distance.

The distance is measured in float64, and what is returned is inside by that measure whatever the points' own type: a
projection is computed in float64, rounded to the points' type, and each coordinate the rounding moved away from the
centre goes one representable number back. No coordinate is then further from the centre than the exact result's, so no
norm is larger.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol, SupportsFloat, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor

from epslab import seeds as noise
from epslab.errors import UserError, unknown
from epslab.types import PerExample, Seeds

Points = Float[Tensor, "n *shape"]
"""Images, or any other points: one for each index of the first axis, which is not the only one."""
Radii = Float[Tensor, " n"]

_INSIDE = 1.0 - 1e-12  # what a point is scaled by on its way into the ball, so that the sum of squares may be rounded


@runtime_checkable
class Projector(Protocol):
    """The map into the balls around fixed centres; ``projector[index]`` is that of some of the examples."""

    def __call__(self, points: Points) -> Points:
        """The nearest points of the balls."""
        ...

    def __getitem__(self, examples: Bool[Tensor, " n"] | Int[Tensor, " m"] | slice) -> "Projector":
        """The same for these examples, by mask, index or slice, without computing anything anew."""
        ...

    def and_clamp(self, low: float, high: float) -> "Projector":
        """The same, then every coordinate clamped."""
        ...


@dataclass(frozen=True, eq=False)
class Ball:
    """The points x' with ‖x' − c‖ ≤ radius around any centre c; balls are compared by their settings.

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

        Linf: each coordinate is clamped. L2: a point outside is scaled towards the centre. L1: soft thresholding of
        x − c, which is the projection onto the simplex; Duchi et al. (2008), fig. 1.

        A point that is inside already comes back bit for bit, so projecting twice changes nothing; radius 0 gives the
        centre. Type and memory format are the points', whose type must be the centre's. Pixels finite.

        Raises:
            UserError: The ball has radii for another number of examples.
        """
        return self.projector(centre)(points)

    def projector(self, centre: Points, box: tuple[float, float] | None = None) -> Projector:
        """``project`` onto the ball around this centre, computing once what does not depend on the points.

        For Linf these are the two bounds of every coordinate, and a projection is one clamp. With a ``box`` that holds
        the centre, points are clamped to it afterwards, which only moves them closer to the centre.
        """
        into_ball = self._norm.projector(centre, self._radii_beside(centre))
        return into_ball if box is None else into_ball.and_clamp(*box)

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
            seeds: One seed an example, in place of the generator.
            counter: Which of the example's draws: 0, 1, 2, …
        """
        radii = self._radii_beside(centre)
        seeds = noise.draw(len(centre), generator, centre.device) if seeds is None else seeds
        return _placed(centre, self._norm.draw(seeds, counter, centre.shape[1:]) * radii)

    def distance(self, points: Points, centre: Points) -> PerExample:
        """‖x' − c‖ of each example, float64 [n]."""
        return _length(points.double() - centre.double(), self._norm.p)

    def dual(self, gradient: Points) -> PerExample:
        """The dual norm of each gradient, float64 [n]: Σ|g|, ‖g‖₂ or max|g| for Linf, L2, L1.

        It is what a step of length 1 along ``ascent`` adds to a linear function, and no other step adds more.
        """
        return _length(gradient.double(), self._norm.dual_p)

    @property
    def _norm(self) -> "_Norm":
        return _NORMS[str(self.norm)]

    def _radii_beside(self, points: Points) -> Float[Tensor, "n ..."]:
        """The radii with the points' number of axes, [n 1 …]."""
        return self.radii(len(points), points.device).view(-1, *[1] * (points.ndim - 1))

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


class _Norm(NamedTuple):
    """What distinguishes one norm from another."""

    p: float
    dual_p: float  # 1/p + 1/dual_p = 1
    projector: Callable[[Tensor, Tensor], Projector]  # of a centre and radii [n 1 …]
    ascent: Callable[[Tensor], Tensor]
    draw: Callable[[Tensor, int, tuple[int, ...]], Tensor]  # of seeds, counter, shape: uniform in the unit ball


@dataclass(frozen=True, eq=False)
class _Clamp:
    low: Tensor
    high: Tensor

    def __call__(self, points: Tensor) -> Tensor:
        return points.clamp(self.low, self.high)

    def __getitem__(self, examples: Tensor | slice) -> "_Clamp":
        return _Clamp(self.low[examples], self.high[examples])

    def and_clamp(self, low: float, high: float) -> Projector:
        return _Clamp(self.low.clamp(low, high), self.high.clamp(low, high))


def _clamp_between_bounds(centre: Tensor, radii: Tensor) -> Projector:
    return _Clamp(_placed(centre, -radii), _placed(centre, radii))


@dataclass(frozen=True, eq=False)
class _Clamped:
    inner: Projector
    low: float
    high: float

    def __call__(self, points: Tensor) -> Tensor:
        return self.inner(points).clamp(self.low, self.high)

    def __getitem__(self, examples: Tensor | slice) -> "_Clamped":
        return _Clamped(self.inner[examples], self.low, self.high)

    def and_clamp(self, low: float, high: float) -> Projector:
        return _Clamped(self, low, high)


@dataclass(frozen=True, eq=False)
class _ScaleInto:
    centre: Tensor
    radii: Tensor

    def __call__(self, points: Tensor) -> Tensor:
        delta = points.double() - self.centre.double()
        length = _length(delta, 2.0).view_as(self.radii)
        scaled = delta * (self.radii * _INSIDE / length.clamp_min(_TINY))
        return torch.where(length > self.radii, _placed(self.centre, scaled), points)

    def __getitem__(self, examples: Tensor | slice) -> "_ScaleInto":
        return _ScaleInto(self.centre[examples], self.radii[examples])

    def and_clamp(self, low: float, high: float) -> Projector:
        return _Clamped(self, low, high)


@dataclass(frozen=True, eq=False)
class _ThresholdInto:
    centre: Tensor
    radii: Tensor

    def __call__(self, points: Tensor) -> Tensor:
        if not len(points):
            return points
        radii, delta = self.radii, points.double() - self.centre.double()
        length = _length(delta, 1.0).view_as(radii)
        # The threshold θ for which Σ max(|δ_i| − θ, 0) = r: of the ρ largest magnitudes, ρ the last with u_ρ > θ_ρ.
        u = delta.abs().flatten(1).sort(dim=1, descending=True).values
        thetas = (u.cumsum(1) - radii.flatten(1)) / torch.arange(1, u.shape[1] + 1, device=u.device)
        rho = (u > thetas).sum(1, keepdim=True).clamp_min(1)
        theta = thetas.gather(1, rho - 1).view_as(radii)
        kept = delta.sign() * (delta.abs() - theta).clamp_min(0.0)
        # Rounding in the sums, of points far outside a small ball, is put right by a factor next to 1.
        kept *= (radii * _INSIDE / _length(kept, 1.0).view_as(radii).clamp_min(_TINY)).clamp_max(1.0)
        return torch.where(length > radii, _placed(self.centre, kept), points)

    def __getitem__(self, examples: Tensor | slice) -> "_ThresholdInto":
        return _ThresholdInto(self.centre[examples], self.radii[examples])

    def and_clamp(self, low: float, high: float) -> Projector:
        return _Clamped(self, low, high)


def _unit_l2(gradient: Tensor) -> Tensor:
    # Divided by the largest first, no square over- or underflows.
    largest = gradient.abs().flatten(1).amax(1)
    scaled = gradient / _beside(torch.where(largest > 0, largest, 1.0), gradient)
    length = torch.linalg.vector_norm(scaled, dim=_inner(scaled))
    return scaled / _beside(torch.where(length > 0, length, 1.0), gradient)


def _one_largest(gradient: Tensor) -> Tensor:
    flat = gradient.flatten(1)
    where = flat.abs().argmax(1, keepdim=True)
    direction = torch.zeros_like(flat).scatter_(1, where, flat.gather(1, where).sign())
    return torch.empty_like(gradient).copy_(direction.view(gradient.shape))


def _draw_linf(seeds: Tensor, counter: int, shape: tuple[int, ...]) -> Tensor:
    return noise.uniform(seeds, counter, shape, torch.float64) * 2.0 - 1.0


def _draw_l2(seeds: Tensor, counter: int, shape: tuple[int, ...]) -> Tensor:
    """A normal vector's direction is uniform; P(‖δ‖ ≤ t) = t^d gives the length U^(1/d)."""
    z = noise.noise(seeds, counter, shape, torch.float64)
    return z * (_draw_length(seeds, counter, z) / _beside(_length(z, 2.0), z))


def _draw_l1(seeds: Tensor, counter: int, shape: tuple[int, ...]) -> Tensor:
    """A vector of Laplace variables, divided by its L1 norm, is uniform on the sphere; the length as for L2."""
    # Half a step up, −1 < s < 1 is symmetric and never 0: every magnitude is finite and positive.
    s = noise.uniform(seeds, counter, shape, torch.float64) * 2.0 - 1.0 + 2.0**-53
    laplace = -s.sign() * torch.log1p(-s.abs())
    return laplace * (_draw_length(seeds, counter, laplace) / _beside(_length(laplace, 1.0), laplace))


def _draw_length(seeds: Tensor, counter: int, points: Tensor) -> Tensor:
    u = noise.uniform(noise.fork(seeds, "ball-radius"), counter, (1,), torch.float64)
    return _beside(u.squeeze(1) ** (1.0 / math.prod(points.shape[1:])) * _INSIDE, points)


def _placed(centre: Tensor, delta: Tensor) -> Tensor:
    """The points c + δ in the centre's type, rounded so that no coordinate is further than |δ| from c in float64."""
    wide = centre.double()
    placed = (wide + delta).to(centre.dtype)
    return torch.where((placed.double() - wide).abs() > delta.abs(), _one_step(placed, centre), placed)


def _one_step(points: Tensor, centre: Tensor) -> Tensor:
    """The next representable number towards the centre; what it gives at the centre itself is not used."""
    if points.element_size() > 2:
        return torch.nextafter(points, centre)
    # Not every device has nextafter for the half types: a magnitude's neighbours are the bit patterns next to its own.
    bits, towards = points.view(torch.int16), (centre.double() - points.double()).sign()
    step = torch.where(towards == points.sign(), 1, -1).to(torch.int16)
    smallest = torch.where(towards > 0, 1, -(2**15) + 1).to(torch.int16)
    return torch.where(points == 0, smallest, bits + step).view(points.dtype)


def _length(points: Tensor, p: float) -> Tensor:
    length: Tensor = torch.linalg.vector_norm(points, p, dim=_inner(points))
    return length


def _inner(points: Tensor) -> tuple[int, ...]:
    return tuple(range(1, points.ndim))


def _beside(values: Tensor, points: Tensor) -> Tensor:
    """One value an example [n] with the points' number of axes, [n 1 …]."""
    return values.view(-1, *[1] * (points.ndim - 1))


def _checked(value: SupportsFloat | Tensor, what: str = "radius") -> float | Tensor:
    """A finite value ≥ 0: a float, or a float64 tensor [n] of its own."""
    if isinstance(value, Tensor) and value.ndim > 1:
        raise UserError(f"The {what} has the shape {list(value.shape)}, but must be a number or one per example, [n].")
    several = value.detach().to(torch.float64, copy=True) if isinstance(value, Tensor) and value.ndim else None
    numbers = torch.tensor([float(value)], dtype=torch.float64) if several is None else several
    wrong = numbers[~(numbers.isfinite() & (numbers >= 0))]
    if len(wrong):
        raise UserError(f"The {what} is {wrong[0].item():g}, but must be a finite number of at least 0, e.g. 8/255.")
    return float(value) if several is None else several


_TINY = torch.finfo(torch.float64).tiny
_NORMS = {
    "linf": _Norm(float("inf"), 1.0, _clamp_between_bounds, torch.sign, _draw_linf),
    "l2": _Norm(2.0, 2.0, _ScaleInto, _unit_l2, _draw_l2),
    "l1": _Norm(1.0, float("inf"), _ThresholdInto, _one_largest, _draw_l1),
}
_NAMES: dict[str | float | int, str] = {name: name for name in _NORMS} | {norm.p: name for name, norm in _NORMS.items()}
