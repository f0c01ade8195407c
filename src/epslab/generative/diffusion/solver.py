"""An ODE solver that controls its error for each example apart: Dormand & Prince (1980), 5(4).

Each example has a time and a step size of its own, so its result does not depend on its batch, and one that has
arrived leaves the batch.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from epslab.errors import UserError

Field = Callable[[Tensor, Tensor], Tensor]
"""(y [n d], s [n]) to dy/ds [n d]."""

_NODES = (0.0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0)
_STAGES = (
    (),
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)
_FOURTH = (5179 / 57600, 0.0, 7571 / 16695, 393 / 640, -92097 / 339200, 187 / 2100, 1 / 40)
_ERROR = tuple(b - b_4 for b, b_4 in zip((*_STAGES[6], 0.0), _FOURTH, strict=True))  # fifth order minus fourth
_SAFETY, _SHRINK, _GROW = 0.9, 0.2, 5.0
_FIRST = 0.01  # share of the interval that the first step tries


class Solved(NamedTuple):
    """The end of each path."""

    y: Float[Tensor, "n d"]
    evaluations: int  #: calls of the field


def solve(
    field: Field, y: Float[Tensor, "n d"], start: float, end: float, tolerance: float, most: int = 10_000
) -> Solved:
    """Y at ``end`` of dy/ds = field(y, s) from y at ``start``, up or down.

    A step is accepted where the difference of its two solutions, of orders 5 and 4, is at most

        tolerance·(1 + max(|y|, |y'|))

    in every coordinate; the next step is 0.9·(tolerance/error)^(1/5) times as long.

    Args:
        field: (y [n d], s [n]) to dy/ds.
        y: Where the paths start.
        start: s there.
        end: s where they end.
        tolerance: Error allowed in each step, > 0.
        most: Attempts at a step.

    >>> solve(lambda y, s: -y, torch.ones(1, 1, dtype=torch.float64), 0.0, 1.0, 1e-8).y  # 1/e
    tensor([[0.3679]], dtype=torch.float64)

    Raises:
        UserError: The tolerance is not positive, or the end is not reached.
    """
    if not tolerance > 0:
        raise UserError(f"The solver's tolerance is {tolerance:g}, but must be positive.")
    span, final = end - start, y.clone()
    s = torch.full((len(y),), start, dtype=torch.float64)  # times stay in double precision on the processor
    h = torch.full_like(s, _FIRST * span)
    under_way = torch.arange(len(y))
    calls = 0
    for _ in range(most):
        if len(under_way) == 0:
            return Solved(final, calls)
        h = torch.where((s + h - end) * span >= 0, end - s, h)
        ahead, error = _attempt(field, y, s, h)
        calls += len(_NODES)
        worst = (error.abs() / (tolerance * (1 + torch.maximum(y.abs(), ahead.abs())))).flatten(1).amax(1)
        worst = worst.to("cpu", torch.float64).nan_to_num(nan=torch.inf)
        accepted = worst <= 1
        arrived = accepted & (h == end - s)
        y = torch.where(accepted.to(y.device)[:, None], ahead, y)
        final[under_way[arrived].to(y.device)] = y[arrived.to(y.device)]
        s = torch.where(accepted, s + h, s)
        h = h * (_SAFETY * worst.clamp(min=1e-10) ** -0.2).clamp(_SHRINK, _GROW)
        s, h, under_way, y = s[~arrived], h[~arrived], under_way[~arrived], y[~arrived.to(y.device)]
    raise UserError(
        f"The ODE was not solved to a tolerance of {tolerance:g} in {most:,} attempts at a step: allow a larger error."
    )


def _attempt(
    field: Field, y: Float[Tensor, "n d"], s: Float[Tensor, " n"], h: Float[Tensor, " n"]
) -> tuple[Float[Tensor, "n d"], Float[Tensor, "n d"]]:
    """Y after a step h by the fifth-order formula, and its difference from the fourth-order one."""
    step = h.to(y.device, y.dtype)[:, None]
    slopes: list[Tensor] = []
    at = y
    for node, weights in zip(_NODES, _STAGES, strict=True):
        at = y + step * sum((a * k for a, k in zip(weights, slopes, strict=True)), torch.zeros_like(y))
        slopes.append(field(at, (s + node * h).to(y.device, y.dtype)))
    # The last stage is the fifth-order solution itself.
    return at, step * sum((e * k for e, k in zip(_ERROR, slopes, strict=True)), torch.zeros_like(y))
