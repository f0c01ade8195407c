"""Norm balls against convex optimisation and the laws of a uniform draw."""

import math

import numpy as np
import pytest
import torch
from scipy import optimize, stats

from epslab import seeds
from epslab.geometry import L1, L2, Ball, Linf
from epslab.seeds import generator

BALLS = [Linf(0.3), L2(0.7), L1(0.9)]
ids = [ball.norm for ball in BALLS]
DRAWS = 20_000


def points(n: int, *shape: int, name: str = "points") -> torch.Tensor:
    return torch.randn(n, *shape, generator=generator(0, name), dtype=torch.float64)


def drawn(ball: Ball, shape: tuple[int, ...], n: int = DRAWS) -> torch.Tensor:
    """Draws around the centre 0.5, the centre subtracted."""
    centre = torch.full((n, *shape), 0.5, dtype=torch.float64)
    return ball.sample(centre, seeds=seeds.of_indices(3, torch.arange(n))) - centre


def assert_mean(values: torch.Tensor, expected: float) -> None:
    """The mean of independent values within 4 standard errors."""
    error = values.std().item() / math.sqrt(len(values))
    assert abs(values.mean().item() - expected) < 4 * error


@pytest.mark.parametrize("ball", BALLS, ids=ids)
@pytest.mark.parametrize("scale", [0.01, 0.3, 2.0, 1e4])
def test_a_projection_meets_the_optimality_conditions(ball: Ball, scale: float) -> None:
    # P x is nearest if and only if it lies in the ball and <x − P x, z − P x> ≤ 0 for all z of the ball; the greatest
    # <x − P x, z − c> over the ball is r times the dual norm, so P x itself must attain it.
    centre = points(200, 3, 4, 4, name="centre")
    x = centre + scale * points(200, 3, 4, 4)
    projected = ball.project(x, centre)
    removed, kept = x - projected, projected - centre
    assert (ball.distance(projected, centre) <= ball.radius).all()
    attained = (removed * kept).flatten(1).sum(1)
    torch.testing.assert_close(attained, ball.radius * ball.dual(removed), rtol=1e-9, atol=1e-11)


def brute_force(x: np.ndarray, ball: Ball) -> np.ndarray:
    """argmin ‖z − x‖² over the ball around 0 by a general solver: z = p − q with p, q ≥ 0 makes every norm smooth."""
    d, r = len(x), float(ball.radius)
    sizes = {
        "linf": lambda v: r - v[:d] - v[d:],
        "l2": lambda v: r**2 - np.sum((v[:d] - v[d:]) ** 2),
        "l1": lambda v: r - np.sum(v),
    }
    solution = optimize.minimize(
        lambda v: 0.5 * np.sum((v[:d] - v[d:] - x) ** 2),
        np.full(2 * d, 0.01),
        bounds=[(0, None)] * (2 * d),
        constraints={"type": "ineq", "fun": sizes[ball.norm]},
        method="SLSQP",
        options={"ftol": 1e-11, "maxiter": 500},
    )
    return solution.x[:d] - solution.x[d:]


@pytest.mark.parametrize("ball", BALLS, ids=ids)
def test_a_projection_is_what_a_general_solver_finds(ball: Ball) -> None:
    x = points(12, 5, name="solver")
    expected = np.stack([brute_force(row, ball) for row in x.numpy()])
    np.testing.assert_allclose(ball.project(x, torch.zeros_like(x)).numpy(), expected, atol=1e-4)


def test_an_l2_projection_goes_into_the_ball_and_not_onto_the_sphere() -> None:
    centre = points(50, 8)
    inside = centre + 0.5 * L2(1.0).ascent(points(50, 8, name="inside"))
    assert torch.equal(L2(1.0).project(inside, centre), inside)
    outside = centre + 3.0 * L2(1.0).ascent(points(50, 8, name="inside"))
    torch.testing.assert_close(L2(1.0).project(outside, centre), centre + (outside - centre) / 3.0)


