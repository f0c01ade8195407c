"""Noise schedules against their formulas, and where they would break: one step, few steps, the first cosine step."""

import math

import pytest
import torch

from epslab.errors import UserError
from epslab.probability.schedules import Schedule, cosine, linear


def test_linear_at_a_thousand_steps_is_the_published_one() -> None:
    schedule = linear(1000)
    expected = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
    torch.testing.assert_close(schedule.beta, expected, rtol=1e-12, atol=0.0)
    # Ho et al. (2020), section 4: KL(q(x_T given x_0) ‖ N(0, I)) is about 1e-5 bits/dim.
    assert schedule.alpha_bar[-1].item() == pytest.approx(4.036e-5, rel=1e-3)


@pytest.mark.parametrize("make", [linear, cosine])
@pytest.mark.parametrize("steps", [1, 2, 10, 50, 200, 1000])
def test_a_schedule_is_the_product_of_alpha_falls_and_ends_in_noise(make: object, steps: int) -> None:
    schedule = make(steps)  # type: ignore[operator]
    assert len(schedule) == steps
    assert schedule.beta.dtype == schedule.alpha_bar.dtype == torch.float64
    product = 1.0
    for t in range(steps):
        product *= 1 - schedule.beta[t].item()
        assert schedule.alpha[t].item() == 1 - schedule.beta[t].item()
        assert schedule.alpha_bar[t].item() == pytest.approx(product, rel=1e-12)
    assert ((schedule.beta > 0) & (schedule.beta <= 0.999)).all()
    assert (schedule.alpha_bar.diff() < 0).all()
    assert schedule.alpha_bar[-1] < (2e-4 if steps >= 10 else 1.001e-3)


@pytest.mark.parametrize("steps", [2, 50, 1000])
def test_the_cosine_schedule_follows_its_closed_form(steps: int) -> None:
    """ᾱ_t = f((t + 1)/T)/f(0) as far as no β is cut; the first is less than 1, so no variance is 0."""
    schedule, s = cosine(steps), 0.008

    def f(u: float) -> float:
        return math.cos((u + s) / (1 + s) * math.pi / 2) ** 2

    for t in range(steps - 1):
        assert schedule.alpha_bar[t].item() == pytest.approx(f((t + 1) / steps) / f(0), rel=1e-9)
    assert schedule.beta[-1] == 0.999
    assert schedule.alpha_bar[0] < 1
    assert (1 / (1 - schedule.alpha_bar)).isfinite().all()


def test_sigma_is_the_noise_beside_an_image_of_its_own_scale() -> None:
    schedule = cosine(10)
    torch.testing.assert_close(1 / (1 + schedule.sigma.square()), schedule.alpha_bar, rtol=1e-12, atol=0.0)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: linear(0), "A schedule has 0 steps, but needs at least 1"),
        (lambda: cosine(-3), "A schedule has -3 steps"),
        (lambda: Schedule.of(torch.tensor([0.1, 1.0])), "must lie between 0 and 1, but they range from 0.1 to 1"),
        (lambda: Schedule.of(torch.tensor([0.0, 0.5])), "must lie between 0 and 1"),
        (lambda: Schedule.of(torch.tensor([0.1, math.nan])), "must lie between 0 and 1"),
        (lambda: Schedule.of(torch.rand(2, 3)), "at least 1 time, not shapes"),
        (lambda: Schedule.of(torch.rand(0)), "at least 1 time, not shapes"),
        (lambda: Schedule(linear(3).beta, linear(3).alpha, linear(2).alpha_bar), "at least 1 time, not shapes"),
        # α in the place of ᾱ.
        (lambda: Schedule(linear(3).beta, linear(3).alpha, linear(3).alpha), "its product up to t"),
        (lambda: Schedule(linear(3).beta, linear(3).beta, linear(3).alpha_bar), "alpha is 1 − beta"),
    ],
)
def test_what_is_no_schedule_gets_a_sentence(make: object, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        make()  # type: ignore[operator]
