"""Adversarial images as a file holds them: whole levels of 1/255, within ball and box.

An attack that stops at the first success returns an image just beyond the model's boundary, and rounding its pixels to
the nearest levels may cross the boundary again. That says something of the attack, not of the model. So where the
nearest levels no longer fool the model, the search goes on among the images of 8 bits themselves.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from epslab.attacks.objectives import margin
from epslab.evaluation.portions import Portion, answers, differentiate
from epslab.geometry import Ball, Linf
from epslab.types import Classifier, Images, Pixels

STEPS = 10
"""Gradient steps of the search."""
SLACK = 1e-9
"""Of the radius: what a float64 sum may be off by. A float32 overshoot of 8/255 is a thousand times larger."""
_SHORT = 1e-3
"""Of a level: a float32 step of 8/255 may be shorter than 8 levels by a hundredth of this."""


@dataclass(frozen=True, eq=False)
class Lattice:
    """The images of 8 bits in ball and box. A point is the number of levels each pixel has moved, float64 [n c h w].

    Args:
        levels: The clean images, 0..255.
        ball: Around them.
    """

    levels: Float[Tensor, "n c h w"]
    ball: Ball

    def part(self, index: Int[Tensor, " k"]) -> "Lattice":
        """The lattice of these examples."""
        return Lattice(self.levels[index], self.ball)

    def moved(self, images: Images) -> Float[Tensor, "n c h w"]:
        """How far images in the box are from the clean ones, in levels: a real number per pixel."""
        return images.double() * 255 - self.levels

    def holds(self, points: Float[Tensor, "n c h w"]) -> Bool[Tensor, " n"]:
        """Which points are in the ball."""
        return self.ball.distance(points / 255, torch.zeros_like(points)) <= float(self.ball.radius) * (1 + SLACK)

    def nearest(self, moved: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """The nearest levels, where those are in the ball; otherwise every pixel is rounded towards the clean image.

        The points are in the ball: rounded so, no pixel is further from the clean one than in the ball's nearest point.
        """
        points = moved.round()
        # A whole step that float32 left a little short of is still a whole step, where the ball has room for it.
        for inward in ((moved + moved.sign() * _SHORT).trunc(), self._into_ball(moved).trunc()):
            points = torch.where(self.holds(points)[:, None, None, None], points, inward)
        return points

    def towards(self, moved: Float[Tensor, "n c h w"], gradient: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """The levels on either side of each pixel that raise a linear function most, as far as the ball has room.

        Every pixel is first rounded towards the clean image. Then those whose outer level the gradient favours take it,
        the greatest gain for the room it takes first.
        """
        moved = self._into_ball(moved)
        inner = moved.trunc()
        gain = torch.where(moved == inner, 0.0, gradient.double() * moved.sign()).flatten(1)
        room, cost = self._room(inner)
        order = (gain / cost).argsort(dim=1, descending=True)
        fits = cost.gather(1, order).cumsum(1) <= room[:, None]
        taken = torch.zeros_like(fits).scatter(1, order, fits) & (gain > 0) & cost.isfinite()
        return inner + moved.sign() * taken.view_as(moved)

    def pixels(self, points: Float[Tensor, "n c h w"]) -> Pixels:
        """The images, uint8."""
        return (self.levels + points).clamp_(0, 255).to(torch.uint8)

    def _into_ball(self, moved: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        return self.ball.project(moved / 255, torch.zeros_like(moved)) * 255

    def _room(self, inner: Float[Tensor, "n c h w"]) -> tuple[Float[Tensor, " n"], Float[Tensor, "n d"]]:
        """What is left of the ball, and what of it each pixel's next level outwards takes (infinite: not allowed)."""
        flat, radius = inner.abs().flatten(1), float(self.ball.radius) * 255 * (1 + SLACK)
        if self.ball.norm == "l1":
            return radius - flat.sum(1), torch.ones_like(flat)
        if self.ball.norm == "l2":  # (a + 1)² − a²
            return radius**2 - flat.square().sum(1), 2 * flat + 1
        return torch.ones_like(flat[:, 0]), torch.where(flat + 1 <= radius, 0.5 / flat.shape[1], math.inf)


def rounded(
    model: Classifier, images: Images, fooled: Bool[Tensor, " n"], portion: Portion, ball: Ball | None
) -> tuple[Pixels, Bool[Tensor, " n"], Int[Tensor, " n"]]:
    """Adversarial images in 8 bits: the nearest levels, or others of ball and box where those do not fool the model.

    Args:
        model: Images to logits.
        images: What the attack returned.
        fooled: Where the model gives those another class than the label.
        portion: The examples.
        ball: The attack's; None: pixels only move to one of the two levels around them.

    Returns:
        The images; which of them the model gets right; how often the search asked the model, each time for a gradient.
    """
    lattice = Lattice(portion.levels.double(), Linf(1.0) if ball is None else ball)
    pixels = lattice.pixels(lattice.nearest(lattice.moved(images)))
    right = answers(model, shown(pixels, images), portion).argmax(1) == portion.labels
    spent = torch.zeros_like(portion.labels)
    lost = (fooled & right & portion.eight_bit).nonzero()[:, 0]
    if len(lost):
        rest = portion.part(lost)
        pixels[lost], spent[lost] = _search(model, images[lost], rest, lattice.part(lost), roams=ball is not None)
        right[lost] = answers(model, shown(pixels[lost], images), rest).argmax(1) == rest.labels
    return pixels, right, spent


def _search(
    model: Classifier, images: Images, portion: Portion, lattice: Lattice, *, roams: bool
) -> tuple[Pixels, Tensor]:
    """Gradient steps among images of 8 bits, from an adversarial image of real numbers; the greatest margin is kept."""
    start = lattice.moved(images)
    _, gradient = _slope(model, images, portion)
    best, value = start, torch.full_like(portion.labels, -math.inf, dtype=torch.float64)
    point, spent = lattice.towards(start, gradient), torch.ones_like(portion.labels)
    for step in range(STEPS):
        found, slope = _slope(model, shown(lattice.pixels(point), images), portion)
        open_ = value <= 0
        better = open_ & (found > value)
        spent += open_
        value = torch.where(better, found, value)
        best, gradient = (
            torch.where(better[:, None, None, None], new, old) for new, old in ((point, best), (slope, gradient))
        )
        if (value > 0).all():
            break
        point = lattice.towards(_ahead(lattice, best, gradient, step) if roams else start, gradient)
    return lattice.pixels(best), spent


def _slope(model: Classifier, images: Images, portion: Portion) -> tuple[Tensor, Tensor]:
    """The margin, float64, positive where the model is wrong; and its gradient, 0 where it is NaN."""
    value, gradient = differentiate(model, images, portion, margin)
    return value.double(), torch.zeros_like(images) if gradient is None else gradient.nan_to_num()


def _ahead(lattice: Lattice, best: Tensor, gradient: Tensor, step: int) -> Tensor:
    """Where a step along the gradient leads: half the radius at first, then less, but never less than a level."""
    length = max(255 * float(lattice.ball.radius) / 2 ** (1 + step // 2), 1.0)
    ahead = best + length * lattice.ball.ascent(gradient.double())
    return torch.minimum(torch.maximum(ahead, -lattice.levels), 255 - lattice.levels)


def shown(pixels: Pixels, like: Tensor) -> Images:
    """Images of 8 bits as the model is given them: in [0, 1], in this tensor's type."""
    return (pixels.to(torch.promote_types(like.dtype, torch.float32)) / 255).to(like.dtype)
