"""One step uphill that stays in the box: the farthest point along the gradient of a small ball around where we are.

    z = argmax of <g, x'> over ‖x' − x‖ ≤ α, x' in [0, 1]

A pixel at its bound uses up no part of the step. In L1 the whole step would go to a few pixels, so that no pixel moves
by more than α/k, and k pixels or more share the step (Tramèr & Boneh, 2019; Croce & Hein, 2021, section 3).
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from epslab.geometry import L1, Ball
from epslab.types import Images

BOX = (0.0, 1.0)

_FIRST_SHARE, _LAST_SHARE = 0.02, 0.005


def uphill(
    norm: str | float | int,
    gradient: Images,
    points: Images,
    alpha: float | Float[Tensor, " n"],
    pixels: int,
) -> Images:
    """The points a step further, in the box unless the norm is Linf, where the projection into the ball sees to that.

    Args:
        norm: Of the step.
        gradient: Where to.
        points: In the box.
        alpha: Length of the step, a number or one per example.
        pixels: k, how many pixels share a step at least; for L1.
    """
    if norm == "linf":
        direction = gradient.sign()
        if isinstance(alpha, Tensor):
            return points + alpha.to(points).view(-1, 1, 1, 1) * direction
        return points.add(direction, alpha=alpha)
    if norm == "l1":
        return sparse(gradient, points, alpha, pixels)
    return Ball(norm, alpha).step(gradient, points, BOX)


def sparse(
    gradient: Images,
    points: Images,
    alpha: float | Float[Tensor, " n"],
    pixels: int | Int[Tensor, " n"],
) -> Images:
    """An L1 step of length alpha in the box that moves no pixel by more than alpha/pixels."""
    most = torch.as_tensor(alpha / pixels).to(points).view(-1, 1, 1, 1)
    return L1(alpha).step(gradient, points, BOX, most)


def pixels_at(step: int, steps: int, dimensions: int) -> int:
    """How many pixels share an L1 step: a share of all that falls over the run; one where there is a single step."""
    if steps == 1:
        return 1
    share: float = _FIRST_SHARE * (_LAST_SHARE / _FIRST_SHARE) ** (step / (steps - 1))
    return max(1, math.ceil(share * dimensions))


def length_at(step: int, steps: int) -> float:
    """The length of an L1 step as a share of the radius, where none is set: it falls to zero over the run."""
    return 1.0 - step / steps
