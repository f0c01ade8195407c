"""Densities by the probability-flow ODE and by flow matching against closed forms, and the solver beneath them."""

import math

import pytest
import torch
from gaussian_diffusion import Normal, correlated, identity, on_the_line
from torch import Tensor
from torch import distributions as D

from epslab.errors import UserError
from epslab.generative.diffusion.flow_matching import flow_denoiser, follow
from epslab.generative.diffusion.flow_matching import on_the_line as between
from epslab.generative.diffusion.likelihood import flow_log_prob, ode_log_prob, traces
from epslab.generative.diffusion.solver import solve
from epslab.generative.samplers import euler, heun
from epslab.seeds import draw, generator, noise, uniform

LOW, HIGH = 0.05, 50.0


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def density(data: Normal, low: float = LOW, high: float = HIGH) -> D.MultivariateNormal:
    """What the exact ODE makes of N(0, (1 + high²) I): the law that ``ode_log_prob`` is to compute."""
    values, vectors = torch.linalg.eigh(data.covariance)
    ratio = (values + low**2) / (values + high**2)
    covariance = (vectors * ratio * (1 + high**2)) @ vectors.T
    mean = data.mean - vectors @ (ratio.sqrt() * (vectors.T @ data.mean))
    return D.MultivariateNormal(mean, covariance)


def mixture(sigma: float = 0.0) -> D.MixtureSameFamily:
    """Three normals in the plane, with noise on."""
    means = torch.tensor([[1.0, 0.5], [-1.0, 0.0], [0.2, -1.2]], dtype=torch.float64)
    std = torch.tensor([0.3, 0.5, 0.2], dtype=torch.float64).square().add(sigma**2).sqrt()
    parts = D.Independent(D.Normal(means, std[:, None].expand(3, 2)), 1)
    return D.MixtureSameFamily(D.Categorical(torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)), parts)


def denoise_mixture(x: Tensor, sigma: Tensor) -> Tensor:
    """E[x_0 given x] by Tweedie's formula, each example at its own noise."""
    with torch.enable_grad():
        at = x if x.requires_grad else x.detach().requires_grad_()
        log_p = torch.stack([mixture(float(s)).log_prob(point) for point, s in zip(at, sigma, strict=True)])
        (score,) = torch.autograd.grad(log_p.sum(), at, create_graph=True)
    return x + sigma.square()[:, None] * score


# The solver


@pytest.mark.parametrize("tolerance", [1e-4, 1e-8])
def test_the_solver_keeps_its_tolerance(tolerance: float) -> None:
    """Rotations at five speeds, forwards and backwards; each example needs steps of its own."""
    speed = torch.tensor([0.1, 1.0, 3.0, 7.0, 10.0], dtype=torch.float64)
    y = torch.tensor([1.0, 0.0], dtype=torch.float64).repeat(5, 1)
    carried = torch.cat([y, speed[:, None]], 1)

    def field(state: Tensor, s: Tensor) -> Tensor:
        return torch.stack([-state[:, 2] * state[:, 1], state[:, 2] * state[:, 0], 0 * s], 1)

    for sign in (1.0, -1.0):
        found = solve(field, carried, 0.0, sign * 2.0, tolerance).y
        exact = torch.stack([(2 * speed).cos(), sign * (2 * speed).sin()], 1)
        # Errors of steps add up: 20 radians take some dozens of steps.
        assert (found[:, :2] - exact).abs().max() < 100 * tolerance
        torch.testing.assert_close(
            found[:1], solve(field, carried[:1], 0.0, sign * 2.0, tolerance).y, rtol=0, atol=1e-15
        )


def test_the_solver_evaluates_at_the_right_times() -> None:
    """dy/ds = 5·s⁴ has the integral s⁵, which a method of order 5 gives without error."""
    found = solve(lambda y, s: 5 * s[:, None] ** 4 + 0 * y, torch.zeros(2, 1, dtype=torch.float64), -1.0, 2.0, 1e-6)
    torch.testing.assert_close(found.y, torch.full((2, 1), 33.0, dtype=torch.float64), rtol=1e-12, atol=0.0)


def test_an_ode_that_cannot_be_solved_gets_a_sentence() -> None:
    with pytest.raises(UserError, match="not solved to a tolerance of 1e-06"):
        solve(lambda y, s: y * y, torch.ones(1, 1, dtype=torch.float64), 0.0, 2.0, 1e-6, most=500)
    with pytest.raises(UserError, match="tolerance is 0, but must be positive"):
        solve(lambda y, s: y, torch.ones(1, 1), 0.0, 1.0, 0.0)


# Densities by the probability-flow ODE


