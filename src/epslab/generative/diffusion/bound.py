"""The variational bound of diffusion: what x_0 costs when it is told through x_T, …, x_1, x_0.

    −log p(x_0) ≤ KL(q(x_T given x_0) ‖ p(x_T)) + Σ_t E_q KL(q(x_s given x_t, x_0) ‖ p(x_s given x_t))
                  + E_q[−log p(x_0 given the least noisy x_t)]

Ho et al. (2020), eq. 5. Here t = T−1, …, 1 and s = t − 1; x_t at t = 0 is the least noisy one. Both laws of x_s are
normal, and their means differ by a multiple of the error of the estimated image x_θ(x_t, t):

    KL = (c_t²·‖x_0 − x_θ‖²/σ_t² + d·(β̃_t/σ_t² − 1 − log(β̃_t/σ_t²)))/2,    c_t = √ᾱ_s·β_t/(1 − ᾱ_t),
    β̃_t = (1 − ᾱ_s)/(1 − ᾱ_t)·β_t,

with σ_t² = β̃_t or β_t. The sum takes one evaluation of the net for each t; a few random t per example give an unbiased
estimate of it.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from epslab.errors import UserError, unknown
from epslab.generative.samplers.ancestral import VARIANCES
from epslab.generative.samplers.predictions import roots
from epslab.probability.schedules import Schedule
from epslab.seeds import fork, noise, uniform
from epslab.types import PerExample, Seeds

Clean = Callable[[Tensor, Tensor], Tensor]
"""(x_t [n …], t int64 [n]) to the estimate of x_0 [n …]."""
Decoder = Callable[[Tensor, float], PerExample]
"""(mean [n …], standard deviation) to −log p(x_0 given the least noisy x_t) in nats, [n]."""


class BoundTerms(NamedTuple):
    """The three parts of the bound on −log p(x_0), [n] each, in nats."""

    prior: PerExample  #: KL from q(x_T given x_0) to N(0, I): what the schedule leaves of the example
    transitions: PerExample  #: sum over the steps of the KL between the two laws of x_s
    decoder: PerExample  #: −log p(x_0 given the least noisy x_t)

    @property
    def negative_elbo(self) -> PerExample:
        """Their sum, ≥ −log p(x_0) in expectation."""
        return self.prior + self.transitions + self.decoder


def bound_terms(
    clean: Clean,
    schedule: Schedule,
    x_0: Float[Tensor, "n ..."],
    decoder: Decoder,
    *,
    seeds: Seeds,
    draws: int | None = None,
    variance: str = "posterior",
) -> BoundTerms:
    """The parts of the bound for any estimator of the clean image.

    Args:
        clean: (x_t, t) to the estimate of x_0.
        schedule: The noise at each time.
        x_0: Examples as the estimator sees them.
        decoder: What the last step costs, from the estimate at t = 0 and σ_0: √β̃_1 or √β_0.
        seeds: One per example; noise and times are functions of them.
        draws: Times per example, one in each of as many equal parts of 1..T−1; None: every time.
        variance: σ_t² of the model's steps: "posterior", β̃_t, or "beta", β_t.

    Raises:
        UserError: An unknown variance, or draws outside 1..T−1.
    """
    T, n = len(schedule), len(x_0)
    if variance not in VARIANCES:
        raise unknown("variance", variance, VARIANCES)
    if draws is not None and draws < 1:
        raise UserError(f"The bound is estimated at {draws} times per example, but needs at least 1.")
    own = fork(seeds, "bound")

    def estimate(t: Tensor, counter: int) -> Tensor:
        signal, std = roots(schedule.alpha_bar.to(t.device)[t].view(-1, *[1] * (x_0.ndim - 1)), x_0)
        return clean(signal * x_0 + std * noise(own, counter, tuple(x_0.shape[1:]), x_0.dtype), t)

    first = torch.zeros(n, dtype=torch.int64, device=x_0.device)
    cost = decoder(estimate(first, 0), _last_std(schedule, variance))
    total = torch.zeros(n, dtype=torch.float64, device=x_0.device)
    strata = T - 1 if draws is None else min(draws, T - 1)
    for j in range(strata):
        t = _times(own, j, strata, T)
        error = (x_0 - estimate(t, 1 + j)).double().square().flatten(1).sum(1)
        total += transition(error, x_0[0].numel(), schedule, t, variance)
    scale = (T - 1) / max(strata, 1)
    return BoundTerms(_prior(x_0, schedule), (scale * total).to(x_0.dtype), cost.to(x_0.dtype))


def transition(
    error: Float[Tensor, " n"], dimensions: int, schedule: Schedule, t: Int[Tensor, " n"], variance: str
) -> PerExample:
    """KL(q(x_s given x_t, x_0) ‖ p(x_s given x_t)) in nats, for ‖x_0 − x_θ‖² = error and t ≥ 1; float64."""
    alpha_bar, beta = schedule.alpha_bar.to(t.device), schedule.beta.to(t.device)[t]
    alpha_bar_t, alpha_bar_s = alpha_bar[t], alpha_bar[t - 1]
    posterior = (1 - alpha_bar_s) / (1 - alpha_bar_t) * beta
    c = alpha_bar_s.sqrt() * beta / (1 - alpha_bar_t)
    if variance == "posterior":
        return c.square() * error / posterior / 2
    ratio = posterior / beta
    return (c.square() * error / beta + dimensions * (ratio - 1 - ratio.log())) / 2


def _times(seeds: Seeds, j: int, strata: int, steps: int) -> Int[Tensor, " n"]:
    """A uniform time in part j of 1..T−1 cut into equal parts; where each part is one time, that time."""
    u = uniform(seeds, j, (), torch.float64)
    # The parts' borders need not be whole numbers: every time is met with the same probability over all parts.
    return (1 + ((j + u) / strata * (steps - 1)).long()).clamp_(max=steps - 1)


def _prior(x_0: Float[Tensor, "n ..."], schedule: Schedule) -> PerExample:
    """KL(N(√ᾱ·x_0, (1 − ᾱ) I) ‖ N(0, I)) at the last time."""
    alpha_bar = schedule.alpha_bar[-1].to(x_0.device)
    squares = x_0.double().square().flatten(1).sum(1)
    constant = x_0[0].numel() * (-alpha_bar - torch.log1p(-alpha_bar))
    return ((alpha_bar * squares + constant) / 2).to(x_0.dtype)


def _last_std(schedule: Schedule, variance: str) -> float:
    """σ_0. The posterior's variance is 0 there; as Nichol & Dhariwal (2021), its value at t = 1 is taken."""
    if variance == "beta" or len(schedule) == 1:
        return float(schedule.beta[0].sqrt())
    alpha_bar = schedule.alpha_bar
    return float(((1 - alpha_bar[0]) / (1 - alpha_bar[1]) * schedule.beta[1]).sqrt())
