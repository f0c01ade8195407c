"""Flow matching along straight lines: the velocity that carries noise to images. Lipman et al. (2023).

    x_t = (1 − t)·x_0 + t·eps,    dx_t/dt = eps − x_0,    t in [0, 1]: the image at t = 0, noise at t = 1

(Lipman et al. count time the other way round; this is their optimal-transport path with sigma_min = 0.) The net learns
v(x_t, t) = E[eps − x_0 given x_t], and samples follow dx/dt = v from t = 1 to 0.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from epslab.errors import UserError, unknown
from epslab.generative.samplers import Denoise
from epslab.generative.samplers.predictions import Clip, asked, clamped
from epslab.generative.samplers.walk import level, tracking
from epslab.probability.densities import wide

Velocity = Callable[[Tensor, Tensor], Tensor]
"""(x_t [n …], t [n] in [0, 1]) to dx_t/dt [n …]."""
METHODS = ("euler", "heun")


def on_the_line(
    x_0: Float[Tensor, "n *shape"], eps: Float[Tensor, "n *shape"], t: Float[Tensor, " n"]
) -> Float[Tensor, "n *shape"]:
    """x_t = (1 − t)·x_0 + t·eps, one t per example."""
    t = t.view(-1, *[1] * (x_0.ndim - 1)).to(x_0.dtype)
    return (1 - t) * x_0 + t * eps


def follow(
    velocity: Velocity,
    start: Float[Tensor, "n *shape"],
    times: Float[Tensor, "..."] | Sequence[float | int] | int,
    *,
    method: str = "heun",
    clip: Clip = False,
) -> Float[Tensor, "n *shape"]:
    """Samples by dx/dt = v(x, t) from noise at t = 1 down to t = 0.

    Euler's method (order 1) takes one evaluation a step and is exact where the paths are straight; Heun's (order 2)
    takes two. No gradients are kept, except through a ``start`` that requires them.

    Args:
        velocity: (x_t [n …], t [n]) to dx_t/dt.
        start: x at the first time; at t = 1 it is N(0, I).
        times: A number of equal steps from 1 to 0, or times that fall within [0, 1].
        method: "euler" or "heun".
        clip: Clamp the estimate x_t − t·v of x_0 at each evaluation: True for [−1, 1], or (low, high). The step to
            t = 0 is then Euler's, so that it ends inside.

    >>> follow(lambda x, t: x / 2, torch.randn(4, 2), 10).shape
    torch.Size([4, 2])

    Raises:
        UserError: An unknown method, fewer than one step, times that do not fall within [0, 1], or a velocity of
            another shape.
    """
    if method not in METHODS:
        raise unknown("method", method, METHODS)
    grid = _grid(times)

    def slope(x: Tensor, t: float) -> Tensor:
        v = asked(velocity, x, level(t, x, start.dtype), start.dtype)
        return v if clip is False or t == 0 else (x - clamped(x - t * v, clip)) / t

    with tracking(start):
        x = wide(start)
        for t, following in pairwise(grid):
            v = slope(x, t)
            if method == "heun" and (following > 0 or clip is False):
                v = (v + slope(x + (following - t) * v, following)) / 2
            x = x + (following - t) * v
        return x.to(start.dtype)


def flow_denoiser(velocity: Velocity) -> Denoise:
    """Denoise(x, sigma) = x_t − t·v(x_t, t), at t = sigma/(1 + sigma) and x_t = x/(1 + sigma).

    So every sampler in sigma serves a flow as well. Euler's method in sigma then takes the same steps as Euler's in t.

    >>> denoise = flow_denoiser(lambda x, t: x / 2)
    >>> denoise(torch.randn(4, 2), torch.full((4,), 1.5)).shape
    torch.Size([4, 2])
    """

    def denoise(x: Float[Tensor, "n *shape"], sigma: Float[Tensor, " n"]) -> Float[Tensor, "n *shape"]:
        t = sigma / (1 + sigma)
        x_t = wide(x) * (1 / (1 + sigma)).to(wide(x).dtype).view(-1, *[1] * (x.ndim - 1))
        v = asked(velocity, x_t, t, x.dtype)
        return (x_t - t.to(x_t.dtype).view(-1, *[1] * (x.ndim - 1)) * v).to(x.dtype)

    return denoise


def _grid(times: Tensor | Sequence[float | int] | int) -> list[float]:
    if isinstance(times, int):
        if times < 1:
            raise UserError(f"A flow is followed in at least 1 step, not {times}.")
        return [1 - i / times for i in range(times + 1)]
    listed = torch.as_tensor(times, dtype=torch.float64)
    if listed.ndim != 1 or len(listed) < 2:
        raise UserError(f"The times of a flow are at least 2 numbers, not of shape {list(listed.shape)}.")
    if not ((listed.diff() < 0).all() and listed[0] <= 1 and listed[-1] >= 0):
        raise UserError(f"The times of a flow fall from step to step within [0, 1], not {listed.tolist()}.")
    return [float(t) for t in listed]
