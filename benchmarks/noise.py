"""What per-example noise costs: its share of a VAE training step and of an attack step, timed in turn in one process.

    python benchmarks/noise.py [--rounds 15] [--threads 1] [--device cpu]

The training step is the course's VAE (128 images of 1×28×28, 20 latent dimensions, 16 levels, channels_last, fused
Adam); its noise is one normal draw of z an image, or with dynamic binarisation also one uniform draw a pixel. The
attack step is a forward and backward pass of a small convolutional net with BatchNorm on 128 images of 3×32×32; its
noise is a random start, once in the 40 steps of PGD, or, at the dearest, a normal draw of a whole image every step. A
share is noise over the whole step including it, per round; medians are printed. torch's own generator, whose numbers
depend on the batch, is timed beside it. The exit code is 1 where a share reaches 3 %.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from epslab import seeds
from epslab.generative.vae import VAE
from epslab.generative.vae_objective import VAEObjective
from epslab.nets import ConvDecoder, ConvEncoder
from epslab.probability.likelihoods import Categorical
from epslab.types import Batch, Progress

N, LATENTS, LEVELS, ATTACK_STEPS, LIMIT = 128, 20, 16, 40, 0.03
IMAGE, COLOUR = (1, 28, 28), (3, 32, 32)


def training_step(device: torch.device) -> Callable[[], None]:
    with seeds.seeded(0, "benchmark"):
        vae = VAE(ConvEncoder(IMAGE, LATENTS), ConvDecoder(IMAGE, LATENTS, channels=LEVELS), Categorical(LEVELS))
    vae = vae.to(device, memory_format=torch.channels_last)
    objective, optimiser = VAEObjective(vae), torch.optim.Adam(vae.parameters(), lr=1e-3, fused=True)
    images = torch.rand(N, *IMAGE, device=device)
    labels, progress = torch.zeros(N, dtype=torch.int64, device=device), Progress(0, 0, 1, 1, True)
    indices = torch.arange(N, device=device)

    def step() -> None:
        batch = Batch(images, labels, seeds.of_indices(0, indices, "train", 0))
        optimiser.zero_grad()
        objective(batch, progress)["loss"].mean().backward()
        optimiser.step()

    return step


def attack_step(device: torch.device) -> Callable[[], None]:
    def block(channels: int, width: int) -> list[nn.Module]:
        return [nn.Conv2d(channels, width, 3, stride=2, padding=1), nn.BatchNorm2d(width), nn.ReLU()]

    with seeds.seeded(0, "benchmark"):
        first = [nn.Conv2d(3, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU()]
        net = nn.Sequential(*first, *block(32, 64), *block(64, 128), nn.Flatten(), nn.Linear(128 * 64, 10))
    net = net.to(device, memory_format=torch.channels_last).eval().requires_grad_(False)
    images = torch.rand(N, *COLOUR, device=device).contiguous(memory_format=torch.channels_last)
    labels = torch.zeros(N, dtype=torch.int64, device=device)

    def step() -> None:
        x = images.detach().requires_grad_()
        torch.autograd.grad(nn.functional.cross_entropy(net(x), labels, reduction="sum"), x)

    return step


def timed(work: Callable[[], object], repeats: int, device: torch.device) -> float:
    """Seconds for one call."""
    synchronise = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    synchronise()
    start = time.perf_counter()
    for _ in range(repeats):
        work()
    synchronise()
    return (time.perf_counter() - start) / repeats


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    example_seeds, indices = seeds.draw(N, device=device), torch.arange(N, device=device)
    steps = {"training": training_step(device), "attack": attack_step(device)}

    def normal(shape: tuple[int, ...]) -> Tensor:
        return seeds.noise(example_seeds, 0, shape)

    noises: dict[str, Callable[[], Tensor]] = {
        "seeds": lambda: seeds.of_indices(0, indices, "train", 0),
        "normal z": lambda: normal((LATENTS,)),
        "uniform pixels": lambda: seeds.uniform(example_seeds, 0, IMAGE),
        "uniform image": lambda: seeds.uniform(example_seeds, 0, COLOUR),
        "normal image": lambda: normal(COLOUR),
        "torch.rand image": lambda: torch.rand(N, *COLOUR, device=device),
        "torch.randn image": lambda: torch.randn(N, *COLOUR, device=device),
    }
    repeats = dict.fromkeys(steps, 2) | dict.fromkeys(noises, 10)
    rounds: list[dict[str, float]] = []
    for number in range(options.rounds + 2):
        times = {name: timed(work, repeats[name], device) for name, work in (steps | noises).items()}
        if number >= 2:  # the first rounds warm up
            rounds.append(times)

    def median(quantity: Callable[[dict[str, float]], float]) -> float:
        return statistics.median(quantity(times) for times in rounds)

    print(f"{options.device}, {torch.get_num_threads()} thread(s), torch {torch.__version__}, {len(rounds)} rounds\n")
    for name in times:
        print(f"{name:>18}  {1e3 * median(lambda times, name=name: times[name]):8.3f} ms")

    shares: list[tuple[str, Callable[[dict[str, float]], float]]] = [
        ("training step: seeds and normal z", lambda t: (t["seeds"] + t["normal z"]) / t["training"]),
        (
            "training step with dynamic binarisation",
            lambda t: (t["seeds"] + t["normal z"] + t["uniform pixels"]) / (t["training"] + t["uniform pixels"]),
        ),
        (
            "attack step of PGD: a random start in 40 steps",
            lambda t: (t["uniform image"] / ATTACK_STEPS) / (t["attack"] + t["uniform image"] / ATTACK_STEPS),
        ),
        (
            "attack step with uniform noise in each",
            lambda t: t["uniform image"] / (t["attack"] + t["uniform image"]),
        ),
        (
            "attack step with normal noise in each",
            lambda t: t["normal image"] / (t["attack"] + t["normal image"]),
        ),
    ]
    print()
    too_dear = False
    for name, share in shares:
        value = median(share)
        too_dear |= value >= LIMIT
        print(f"{value:7.2%}  {name}")
    return int(too_dear)


if __name__ == "__main__":
    sys.exit(main())