@pytest.mark.parametrize("ball", BALLS, ids=ids)
@pytest.mark.parametrize("scale", [1e-300, 1e-20, 1.0, 1e20, 1e300])
def test_no_unit_step_rises_more_than_steepest_ascent_which_rises_by_the_dual_norm(ball: Ball, scale: float) -> None:
    g = points(300, 3, 2, 2)
    direction = ball.ascent(g * scale)
    zero = torch.zeros_like(g)
    torch.testing.assert_close(ball.distance(direction, zero), torch.ones(300, dtype=torch.float64))
    rise = (g * direction).flatten(1).sum(1)
    torch.testing.assert_close(rise, ball.dual(g))
    others = Ball(ball.norm, 1.0).sample(zero, seeds=torch.arange(300))
    assert ((g * others).flatten(1).sum(1) < rise).all()


@pytest.mark.parametrize("d", [1, 2, 7, 48])
@pytest.mark.parametrize("ball", BALLS, ids=ids)
def test_a_uniform_draw_lies_within_a_share_t_of_the_radius_with_probability_t_to_the_d(ball: Ball, d: int) -> None:
    length = ball.distance(drawn(ball, (d,)), torch.zeros(DRAWS, d)) / ball.radius
    assert stats.kstest(length.numpy() ** d, "uniform").pvalue > 1e-4
    for share in (0.5, 0.9, 0.99):
        p = share**d
        error = math.sqrt(p * (1 - p) / DRAWS)
        assert abs((length <= share).double().mean().item() - p) < 4 * error + 1e-12


def test_the_coordinates_of_a_draw_from_a_cube_are_uniform_and_independent() -> None:
    delta = drawn(Linf(0.3), (4,)) / 0.3
    assert all(stats.kstest(delta[:, i].numpy(), stats.uniform(-1, 2).cdf).pvalue > 1e-4 for i in range(4))
    assert_mean(delta[:, 0] * delta[:, 1], 0.0)


@pytest.mark.parametrize("ball", BALLS, ids=ids)
def test_the_direction_of_a_draw_is_symmetric(ball: Ball) -> None:
    delta = drawn(ball, (3, 2, 2))
    flat = delta.flatten(1)
    for i in range(12):  # as often on one side as on the other, and no coordinate is preferred
        assert_mean(flat[:, i], 0.0)
        assert_mean((flat[:, i].abs() == flat.abs().amax(1)).double(), 1 / 12)
    for i in range(11):  # signs are independent
        assert_mean(flat[:, i].sign() * flat[:, i + 1].sign(), 0.0)


def test_a_draw_from_a_disc_has_a_uniform_angle() -> None:
    delta = drawn(L2(0.7), (2,))
    angle = torch.atan2(delta[:, 1], delta[:, 0]) / (2 * math.pi) + 0.5
    assert stats.kstest(angle.numpy(), "uniform").pvalue > 1e-4


def test_the_shares_of_a_draw_from_an_l1_ball_are_dirichlet() -> None:
    # |δ_i|/‖δ‖₁ of a uniform draw is uniform on the simplex: each share is Beta(1, d − 1).
    shares = drawn(L1(0.9), (5,)).abs()
    shares = shares / shares.sum(1, keepdim=True)
    assert stats.kstest(shares[:, 0].numpy(), stats.beta(1, 4).cdf).pvalue > 1e-4


@pytest.mark.parametrize("ball", [L2(2.0), L1(9.0)], ids=["l2", "l1"])
def test_in_many_dimensions_a_draw_is_next_to_the_surface_and_inside(ball: Ball) -> None:
    d, n = 3 * 64 * 64, 200
    length = ball.distance(drawn(ball, (3, 64, 64), n), torch.zeros(n, 3, 64, 64)) / ball.radius
    assert (length <= 1).all()
    # d·(1 − length) is nearly a standard exponential variable, the limit of d·(1 − U^(1/d)).
    assert_mean(d * (1 - length), 1.0)
