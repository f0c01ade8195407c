"""Replays diffusers' schedulers with epslab's samplers: same start, same predictor, same noise, same samples.

    python benchmarks/samplers.py [--images 8] [--seed 0]

The predictor is the exact one for the handwritten digits of scikit-learn with noise on (a mixture of normals around the
images, in [−1, 1]), given as noise, v or image. Each line runs one of diffusers' schedulers as its documentation says,
and the sampler of epslab that is the same method, with the scheduler's own ᾱ (float32), its noise levels and the
numbers that its generator draws; it prints the largest difference between the two sets of samples. The exit code is 1
where one is above 1e-5.
"""

import argparse
import itertools
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import diffusers
import torch
from sklearn.datasets import load_digits
from torch import Tensor

from epslab.generative.samplers import ancestral, ddim, denoiser, dpm_solver_2m, euler, euler_ancestral, heun
from epslab.probability.schedules import Schedule

LIMIT = 1e-5
STD = 0.5  # of the normals around the images
KINDS = {"noise": "epsilon", "v": "v_prediction", "image": "sample"}


def predictor(schedule: Schedule, kind: str) -> Callable[[Tensor, Tensor], Tensor]:
    """E[eps], E[v] or E[x_0] given x_t, for a mixture of normals around digits; t may lie between the whole numbers."""
    centres = torch.from_numpy(load_digits().images[:100]).flatten(1) / 8 - 1  # float64 [100 64]
    log_sigma = schedule.sigma.double().log()

    def predict(x_t: Tensor, t: Tensor) -> Tensor:
        below = t.double().floor().clamp(max=len(schedule) - 2).long()
        sigma = torch.lerp(log_sigma[below], log_sigma[below + 1], t.double() - below).exp()[:, None]
        signal, noise = 1 / (1 + sigma**2).sqrt(), sigma / (1 + sigma**2).sqrt()
        x = x_t.double().flatten(1) / signal
        weights = (-torch.cdist(x, centres).square() / (2 * (STD**2 + sigma**2))).softmax(1)
        x_0 = (STD**2 * x + sigma**2 * weights @ centres) / (STD**2 + sigma**2)
        eps = (x - x_0) / sigma
        return {"noise": eps, "v": signal * eps - noise * x_0, "image": x_0}[kind].view_as(x_t).to(x_t)

    return predict


@dataclass(frozen=True)
class Case:
    """One scheduler of diffusers, and the sampler that replays it."""

    scheduler: str
    steps: int
    replay: Callable[..., Tensor]
    predicts: str = "noise"
    config: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)  #: of the scheduler's step

    def title(self) -> str:
        words = [f"{key}={value}" for key, value in {**self.config, **self.options}.items() if key != "beta_schedule"]
        beta = self.config.get("beta_schedule", "linear")
        return (
            f"{self.scheduler.removesuffix('Scheduler')}, {self.steps} steps, {self.predicts}, {beta} {' '.join(words)}"
        )


def draws(shape: tuple[int, ...], seed: int) -> Iterator[Tensor]:
    """What a scheduler draws from a generator of this seed."""
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(shape, generator=generator) for _ in itertools.count())


def theirs(case: Case, start: Tensor, seed: int) -> tuple[Tensor, Any, Schedule]:
    """The samples of diffusers, its scheduler, and its schedule."""
    kind = KINDS[case.predicts]
    scheduler = getattr(diffusers, case.scheduler)(prediction_type=kind, **case.config)
    schedule = Schedule(scheduler.betas, scheduler.alphas, scheduler.alphas_cumprod)
    scheduler.set_timesteps(case.steps)
    predict, x = predictor(schedule, case.predicts), start * scheduler.init_noise_sigma
    random = {} if "Heun" in case.scheduler else {"generator": torch.Generator().manual_seed(seed)}
    for t in scheduler.timesteps:
        output = predict(scheduler.scale_model_input(x, t), t.expand(len(x)))
        x = scheduler.step(output, t, x, **random, **case.options).prev_sample
    return x, scheduler, schedule


def difference(case: Case, images: int, seed: int) -> float:
    """The largest difference between samples."""
    start = torch.randn(images, 1, 8, 8, generator=torch.Generator().manual_seed(seed))
    expected, scheduler, schedule = theirs(case, start, seed + 1)
    noise = draws(tuple(start.shape), seed + 1)
    found = case.replay(case, scheduler, schedule, predictor(schedule, case.predicts), start, noise)
    return float((found - expected).abs().max())


