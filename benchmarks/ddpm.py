"""A diffusion model by diffusers and by epslab, in turn: time of a training step and of sampling in 50 steps.

    python benchmarks/ddpm.py [--side 28] [--batch 32] [--rounds 5] [--samples 16] [--processor-time]

Both U-Nets have the same channels at the same levels, attention in the middle, and arithmetic that is equal within one
percent (the operations of one image are printed); both are in channels_last and normalise groups of 16 channels or
more, which is faster than diffusers' default of 32 groups. A training step is noise, forward, backward, fused Adam and
the moving average of the weights; sampling is DDIM, of 50 steps, with the image clamped. The sides alternate within
each round, their order turns from round to round, and ratios are per round; medians are printed.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from epslab import seeds
from epslab.generative.diffusion import Diffusion, DiffusionObjective
from epslab.nets import UNet
from epslab.probability.schedules import linear
from epslab.training.average import Average
from epslab.training.turns import adam
from epslab.types import Batch, Progress

WIDTH, STEPS, DECAY, RATE = 32, 50, 0.999, 1e-3


class Epslab:
    """epslab's model and objective in a bare loop."""

    name = "epslab"

    def __init__(self, side: int) -> None:
        shape = (1, side, side)
        with seeds.seeded(0, "benchmark"):
            self.net: nn.Module = UNet(shape, WIDTH, (1, 2, 2), blocks=2)
        self.model = Diffusion(self.net, linear(1000), shape)
        self.objective = DiffusionObjective(self.model)
        self.optimiser = adam(RATE)(self.model.parameters())
        self.average = Average(self.model, DECAY)
        self.done = 0

    def output(self, x: Tensor, t: Tensor) -> Tensor:
        found: Tensor = self.net(x, t)
        return found

    def step(self, images: Tensor) -> None:
        own = torch.arange(len(images)) + self.done * len(images)
        batch = Batch(images, torch.zeros(len(images), dtype=torch.int64), own)
        self.objective(batch, Progress(0, self.done, 1, 1, True))["loss"].mean().backward()
        self.optimiser.step()
        self.optimiser.zero_grad()
        self.average.update()
        self.done += 1

    def sample(self, n: int) -> Tensor:
        return self.model.sample(n, seeds.generator(0, "samples"), sampler="ddim", steps=STEPS)


class Diffusers:
    """diffusers' model and schedulers, used as in its training example and its DDIM pipeline."""

    name = "diffusers"

    def __init__(self, side: int) -> None:
        from diffusers import DDIMScheduler, DDPMScheduler, UNet2DModel
        from diffusers.training_utils import EMAModel

        self.side = side
        with seeds.seeded(0, "benchmark"):
            self.net = UNet2DModel(
                sample_size=side,
                in_channels=1,
                out_channels=1,
                layers_per_block=1,
                block_out_channels=(WIDTH, 2 * WIDTH, 2 * WIDTH),
                down_block_types=("DownBlock2D",) * 3,
                up_block_types=("UpBlock2D",) * 3,
                norm_num_groups=2,
                attention_head_dim=32,
            ).to(memory_format=torch.channels_last)
        self.noising, self.scheduler = DDPMScheduler(1000), DDIMScheduler(1000)
        self.optimiser = torch.optim.Adam(self.net.parameters(), lr=RATE, fused=True)
        self.average = EMAModel(self.net.parameters(), decay=DECAY, use_ema_warmup=True, foreach=True)

    def output(self, x: Tensor, t: Tensor) -> Tensor:
        found: Tensor = self.net(x, t).sample
        return found

    def step(self, images: Tensor) -> None:
        x_0 = 2 * images - 1
        eps, t = torch.randn_like(x_0), torch.randint(0, 1000, (len(x_0),))
        error = self.net(self.noising.add_noise(x_0, eps, t), t).sample - eps
        F.mse_loss(error, torch.zeros_like(error)).backward()
        self.optimiser.step()
        self.optimiser.zero_grad()
        self.average.step(self.net.parameters())

    @torch.no_grad()
    def sample(self, n: int) -> Tensor:
        self.net.eval()
        x: Tensor = torch.randn(n, 1, self.side, self.side).to(memory_format=torch.channels_last)
        self.scheduler.set_timesteps(STEPS)
        for t in self.scheduler.timesteps:
            x = self.scheduler.step(self.net(x, t).sample, t, x).prev_sample
        self.net.train()
        return (x / 2 + 0.5).clamp(0, 1)


def operations(side: Epslab | Diffusers, x: Tensor) -> int:
    """Floating-point operations of one image through the net: convolutions, products of matrices, attention."""
    with FlopCounterMode(display=False) as counted, torch.no_grad():
        side.output(x, torch.zeros(len(x), dtype=torch.int64))
    return counted.get_total_flops() // len(x)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print both sides' medians and the ratio of each round's times."""
    asked = parsed(arguments)
    if find_spec("diffusers") is None:
        print("diffusers is not installed here: make bench sets up an environment that has it.")
        return
    torch.set_num_threads(asked.threads)
    clock = time.process_time if asked.processor_time else time.perf_counter
    sides = [Epslab(asked.side), Diffusers(asked.side)]
    images = torch.rand(asked.batch, 1, asked.side, asked.side, generator=seeds.generator(0, "images"))
    images = images.to(memory_format=torch.channels_last)
    for side in sides:
        parameters = sum(p.numel() for p in side.net.parameters())
        print(f"{side.name:>10}: {operations(side, images[:1]) / 1e6:.1f} MFLOP an image, {parameters:,} parameters")
    for what, job in (
        (f"training step, batch {asked.batch}", lambda side: side.step(images)),
        (f"{asked.samples} samples in {STEPS} steps", lambda side: side.sample(asked.samples)),
    ):
        compare(what, sides, job, asked.rounds, clock)


def compare(
    what: str,
    sides: Sequence[Epslab | Diffusers],
    job: Callable[[Epslab | Diffusers], object],
    rounds: int,
    clock: Callable[[], float],
) -> None:
    """Alternate the sides, warm them up once, and print medians and ratios."""
    times: dict[str, list[float]] = {side.name: [] for side in sides}
    for n in range(rounds + 1):
        for side in sides[:: 1 if n % 2 else -1]:
            start = clock()
            job(side)
            if n > 0:
                times[side.name].append(clock() - start)
    ours, theirs = times.values()
    ratios = sorted(b / a for a, b in zip(ours, theirs, strict=True))
    listed = ", ".join(f"{name} {1000 * statistics.median(seconds):.0f} ms" for name, seconds in times.items())
    ratio = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
    print(f"{what}: {listed}; diffusers' time / epslab's: {ratio}")


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--side", type=int, default=28, help="pixels")
    parser.add_argument("--batch", type=int, default=32, help="images of a training step")
    parser.add_argument("--samples", type=int, default=16, help="samples drawn at once")
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each side")
    parser.add_argument("--threads", type=int, default=1, help="of torch")
    parser.add_argument(
        "--processor-time", action="store_true", help="count the processor's seconds, on a machine that others use too"
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
