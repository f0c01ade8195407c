"""Samplers on normal data, where predictor, path and law of the samples are known. No number here is random."""

import math

import pytest
import torch
from gaussian_diffusion import Normal, correlated, identity, moments, on_the_line
from torch import Tensor

from epslab.generative.samplers import (
    ancestral,
    ddim,
    denoiser,
    dpm_solver_2m,
    euler,
    euler_ancestral,
    heun,
    karras,
    linear_sigmas,
    linear_times,
)
from epslab.probability.schedules import Schedule, cosine, linear

EXACT = {"rtol": 1e-9, "atol": 1e-11}
SCHEDULES = {"linear": linear, "cosine": cosine}


def start(n: int = 5, d: int = 3, scale: float = 1.0) -> Tensor:
    return scale * torch.randn(n, d, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def draws(count: int, n: int = 5, d: int = 3) -> list[Tensor]:
    return list(torch.randn(count, n, d, generator=torch.Generator().manual_seed(1), dtype=torch.float64))


# Order of convergence


@pytest.mark.parametrize(("sampler", "order"), [(euler, 1), (heun, 2), (dpm_solver_2m, 2)])
@pytest.mark.parametrize("spacing", ["sigma", "log sigma", "karras"])
def test_the_error_falls_with_the_order_of_the_method(sampler, order: int, spacing: str) -> None:  # type: ignore[no-untyped-def]
    """The slope of log error against log step on the exact path of N(0, s²), from sigma = 10 to 0.1."""
    data, high, low = on_the_line(0.7), 10.0, 0.1
    x = torch.full((1, 1), 3.0, dtype=torch.float64)
    counts = [160, 320]
    errors = []
    for n in counts:
        grid = {
            "sigma": torch.linspace(high, low, n + 1, dtype=torch.float64),
            "log sigma": torch.logspace(math.log10(high), math.log10(low), n + 1, dtype=torch.float64),
            "karras": karras(n + 1, low, high)[:-1],
        }[spacing]
        errors.append((sampler(data.denoise, x, grid) - data.flow(x, high, low)).abs().item())
    slope = math.log(errors[-2] / errors[-1]) / math.log(counts[-1] / counts[-2])
    assert slope == pytest.approx(order, abs=0.1)
    assert errors[-1] < 0.01


def test_heun_keeps_its_order_where_the_last_step_is_to_zero() -> None:
    """The last step is Euler's: one step with an error of second order."""
    data, x = on_the_line(0.7), torch.full((1, 1), 3.0, dtype=torch.float64)
    grids = [torch.linspace(10.0, 0.0, n + 1, dtype=torch.float64) for n in (200, 400)]
    coarse, fine = [(heun(data.denoise, x, grid) - data.flow(x, 10.0, 0.0)).abs().item() for grid in grids]
    assert math.log2(coarse / fine) == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize("sampler", [euler, heun, dpm_solver_2m])
def test_samplers_bring_back_a_correlated_covariance(sampler) -> None:  # type: ignore[no-untyped-def]
    data, grid = correlated(), karras(200, 0.002, 80.0)
    mean, covariance = moments(lambda noise: sampler(data.denoise, 80.0 * noise[0], grid), 1, 3)
    # Data with noise 80 on are N(mean, C + 80²·I); a start without mean and C leaves 1/80 and 1/80² of them.
    assert (mean - data.mean).abs().max() < 2 * data.mean.abs().max() / 80
    assert (covariance - data.covariance).abs().max() < (0.03 if sampler is euler else 0.002)


def test_a_point_is_found_in_one_step_by_every_solver() -> None:
    """Where all data are one point, D is constant and the path is straight in sigma."""
    point = torch.tensor([[0.3, -0.4]], dtype=torch.float64)
    for sampler in (euler, heun, dpm_solver_2m, euler_ancestral):
        for grid in ([5.0, 0.0], karras(4, 0.1, 5.0)):
            found = sampler(lambda x, sigma: point.expand_as(x), start(d=2, scale=5.0), grid)
            torch.testing.assert_close(found, point.expand(5, 2), **EXACT)


# Ancestral sampling


@pytest.mark.parametrize("make", SCHEDULES.values())
def test_the_two_variances_of_ddpm_are_exact_where_ho_et_al_say_so(make) -> None:  # type: ignore[no-untyped-def]
    """β_t for N(0, I), the posterior's for a point (Ho et al., 2020, section 3.2).

    Each step is then the true reverse step; the last one leaves out the variance of x_0 given x at t = 0.
    """
    schedule = make(60)
    normal, point = on_the_line(1.0), on_the_line(1e-9, mean=0.4)
    x_0, variance = moments(
        lambda noise: ancestral(
            normal.predict(schedule, "noise"), schedule, noise[0].shape, noise=noise, variance="beta"
        ),
        60,
        1,
    )
    torch.testing.assert_close(x_0, torch.zeros(1, dtype=torch.float64), **EXACT)
    torch.testing.assert_close(variance, schedule.alpha[:1, None], **EXACT)
    x_0, variance = moments(
        lambda noise: ancestral(point.predict(schedule, "noise"), schedule, noise[0].shape, noise=noise), 60, 1
    )
    torch.testing.assert_close(x_0, point.mean, **EXACT)
    assert variance.item() < 1e-12
    # At t = 1, before the last step, the posterior variance gives the law of a point with noise on; β_t does not.
    for name, agrees in (("posterior", True), ("beta", False)):
        halfway = _penultimate_variance(schedule, point, name)
        assert (halfway == pytest.approx((1 - schedule.alpha_bar[0]).item(), rel=1e-6)) is agrees


def _penultimate_variance(schedule: Schedule, data: Normal, variance: str) -> float:
    """Variance of x at t = 0, recovered from the last step, which is given the identity for a predictor."""

    def predict(x_t: Tensor, t: Tensor) -> Tensor:
        return torch.zeros_like(x_t) if t[0] == 0 else data.predict(schedule, "noise")(x_t, t)

    _, found = moments(
        lambda noise: ancestral(predict, schedule, noise[0].shape, noise=noise, variance=variance), len(schedule), 1
    )
    return (found * schedule.alpha_bar[0]).item()


@pytest.mark.parametrize("variance", ["posterior", "beta"])
def test_ddpm_brings_back_mean_and_covariance_as_the_steps_grow_finer(variance: str) -> None:
    data, errors = correlated(), []
    for steps in (100, 200):
        schedule = cosine(steps)
        mean, covariance = moments(
            lambda noise, schedule=schedule: ancestral(
                data.predict(schedule, "v"),
                schedule,
                noise[0].shape,
                noise=noise,
                predicts="v",
                variance=variance,
            ),
            steps,
            3,
        )
        errors.append((covariance - data.covariance).abs().max().item())
        assert (mean - data.mean).abs().max() < 1e-3
    assert errors[1] < 0.7 * errors[0]
    assert errors[1] < 0.03


def test_the_step_is_the_published_one() -> None:
    """One step of algorithm 2 by hand, from the noise and with ᾱ, not α."""
    schedule, x, z = linear(10), start(), draws(1)[0]
    found = ancestral(
        lambda x_t, t: x_t.sin() if t[0] == 6 else 0 * x_t, schedule, x.shape, times=[6, 5], start=x, noise=[z]
    )
    beta, alpha, alpha_bar = schedule.beta[6], schedule.alpha[6], schedule.alpha_bar
    sigma = ((1 - alpha_bar[5]) / (1 - alpha_bar[6]) * beta).sqrt()
    x_5 = (x - beta / (1 - alpha_bar[6]).sqrt() * x.sin()) / alpha.sqrt() + sigma * z
    torch.testing.assert_close(found, x_5 / alpha_bar[5].sqrt(), **EXACT)


# DDIM


@pytest.mark.parametrize("make", SCHEDULES.values())
@pytest.mark.parametrize("clip", [False, True, (-0.2, 0.1)])
@pytest.mark.parametrize("times", [None, [29, 20, 7, 3]])
def test_ddim_with_all_the_noise_is_ddpm(make, clip, times: list[int] | None) -> None:  # type: ignore[no-untyped-def]
    schedule, data, noise = make(30), correlated(), draws(30)
    predict = data.predict(schedule, "noise")
    listed = range(29, -1, -1) if times is None else times
    ours = ddim(predict, schedule, (5, 3), times=listed, eta=1, noise=noise, clip=clip)
    torch.testing.assert_close(
        ours, ancestral(predict, schedule, (5, 3), times=times, noise=noise, clip=clip), rtol=1e-9, atol=1e-9
    )


@pytest.mark.parametrize("steps", [1, 7, 50])
@pytest.mark.parametrize("clip", [False, True])
def test_ddim_without_noise_is_eulers_method_in_sigma(steps: int, clip: bool) -> None:
    schedule, data, x = cosine(50), correlated(), start()
    predict = data.predict(schedule, "image")
    ours = ddim(predict, schedule, x.shape, steps=steps, start=x, predicts="image", clip=clip)
    sigmas = linear_sigmas(schedule, steps)
    scaled = x * (1 + sigmas[0] ** 2).sqrt()
    theirs = euler(denoiser(predict, schedule, predicts="image"), scaled, sigmas, clip=clip)
    torch.testing.assert_close(ours, theirs, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("eta", [0.0, 0.5])
def test_the_marginals_of_ddim_do_not_depend_on_its_noise(eta: float) -> None:
    """For a point, x_s has the law of q(x_s given x_0) at any eta: seen through a last step that changes nothing."""
    schedule, point = cosine(40), on_the_line(1e-9, mean=0.4)

    def predict(x_t: Tensor, t: Tensor) -> Tensor:
        return torch.zeros_like(x_t) if t[0] == 12 else point.predict(schedule, "noise")(x_t, t)

    def sampler(noise: list[Tensor]) -> Tensor:
        alpha_bar = schedule.alpha_bar[39]
        x_t = alpha_bar.sqrt() * 0.4 + (1 - alpha_bar).sqrt() * noise[0]
        return ddim(predict, schedule, x_t.shape, times=[39, 30, 12], eta=eta, start=x_t, noise=noise[1:])

    mean, variance = moments(sampler, 3, 1)
    assert variance.item() == pytest.approx(schedule.sigma[12].square().item(), rel=1e-9)
    assert mean.item() == pytest.approx(0.4, rel=1e-9)


@pytest.mark.parametrize("make", SCHEDULES.values())
def test_ddim_brings_back_the_covariance(make) -> None:  # type: ignore[no-untyped-def]
    schedule, data = make(2000), correlated()
    mean, covariance = moments(
        lambda noise: ddim(data.predict(schedule, "noise"), schedule, noise[0].shape, steps=500, noise=noise), 1, 3
    )
    assert (mean - data.mean).abs().max() < 0.02
    assert (covariance - data.covariance).abs().max() < 0.01


# Predictions


@pytest.mark.parametrize("kind", ["noise", "v", "image"])
@pytest.mark.parametrize("make", SCHEDULES.values())
def test_three_predictors_of_one_normal_give_the_same_samples(kind: str, make) -> None:  # type: ignore[no-untyped-def]
    schedule, data = make(40), correlated()
    samples = {
        "ancestral": lambda k: ancestral(
            data.predict(schedule, k), schedule, (5, 3), predicts=k, noise=draws(40), clip=(-1, 1.5)
        ),
        "ddim": lambda k: ddim(
            data.predict(schedule, k), schedule, (5, 3), steps=9, eta=0.4, predicts=k, noise=draws(40)
        ),
        "heun": lambda k: heun(
            denoiser(data.predict(schedule, k), schedule, predicts=k), start(scale=9.0), linear_sigmas(schedule, 8)
        ),
    }
    for sample in samples.values():
        torch.testing.assert_close(sample(kind), sample("noise"), rtol=1e-6, atol=1e-6)


def test_the_denoiser_of_a_predictor_is_the_denoiser_of_the_data() -> None:
    schedule, data = linear(1000), correlated()
    sigma = schedule.sigma[[0, 10, 400, 999, 3]]
    x = start() * sigma[:, None]
    for kind in ("noise", "v", "image"):
        denoise = denoiser(data.predict(schedule, kind), schedule, predicts=kind)
        torch.testing.assert_close(denoise(x, sigma), data.denoise(x, sigma), rtol=1e-6, atol=1e-6)


# Euler ancestral


def test_the_variance_of_euler_ancestral_tends_to_that_of_the_data_with_noise_on() -> None:
    s, last = 0.7, 0.5
    data, errors = on_the_line(s), []
    for n in (100, 200, 400):
        grid = torch.logspace(math.log10(20.0), math.log10(last), n + 1, dtype=torch.float64)
        _, variance = moments(
            lambda noise, grid=grid: euler_ancestral(
                data.denoise, math.sqrt(s**2 + 400) * noise[0], grid, noise=noise[1:]
            ),
            n + 1,
            1,
        )
        errors.append(abs(variance.item() - (s**2 + last**2)))
    assert errors[2] < 0.01
    assert errors[0] / errors[1] == pytest.approx(2, abs=0.2)
    assert errors[1] / errors[2] == pytest.approx(2, abs=0.2)


def test_one_step_of_euler_ancestral_keeps_the_law_of_a_point() -> None:
    """From sigma to sigma' the noise that is left and the noise that is added make up sigma'² together."""
    _, variance = moments(
        lambda noise: euler_ancestral(lambda x, sigma: 0 * x, 3.0 * noise[0], [3.0, 1.3], noise=noise[1:]), 2, 2
    )
    torch.testing.assert_close(variance, 1.3**2 * identity(2), **EXACT)


# Grids


def test_the_karras_grid_is_the_published_formula() -> None:
    grid = karras(18, 0.002, 80)
    assert grid.dtype == torch.float64
    assert len(grid) == 19
    assert grid[0] == 80
    assert grid[-1] == 0
    for i in range(18):
        sigma = (80 ** (1 / 7) + i / 17 * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7
        assert grid[i].item() == pytest.approx(sigma, rel=1e-10)
    assert karras(1, 0.1, 3.0).tolist() == [3.0, 0.0]


def test_the_linear_grid_visits_all_times_or_equally_spaced_ones() -> None:
    assert linear_times(linear(7), 7).tolist() == [6, 5, 4, 3, 2, 1, 0]
    assert linear_times(linear(1000), 5).tolist() == [999, 799, 599, 399, 199]
    assert linear_times(linear(10), 1).tolist() == [9]
    for steps in range(1, 30):
        times = linear_times(linear(29), steps)
        assert len(times) == steps
        assert times[0] == 28
        assert (times.diff() < 0).all()
        assert times[-1] >= 0