def in_time(sampler: Callable[..., Tensor], **options: Any) -> Callable[..., Tensor]:
    """Replay by a sampler on the schedule's times."""

    def replay(
        case: Case, scheduler: Any, schedule: Schedule, predict: Any, start: Tensor, noise: Iterator[Tensor]
    ) -> Tensor:
        clip = scheduler.config.clip_sample
        return sampler(
            predict,
            schedule,
            tuple(start.shape),
            predicts=case.predicts,
            start=start,
            clip=clip,
            times=scheduler.timesteps,
            noise=noise,
            **options,
        )

    return replay


def in_sigma(sampler: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Replay by a sampler on the scheduler's noise levels."""

    def replay(
        case: Case, scheduler: Any, schedule: Schedule, predict: Any, start: Tensor, noise: Iterator[Tensor]
    ) -> Tensor:
        levels = scheduler.sigmas.double()
        # Heun's scheduler lists each level between the first and the last twice.
        levels = torch.cat([levels[:1], levels[1:-1:2], levels[-1:]]) if "Heun" in case.scheduler else levels
        # Between the schedule's levels, DPM-Solver's scheduler takes the nearest time, the others a time in between.
        denoise = denoiser(predict, schedule, predicts=case.predicts, continuous="DPM" not in case.scheduler)
        given = {"noise": noise} if sampler is euler_ancestral else {}
        # DPM-Solver's scheduler keeps x_t, the others x = x_t/√ᾱ_t; the last level is 0, where both are the image.
        scale = (1 + levels[0] ** 2).sqrt() if "DPM" in case.scheduler else scheduler.init_noise_sigma
        return sampler(denoise, start * float(scale), levels, **given)

    return replay


def cases() -> Iterator[Case]:
    """Every method with every prediction it has there, both schedules and both grids."""
    cosine = {"beta_schedule": "squaredcos_cap_v2"}
    for predicts in KINDS:
        yield Case("DDPMScheduler", 50, in_time(ancestral), predicts, {"clip_sample": False})
        yield Case("DDIMScheduler", 50, in_time(ddim), predicts, {"clip_sample": False})
    yield Case("DDPMScheduler", 1000, in_time(ancestral), "noise", {"clip_sample": True})
    large = {"clip_sample": False, "variance_type": "fixed_large"}
    yield Case("DDPMScheduler", 50, in_time(ancestral, variance="beta"), "noise", large)
    yield Case("DDPMScheduler", 100, in_time(ancestral), "noise", {"clip_sample": True, **cosine})
    for eta in (0.0, 0.5, 1.0):
        yield Case("DDIMScheduler", 20, in_time(ddim, eta=eta), "noise", {"clip_sample": False}, {"eta": eta})
    yield Case("DDIMScheduler", 20, in_time(ddim, keep_noise=True), "noise", {"clip_sample": True})
    again = {"eta": 0.5, "use_clipped_model_output": True}
    yield Case("DDIMScheduler", 20, in_time(ddim, eta=0.5), "v", {"clip_sample": True, **cosine}, again)
    for name, sampler in (
        ("EulerDiscreteScheduler", euler),
        ("EulerAncestralDiscreteScheduler", euler_ancestral),
        ("HeunDiscreteScheduler", heun),
        ("DPMSolverMultistepScheduler", dpm_solver_2m),
    ):
        for predicts in ("noise", "v"):
            # With 28 steps, 999/27 = 37: every time is a whole number.
            yield Case(name, 28, in_sigma(sampler), predicts, {"timestep_spacing": "linspace"})
            yield Case(name, 20, in_sigma(sampler), predicts, {"timestep_spacing": "trailing"})
        if name != "EulerAncestralDiscreteScheduler":
            yield Case(name, 15, in_sigma(sampler), "noise", {"use_karras_sigmas": True})


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, default=8, help="images in each run")
    parser.add_argument("--seed", type=int, default=0, help="seed of start and noise")
    settings = parser.parse_args()
    print(f"diffusers {diffusers.__version__}, torch {torch.__version__}")
    worst = 0.0
    for case in cases():
        found = difference(case, settings.images, settings.seed)
        worst = max(worst, found)
        print(f"{found:9.1e}  {'' if found <= LIMIT else 'ABOVE '}{case.title()}")
    print(f"Largest difference: {worst:.1e} (limit {LIMIT:g}).")
    return 0 if worst <= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