@pytest.mark.parametrize("tolerance", [1e-3, 1e-6, 1e-9])
def test_the_density_of_normal_data_is_exact_to_the_solvers_tolerance(tolerance: float) -> None:
    data, x = correlated(), 2 * random(6, 3)
    found = ode_log_prob(data.denoise, x, sigma_min=LOW, sigma_max=HIGH, tolerance=tolerance)
    error = (found.log_prob - density(data).log_prob(x)).abs()
    assert (error < 30 * tolerance * (1 + found.log_prob.abs())).all()
    assert error.mean() < found.solver_error.mean() + 1e-10
    assert (found.solver_error < 1000 * tolerance * (1 + found.log_prob.abs())).all()
    assert found.trace_error is None


def test_the_density_of_a_mixture_is_exact() -> None:
    x = random(3, 2)
    found = ode_log_prob(denoise_mixture, x, sigma_min=0.02, sigma_max=1e5, tolerance=1e-6)
    # What is left is the end: N(0, (1 + 1e5²) I) in the place of the mixture with noise 1e5 on.
    torch.testing.assert_close(found.log_prob, mixture(0.02).log_prob(x), rtol=0.0, atol=1e-4)
    assert (found.solver_error < 1e-3).all()


def test_hutchinsons_estimate_is_unbiased_and_knows_its_error() -> None:
    data, x = correlated(), random(4, 3)
    found = ode_log_prob(
        data.denoise,
        x,
        sigma_min=LOW,
        sigma_max=HIGH,
        probes=100,
        tolerance=1e-3,
        seeds=draw(4, generator(0, "probes")),
    )
    exact = density(data).log_prob(x)
    assert found.trace_error is not None
    assert ((found.log_prob - exact).abs() < 4 * found.trace_error + found.solver_error).all()
    assert (found.trace_error > 0.01).all()
    assert (found.trace_error < 0.2).all()


def test_signs_give_the_trace_of_a_diagonal_matrix_without_error() -> None:
    at = random(5, 3).requires_grad_()
    signs = random(5, 2, 3, seed=1).sign()
    slope = at * torch.tensor([1.0, 2.0, 4.0], dtype=torch.float64)
    torch.testing.assert_close(traces(slope, at, signs), torch.full((5, 2), 7.0, dtype=torch.float64))
    torch.testing.assert_close(traces(slope, at, None), torch.full((5, 1), 7.0, dtype=torch.float64))


def test_a_density_does_not_depend_on_its_batch() -> None:
    data, x = correlated(), 3 * random(5, 3)
    seeds = draw(5, generator(0, "batch"))
    together = ode_log_prob(data.denoise, x, sigma_min=LOW, sigma_max=HIGH, probes=2, tolerance=1e-4, seeds=seeds)
    for i in range(5):
        alone = ode_log_prob(
            data.denoise, x[i : i + 1], sigma_min=LOW, sigma_max=HIGH, probes=2, tolerance=1e-4, seeds=seeds[i : i + 1]
        )
        torch.testing.assert_close(alone.log_prob, together.log_prob[i : i + 1], rtol=1e-12, atol=1e-12)


