"""Grids for samplers: times of a schedule, and noise levels sigma."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from epslab.errors import UserError
from epslab.probability.schedules import Schedule


def linear_times(schedule: Schedule, steps: int) -> Int[Tensor, " steps"]:
    """Times in equal steps from T−1 down: round(T·(1 − i/steps)) − 1, i = 0..steps−1; all of them for steps = T.

    >>> from epslab.probability.schedules import linear
    >>> linear_times(linear(1000), 4)
    tensor([999, 749, 499, 249])

    Raises:
        UserError: steps is not in 1..T.
    """
    T = len(schedule)
    if not 1 <= steps <= T:
        raise UserError(f"A schedule of {T} times can be sampled in 1 to {T} steps, not in {steps}.")
    left = 1 - torch.arange(steps, dtype=torch.float64) / steps
    return (T * left).round().long() - 1


def linear_sigmas(schedule: Schedule, steps: int) -> Float[Tensor, " levels"]:
    """The schedule's sigma at ``linear_times``, then 0: float64 [steps + 1].

    Raises:
        UserError: steps is not in 1..T.
    """
    return torch.cat([schedule.sigma[linear_times(schedule, steps)], torch.zeros(1, dtype=torch.float64)])


def karras(n: int, sigma_min: float | int, sigma_max: float | int, rho: float | int = 7.0) -> Float[Tensor, " levels"]:
    """The grid of Karras et al. (2022), eq. 5, dense at low noise.

        sigma_i = (sigma_max^(1/rho) + i/(n−1)·(sigma_min^(1/rho) − sigma_max^(1/rho)))^rho,    i = 0..n−1,    then 0

    Args:
        n: Levels above 0, ≥ 1; as many steps.
        sigma_min: The last of them, > 0.
        sigma_max: The first, above sigma_min.
        rho: How dense the grid is at low noise.

    Returns:
        float64 [n + 1], descending.

    >>> karras(3, 0.1, 10.0)
    tensor([10.0000,  1.4507,  0.1000,  0.0000], dtype=torch.float64)

    Raises:
        UserError: n < 1, or not 0 < sigma_min < sigma_max, or rho is not positive.
    """
    if n < 1:
        raise UserError(f"A grid of noise levels needs at least 1 level above 0, not {n}.")
    if not (0 < sigma_min < sigma_max < float("inf") and rho > 0):
        raise UserError(
            "A Karras grid needs 0 < sigma_min < sigma_max and rho > 0, but they are"
            f" {sigma_min:g}, {sigma_max:g} and {rho:g}."
        )
    i = torch.arange(n, dtype=torch.float64) / max(n - 1, 1)
    high, low = sigma_max ** (1 / rho), sigma_min ** (1 / rho)
    sigmas = (high + i * (low - high)) ** rho
    sigmas[0] = sigma_max  # exactly, so that a schedule's own largest level is not passed by a rounding error
    return torch.cat([sigmas, torch.zeros(1, dtype=torch.float64)])


def checked_sigmas(sigmas: Float[Tensor, "..."] | Sequence[float | int]) -> list[float]:
    """Noise levels as numbers.

    Raises:
        UserError: They are fewer than two, or do not fall strictly to 0 or above.
    """
    levels = torch.as_tensor(sigmas, dtype=torch.float64)
    if levels.ndim != 1 or len(levels) < 2:
        raise UserError(f"A grid of noise levels is a list of at least 2 numbers, not of shape {list(levels.shape)}.")
    if not (levels.isfinite().all() and (levels.diff() < 0).all() and levels[-1] >= 0):
        raise UserError(f"Noise levels must fall from step to step and end at 0 or above, but they are {_few(levels)}.")
    return [float(level) for level in levels]


def checked_times(times: Shaped[Tensor, "..."] | Sequence[int], schedule: Schedule) -> list[int]:
    """Times of a schedule as numbers.

    Raises:
        UserError: They are none, or do not fall strictly within T−1..0.
    """
    listed = torch.as_tensor(times)
    if listed.ndim != 1 or len(listed) < 1 or listed.dtype.is_floating_point:
        raise UserError(
            f"`times` lists whole numbers, at least one, not a {listed.dtype} of shape {list(listed.shape)}."
        )
    T = len(schedule)
    if not ((listed.diff() < 0).all() and listed[0] < T and listed[-1] >= 0):
        raise UserError(f"`times` must fall from step to step within {T - 1}..0, but they are {_few(listed)}.")
    return [int(t) for t in listed]


def _few(values: Tensor) -> str:
    """The values as text, the middle left out where they are many."""
    words = [f"{value:g}" for value in values.tolist()]
    return ", ".join(words if len(words) <= 8 else [*words[:4], "…", *words[-3:]])
