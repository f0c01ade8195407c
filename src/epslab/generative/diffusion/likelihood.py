"""The exact density of a diffusion model or a flow, by the ODE that carries data to noise. Song et al. (2021), eq. 39.

dy/ds = f(y, s),    log p(y(a)) = log p(y(b)) + ∫_a^b div f(y(s), s) ds
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from epslab.errors import UserError
from epslab.generative.diffusion.flow_matching import Velocity
from epslab.generative.diffusion.solver import Field, solve
from epslab.generative.samplers import Denoise
from epslab.probability.densities import log_standard_normal, wide
from epslab.seeds import draw, noise
from epslab.types import PerExample, Seeds

_LOOSER = 10.0  # tolerance of the second solution, whose difference is the reported error


class OdeLikelihood(NamedTuple):
    """Log densities, and how far they may be off; nats."""

    log_prob: PerExample
    solver_error: PerExample  #: its estimate: |difference| from the solution with ten times the tolerance
    trace_error: PerExample | None  #: standard error of the estimated trace; None: exact, or a single probe
    evaluations: int  #: calls of the model, each with its derivatives


def ode_log_prob(
    denoise: Denoise,
    x: Float[Tensor, "n *shape"],
    *,
    sigma_min: float,
    sigma_max: float,
    probes: int | None = None,
    tolerance: float = 1e-5,
    generator: Generator | None = None,
    seeds: Seeds | None = None,
) -> OdeLikelihood:
    """Log p(x) of the data with noise sigma_min on, by the probability-flow ODE of a denoiser D.

    With λ = log sigma, ᾱ = 1/(1 + sigma²) and the bounded state y = √ᾱ·x, the ODE of Song et al. (2021), eq. 13, is

        dy/dλ = ᾱ·y − √ᾱ·D(y/√ᾱ, sigma)

    and y ~ N(0, I) at sigma_max, so log p(x) = log N(y(λ_max); 0, I) + ∫ div dλ + ½·M·log ᾱ_min, in M dimensions.

    Args:
        denoise: (x [n …], sigma [n]) to the estimate of the clean x, differentiable in x.
        x: Points at noise level sigma_min.
        sigma_min: Where the ODE starts; the density is that of the data with this much noise.
        sigma_max: Where it ends, and the law is taken for N(0, (1 + sigma_max²) I).
        probes: None: the exact trace, with M derivatives per evaluation. K ≥ 1: Hutchinson's unbiased estimate with K
            random signs per example, fixed along its path.
        tolerance: Of the solver, per step (``solver.solve``).
        generator: Draws the examples' seeds, if there are probes and ``seeds`` is None.
        seeds: One seed per example.

    >>> def denoise(x, sigma):  # data N(0, I)
    ...     return x / (1 + sigma[:, None] ** 2)
    >>> x = torch.zeros(1, 2, dtype=torch.float64)
    >>> ode_log_prob(denoise, x, sigma_min=0.01, sigma_max=100.0).log_prob  # −log 2π − log(1 + 0.01²)
    tensor([-1.8380], dtype=torch.float64)

    Raises:
        UserError: Not 0 < sigma_min < sigma_max, fewer than 1 probe, or an ODE that is not solved to the tolerance.
    """
    if not 0 < sigma_min < sigma_max < math.inf:
        raise UserError(f"The ODE needs 0 < sigma_min < sigma_max, but they are {sigma_min:g} and {sigma_max:g}.")

    def field(y: Tensor, log_sigma: Tensor) -> Tensor:
        sigma = log_sigma.exp()
        alpha_bar = (1 / (1 + sigma.square())).view(-1, *[1] * (y.ndim - 1))
        return alpha_bar * y - alpha_bar.sqrt() * denoise(y / alpha_bar.sqrt(), sigma)

    scale = 1 / math.sqrt(1 + sigma_min**2)  # √ᾱ_min
    found = _log_density(
        field, scale * wide(x), math.log(sigma_min), math.log(sigma_max), probes, tolerance, generator, seeds
    )
    return found._replace(log_prob=found.log_prob + x[0].numel() * math.log(scale)) if len(x) else found


def flow_log_prob(
    velocity: Velocity,
    x: Float[Tensor, "n *shape"],
    *,
    probes: int | None = None,
    tolerance: float = 1e-5,
    generator: Generator | None = None,
    seeds: Seeds | None = None,
) -> OdeLikelihood:
    """Log p(x) of a flow: log N(x_1; 0, I) + ∫_0^1 div v(x_t, t) dt along dx/dt = v (Lipman et al., 2023, appendix C).

    Args:
        velocity: (x_t [n …], t [n] in [0, 1]) to dx_t/dt, differentiable in x; noise at t = 1.
        x: Points at t = 0.
        probes: As in ``ode_log_prob``.
        tolerance: As in ``ode_log_prob``.
        generator: As in ``ode_log_prob``.
        seeds: As in ``ode_log_prob``.

    >>> flow_log_prob(lambda x, t: 0 * x, torch.zeros(1, 2)).log_prob  # N(0, I): −log 2π
    tensor([-1.8379])

    Raises:
        UserError: Fewer than 1 probe, or an ODE that is not solved to the tolerance.
    """
    return _log_density(velocity, wide(x), 0.0, 1.0, probes, tolerance, generator, seeds)


def _log_density(
    field: Field,
    y: Float[Tensor, "n *shape"],
    start: float,
    end: float,
    probes: int | None,
    tolerance: float,
    generator: Generator | None,
    seeds: Seeds | None,
) -> OdeLikelihood:
    """Log density at ``start``, where the law at ``end`` is N(0, I)."""
    if probes is not None and probes < 1:
        raise UserError(f"Hutchinson's estimate needs at least 1 probe, not {probes}; `None` is the exact trace.")
    signs = None
    if probes is not None:
        seeds = draw(len(y), generator, y.device) if seeds is None else seeds
        signs = torch.stack([noise(seeds, k, tuple(y.shape[1:]), y.dtype).sign() for k in range(probes)], 1)
    found, looser = (_transported(field, y, start, end, signs, allowed) for allowed in (tolerance, _LOOSER * tolerance))
    values, calls = found  # [n K]
    mean = values.mean(1)
    spread = values.std(1) / math.sqrt(values.shape[1]) if values.shape[1] > 1 else None
    return OdeLikelihood(mean, (mean - looser[0].mean(1)).abs(), spread, calls + looser[1])


def _transported(
    field: Field, y: Tensor, start: float, end: float, signs: Tensor | None, tolerance: float
) -> tuple[Float[Tensor, "n k"], int]:
    """Log densities with each probe's trace, [n K] (K = 1 for the exact trace), and the evaluations."""
    n, shape, M = len(y), y.shape[1:], y[0].numel() if len(y) else 0
    K = 1 if signs is None else signs.shape[1]
    # Each example carries its own probes in its state, where they stay constant, because examples leave the batch.
    carried = y.new_empty(n, 0) if signs is None else signs.flatten(1)

    def augmented(state: Tensor, s: Tensor) -> Tensor:
        at = state[:, :M].reshape(-1, *shape).detach().requires_grad_()
        own = None if signs is None else state[:, M + K :].reshape(-1, K, *shape)
        with torch.enable_grad():
            slope = field(at, s)
            divergence = traces(slope, at, own)
        return torch.cat([slope.detach().flatten(1), divergence, torch.zeros_like(state[:, M + K :])], 1)

    with torch.no_grad():
        solved = solve(augmented, torch.cat([y.flatten(1), y.new_zeros(n, K), carried], 1), start, end, tolerance)
    return log_standard_normal(solved.y[:, :M])[:, None] + solved.y[:, M : M + K], solved.evaluations


def traces(
    slope: Float[Tensor, "n *shape"], at: Float[Tensor, "n *shape"], signs: Float[Tensor, "n k *shape"] | None
) -> Float[Tensor, "n k"]:
    """Tr ∂slope/∂at per example [n 1], or signsᵀ (∂slope/∂at) signs for each of K probes [n K]."""
    backward: Callable[[Tensor], Tensor] = lambda weights: torch.autograd.grad(  # noqa: E731
        slope, at, weights, retain_graph=True, allow_unused=True, materialize_grads=True
    )[0]
    if not slope.requires_grad:
        return at.new_zeros(len(at), 1 if signs is None else signs.shape[1])
    if signs is not None:
        return torch.stack([(backward(e) * e).flatten(1).sum(1) for e in signs.unbind(1)], 1)
    total = at.new_zeros(len(at))
    for i in range(at[0].numel()):
        unit = torch.zeros_like(at).flatten(1)
        unit[:, i] = 1
        total += backward(unit.view_as(at)).flatten(1)[:, i]
    return total[:, None]