def test_images_are_points_of_another_shape() -> None:
    data, x = correlated(), random(4, 3)

    def denoise(images: Tensor, sigma: Tensor) -> Tensor:
        return data.denoise(images.flatten(1), sigma).view_as(images)

    for probes in (None, 3):
        options = {"sigma_min": LOW, "sigma_max": HIGH, "probes": probes, "seeds": torch.arange(4)}
        flat, image = ode_log_prob(data.denoise, x, **options), ode_log_prob(denoise, x.view(4, 1, 1, 3), **options)
        torch.testing.assert_close(image.log_prob, flat.log_prob, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"sigma_min": 0.0, "sigma_max": 1.0}, "needs 0 < sigma_min < sigma_max, but they are 0 and 1"),
        ({"sigma_min": 2.0, "sigma_max": 1.0}, "needs 0 < sigma_min < sigma_max"),
        ({"sigma_min": 0.1, "sigma_max": 1.0, "probes": 0}, "needs at least 1 probe, not 0"),
        ({"sigma_min": 0.1, "sigma_max": 1.0, "tolerance": -1.0}, "must be positive"),
    ],
)
def test_what_cannot_be_integrated_gets_a_sentence(options: dict[str, float], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        ode_log_prob(on_the_line(1.0).denoise, random(2, 1), **options)


# Flow matching


def velocity(data: Normal):  # type: ignore[no-untyped-def]
    """E[eps − x_0 given x_t] for normal data: linear in x."""

    def v(x: Tensor, t: Tensor) -> Tensor:
        t, C = t.to(x)[:, None, None], data.covariance
        variance = (1 - t) ** 2 * C + t**2 * identity(len(C))
        covariance = t * identity(len(C)) - (1 - t) * C  # of eps − x_0 with x_t
        centred = (x - (1 - t[:, :, 0]) * data.mean)[:, :, None]
        return (covariance @ torch.linalg.solve(variance, centred))[:, :, 0] - data.mean

    return v


@pytest.mark.parametrize(("method", "order"), [("euler", 1), ("heun", 2)])
def test_the_order_of_following_a_flow(method: str, order: int) -> None:
    """From noise x_1 to m + s·x_1: the variance along the path is (1 − t)²s² + t²."""
    data, x = on_the_line(0.5, mean=0.3), torch.tensor([[1.7], [-0.4]], dtype=torch.float64)
    exact = 0.3 + 0.5 * x
    coarse, fine = [(follow(velocity(data), x, n, method=method) - exact).abs().max().item() for n in (100, 200)]
    assert math.log2(coarse / fine) == pytest.approx(order, abs=0.1)
    assert fine < 0.01


def test_the_flow_to_a_point_is_straight() -> None:
    point, x = on_the_line(1e-12, mean=0.4), random(5, 1)
    torch.testing.assert_close(
        follow(velocity(point), x, 1, method="euler"), torch.full((5, 1), 0.4, dtype=torch.float64), rtol=1e-9, atol=0.0
    )
    halfway = follow(velocity(point), x, [1.0, 0.25], method="euler")
    torch.testing.assert_close(halfway, 0.25 * x + 0.75 * 0.4, rtol=1e-9, atol=1e-12)


def test_samplers_in_sigma_serve_a_flow_and_euler_takes_the_same_steps() -> None:
    data, x = correlated(), random(5, 3)
    times = torch.linspace(0.95, 0.0, 12, dtype=torch.float64)
    sigmas, denoise = times / (1 - times), flow_denoiser(velocity(data))
    scaled = x / (1 - times[0])
    torch.testing.assert_close(
        euler(denoise, scaled, sigmas), follow(velocity(data), x, times, method="euler"), rtol=1e-9, atol=1e-9
    )
    sigma = torch.tensor([0.1, 1.0, 3.0, 0.5, 20.0], dtype=torch.float64)
    torch.testing.assert_close(denoise(x, sigma), data.denoise(x, sigma), rtol=1e-9, atol=1e-9)
    assert (heun(denoise, scaled, sigmas) - follow(velocity(data), x, 400)).abs().max() < 0.2


def test_a_clamped_flow_ends_inside() -> None:
    data, x = correlated(), random(50, 3)
    ends = follow(velocity(data), x, 20, clip=(-0.5, 0.7))
    assert ends.abs().max() > 0.4
    assert (ends >= -0.5 - 1e-9).all()
    assert (ends <= 0.7 + 1e-9).all()


@pytest.mark.parametrize("tolerance", [1e-4, 1e-8])
def test_the_density_of_a_flow_is_exact_to_the_solvers_tolerance(tolerance: float) -> None:
    data, x = correlated(), random(6, 3)
    found = flow_log_prob(velocity(data), x, tolerance=tolerance)
    error = (found.log_prob - D.MultivariateNormal(data.mean, data.covariance).log_prob(x)).abs()
    assert (error < 30 * tolerance * (1 + found.log_prob.abs())).all()
    assert error.mean() < found.solver_error.mean() + 1e-9


def test_the_least_loss_of_flow_matching_is_known() -> None:
    """E‖eps − x_0 − v‖² of the exact field is ∫ s²/((1−t)²s² + t²) dt = π·s/2 for N(m, s²)."""
    s, n = 0.5, 40_000
    data, seeds = on_the_line(s, mean=0.3), draw(n, generator(0, "flow"))
    x_0 = 0.3 + s * noise(seeds, 0, (1,), torch.float64)
    eps, t = noise(seeds, 1, (1,), torch.float64), uniform(seeds, 0, (), torch.float64)
    loss = (eps - x_0 - velocity(data)(between(x_0, eps, t), t)).square().sum(1)
    assert abs(loss.mean() - math.pi * s / 2) < 4 * loss.std() / math.sqrt(n)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda v, x: follow(v, x, 0), "at least 1 step, not 0"),
        (lambda v, x: follow(v, x, [1.0]), "at least 2 numbers"),
        (lambda v, x: follow(v, x, [0.0, 1.0]), r"fall from step to step within \[0, 1\]"),
        (lambda v, x: follow(v, x, [2.0, 1.0]), r"fall from step to step within \[0, 1\]"),
        (lambda v, x: follow(v, x, 3, method="rk4"), "Unknown method 'rk4'"),
        (lambda v, x: follow(lambda x, t: x[:, :1], x, 3), r"given shape \[4, 2\] and gave \[4, 1\]"),
        (lambda v, x: flow_log_prob(v, x, probes=0), "at least 1 probe"),
    ],
)
def test_what_is_no_flow_gets_a_sentence(call, sentence: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(UserError, match=sentence):
        call(lambda x, t: x, torch.zeros(4, 2))
