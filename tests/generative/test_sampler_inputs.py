"""What samplers take and give back: noise, starts, precision, gradients, clamping, and sentences for what cannot."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from epslab import seeds
from epslab.errors import UserError
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
    noise_of,
    target,
)
from epslab.probability.schedules import Schedule, cosine, linear

SCHEDULE = cosine(20)
SIGMAS = karras(6, 0.1, 10.0)


def halved(x: Tensor, t: Tensor) -> Tensor:
    """A predictor, and a denoiser, of no data in particular."""
    return 0.5 * x


def by_time(shape: tuple[int, ...], **options: Any) -> dict[str, Callable[[], Tensor]]:
    return {
        "ancestral": lambda: ancestral(halved, SCHEDULE, shape, **options),
        "ddim": lambda: ddim(halved, SCHEDULE, shape, steps=7, eta=0.7, **options),
    }


IN_SIGMA: dict[str, Callable[..., Tensor]] = {
    "euler": euler,
    "heun": heun,
    "dpm": dpm_solver_2m,
    "euler ancestral": lambda *given, **options: euler_ancestral(
        *given, generator=seeds.generator(0, "noise"), **options
    ),
}


@pytest.mark.parametrize("name", ["ancestral", "ddim"])
def test_samples_follow_from_the_generator_and_not_from_the_batch(name: str) -> None:
    def drawn(n: int, seed: int = 0) -> Tensor:
        return by_time((n, 1, 3, 3), generator=seeds.generator(seed, "samples"))[name]()

    state = torch.random.get_rng_state()
    six = drawn(6)
    assert torch.equal(drawn(6), six)
    assert not torch.equal(drawn(6, 1), six)
    torch.testing.assert_close(drawn(4), six[:4], rtol=1e-6, atol=1e-6)
    assert len({tuple(image.flatten().tolist()) for image in six}) == 6
    assert torch.equal(torch.random.get_rng_state(), state)
    by_time((6, 1, 3, 3))[name]()
    assert not torch.equal(torch.random.get_rng_state(), state)


def test_noise_that_is_brought_is_taken_in_order_and_no_more_of_it() -> None:
    own = seeds.draw(5, seeds.generator(0, "brought"))
    tensors = list(itertools.islice(noise_of(own, (2,), torch.float64), 40))
    for sampler, needed in (
        (lambda **given: ancestral(halved, SCHEDULE, (5, 2), **given), 20),
        (lambda **given: ddim(halved, SCHEDULE, (5, 2), steps=7, eta=1.0, **given), 7),
        (lambda **given: ddim(halved, SCHEDULE, (5, 2), steps=7, **given), 1),
    ):
        noise = iter(tensors)
        whole = sampler(noise=noise)
        assert next(noise) is tensors[needed]
        assert torch.equal(sampler(start=tensors[0], noise=iter(tensors[1:])), whole)
        with pytest.raises(UserError, match=f"ended after {needed - 1} tensors"):
            sampler(noise=tensors[: needed - 1])
    noise = iter(tensors)
    euler_ancestral(halved, tensors[0], SIGMAS, noise=noise)
    assert next(noise) is tensors[5]  # six steps, the last of them to 0


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_samples_have_the_type_of_the_start_and_half_precision_keeps_a_wide_state(dtype: torch.dtype) -> None:
    """A thousand small steps in bfloat16 would be lost in rounding; the predictor is asked in the start's own type."""
    schedule, start = linear(1000), torch.randn(4, 3, generator=torch.Generator().manual_seed(0)).to(dtype)

    def predict(x: Tensor, t: Tensor) -> Tensor:
        assert x.dtype == dtype
        return (1 - schedule.alpha_bar[t]).sqrt()[:, None].to(dtype) * x

    def denoise(x: Tensor, sigma: Tensor) -> Tensor:
        assert x.dtype == sigma.dtype == dtype
        return x / (1 + sigma[:, None] ** 2)

    exact = start.double()
    found = ddim(predict, schedule, (4, 3), steps=1000, start=start)
    assert found.dtype == dtype
    tolerance = {torch.bfloat16: 0.05, torch.float16: 0.02}.get(dtype, 0.01)  # 0.01: a thousand steps of order 1
    torch.testing.assert_close(found.double(), exact, rtol=0.0, atol=tolerance * exact.abs().max().item())
    for sample in IN_SIGMA.values():
        assert sample(denoise, start, SIGMAS).dtype == dtype


def test_no_gradient_is_kept_unless_the_start_asks_for_it() -> None:
    weight = torch.ones((), requires_grad=True)
    start = torch.randn(3, 2)
    for sample in (
        lambda x: ancestral(lambda x, t: weight * x, SCHEDULE, (3, 2), start=x),
        lambda x: ddim(lambda x, t: weight * x, SCHEDULE, (3, 2), start=x, steps=4),
        *(lambda x, run=run: run(lambda x, t: 0.5 * weight * x, x, SIGMAS) for run in IN_SIGMA.values()),
    ):
        assert not sample(start).requires_grad
        wanted = start.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(sample(wanted).sum(), wanted)
        assert (gradient.abs() > 0).all()


@pytest.mark.parametrize(("clip", "low", "high"), [(True, -1.0, 1.0), ((-0.2, 0.3), -0.2, 0.3), ((0, 2), 0.0, 2.0)])
def test_clamped_samples_end_inside(clip: Any, low: float, high: float) -> None:
    def wild(x: Tensor, t: Tensor) -> Tensor:
        return 3 * x

    start = 5 * torch.randn(50, 2, generator=torch.Generator().manual_seed(0))
    found = [
        ancestral(wild, SCHEDULE, (50, 2), start=start, clip=clip, predicts="image"),
        ddim(wild, SCHEDULE, (50, 2), start=start, clip=clip, steps=5, predicts="image"),
        ddim(wild, SCHEDULE, (50, 2), start=start, clip=clip, steps=5, eta=1.0, predicts="image", keep_noise=True),
        *(run(wild, start, SIGMAS, clip=clip) for run in IN_SIGMA.values()),
        euler(denoiser(wild, SCHEDULE, predicts="image", clip=clip), start, SIGMAS),
    ]
    for samples in found:
        assert samples.min().item() == pytest.approx(low, abs=1e-6)
        assert samples.max().item() == pytest.approx(high, abs=1e-6)


def test_the_noise_kept_after_clamping_is_the_predicted_one() -> None:
    """One step of eq. 12 by hand, where x_0 is clamped and eps either is or is not made to fit it."""
    x, alpha_bar = torch.tensor([[3.0, -0.1]], dtype=torch.float64), SCHEDULE.alpha_bar
    x_0 = ((x - (1 - alpha_bar[9]).sqrt() * 0.5 * x) / alpha_bar[9].sqrt()).clamp(-1, 1)
    fitting = (x - alpha_bar[9].sqrt() * x_0) / (1 - alpha_bar[9]).sqrt()
    for keep, eps in ((True, 0.5 * x), (False, fitting)):

        def predict(x_t: Tensor, t: Tensor) -> Tensor:
            return 0.5 * x_t if t[0] == 9 else torch.zeros_like(x_t)

        found = ddim(predict, SCHEDULE, (1, 2), times=[9, 4], start=x, clip=(-1.0, 1.0), keep_noise=keep)
        step = alpha_bar[4].sqrt() * x_0 + (1 - alpha_bar[4]).sqrt() * eps
        torch.testing.assert_close(found, (step / alpha_bar[4].sqrt()).clamp(-1, 1), rtol=1e-12, atol=1e-12)


def test_a_schedule_in_single_precision_gives_its_own_rounding() -> None:
    """What a run computed in float32 needs to be replayed to the digit."""
    wide, start = linear(1000), torch.randn(4, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    single = Schedule(wide.beta.float(), wide.alpha.float(), wide.alpha.float().cumprod(0))
    samples = [
        ancestral(halved, s, (4, 2), start=start, times=range(49, -1, -1), noise=noise_of(torch.arange(4), (2,)))
        for s in (wide, single)
    ]
    assert 1e-7 < (samples[0] - samples[1]).abs().max() / samples[0].abs().max() < 1e-3


def test_a_denoiser_asks_at_whole_times_or_between_them() -> None:
    seen: list[Tensor] = []

    def predict(x: Tensor, t: Tensor) -> Tensor:
        seen.append(t)
        return x

    between = (SCHEDULE.sigma[4].log() * 0.4 + SCHEDULE.sigma[5].log() * 0.6).exp()
    sigma = torch.stack([SCHEDULE.sigma[3], between, SCHEDULE.sigma[0] / 10, SCHEDULE.sigma[-1]])
    denoiser(predict, SCHEDULE)(torch.zeros(4, 2), sigma)
    denoiser(predict, SCHEDULE, continuous=True)(torch.zeros(4, 2), sigma)
    assert seen[0].dtype == torch.int64
    assert seen[0].tolist() == [3, 5, 0, 19]
    torch.testing.assert_close(seen[1], torch.tensor([3.0, 4.6, 0.0, 19.0]), rtol=1e-5, atol=1e-5)
    denoiser(predict, linear(1))(torch.zeros(1, 2), linear(1).sigma)
    assert seen[2].tolist() == [0]


@pytest.mark.parametrize("kind", ["noise", "v", "image"])
def test_targets_for_training_are_what_samplers_read(kind: str) -> None:
    x_0, eps = torch.randn(2, 5, 1, 4, 4, dtype=torch.float64)
    alpha_bar = SCHEDULE.alpha_bar[torch.tensor([0, 3, 9, 15, 18])].view(-1, 1, 1, 1)
    x_t = alpha_bar.sqrt() * x_0 + (1 - alpha_bar).sqrt() * eps
    y = target(x_0, eps, alpha_bar, kind)
    denoise = denoiser(lambda x, t: y, SCHEDULE, predicts=kind)
    sigma = ((1 - alpha_bar) / alpha_bar).sqrt().flatten()
    torch.testing.assert_close(denoise(x_t / alpha_bar.sqrt(), sigma), x_0, rtol=1e-8, atol=1e-8)


START = torch.zeros(3, 2)
REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "kind": (lambda: ancestral(halved, SCHEDULE, (3, 2), predicts="eps"), "Unknown kind of prediction 'eps'"),
    "variance": (lambda: ancestral(halved, SCHEDULE, (3, 2), variance="learned"), "Unknown variance 'learned'"),
    "shape": (lambda: ancestral(halved, SCHEDULE, (3,)), r"shape of samples is \(n, …\)"),
    "start": (
        lambda: ancestral(halved, SCHEDULE, (4, 2), start=START),
        r"shape \[3, 2\], but samples of shape \[4, 2\]",
    ),
    "output": (lambda: ancestral(lambda x, t: x[:, :1], SCHEDULE, (3, 2)), r"given shape \[3, 2\] and gave \[3, 1\]"),
    "both": (
        lambda: ancestral(halved, SCHEDULE, (3, 2), torch.Generator(), noise=[START]),
        "from `generator` or from `noise`, not from both",
    ),
    "noise": (
        lambda: ancestral(halved, SCHEDULE, (3, 2), noise=[START, START[:1]]),
        r"Tensor 2 of `noise` has shape \[1, 2\], but the samples have \[3, 2\]",
    ),
    "times": (lambda: ancestral(halved, SCHEDULE, (3, 2), times=[3, 5]), "must fall from step to step within 19..0"),
    "late": (lambda: ancestral(halved, SCHEDULE, (3, 2), times=[20, 5]), "within 19..0, but they are 20, 5"),
    "early": (lambda: ddim(halved, SCHEDULE, (3, 2), times=[2, -1]), "within 19..0, but they are 2, -1"),
    "fractions": (lambda: ddim(halved, SCHEDULE, (3, 2), times=torch.tensor([3.5])), "lists whole numbers"),
    "steps": (lambda: ddim(halved, SCHEDULE, (3, 2), steps=21), "in 1 to 20 steps, not in 21"),
    "none": (lambda: ddim(halved, SCHEDULE, (3, 2), steps=0), "in 1 to 20 steps, not in 0"),
    "neither": (lambda: ddim(halved, SCHEDULE, (3, 2)), "`steps`, a number of them, or `times`"),
    "two": (lambda: ddim(halved, SCHEDULE, (3, 2), steps=2, times=[3]), "1 times but 2 steps"),
    "eta": (lambda: ddim(halved, SCHEDULE, (3, 2), steps=2, eta=1.5), r"lies in \[0, 1\]; it is 1.5"),
    "clip": (lambda: ddim(halved, SCHEDULE, (3, 2), steps=2, clip=(1, 0)), r"`clip=\(1, 0\)` is no range"),
    "rising": (lambda: euler(halved, START, [0.1, 1.0]), "must fall from step to step and end at 0 or above"),
    "negative": (lambda: heun(halved, START, [1.0, -0.1]), "must fall from step to step and end at 0 or above"),
    "nan": (lambda: euler(halved, START, [math.nan, 0.1]), "must fall from step to step"),
    "single": (lambda: dpm_solver_2m(halved, START, [1.0]), "at least 2 numbers"),
    "denoised": (lambda: euler_ancestral(lambda x, s: x[0], START, [1.0, 0.0]), r"gave \[2\]"),
    "above": (
        lambda: denoiser(halved, linear(1000))(START, torch.full((3,), 900.0)),
        "900 is above the schedule's largest",
    ),
    "karras": (lambda: karras(5, 1.0, 0.1), "needs 0 < sigma_min < sigma_max"),
    "levels": (lambda: karras(0, 0.1, 1.0), "at least 1 level above 0, not 0"),
    "grid": (lambda: linear_sigmas(SCHEDULE, 30), "in 1 to 20 steps, not in 30"),
    "linear": (lambda: linear_times(SCHEDULE, -1), "in 1 to 20 steps, not in -1"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_work_gets_a_sentence(name: str) -> None:
    call, sentence = REFUSED[name]
    with pytest.raises(UserError, match=sentence):
        call()
