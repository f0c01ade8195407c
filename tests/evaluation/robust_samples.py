"""Models, attacks and a script's main, for the tests of robustness; importable in processes of their own."""

import json
import os
import signal
import sys
import time
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from epslab.attacks import FGSM, PGD, Attack, Attacked, RandomNoise
from epslab.data import load
from epslab.errors import UserError
from epslab.evaluation import RadiusSweep, RobustnessReport, evaluate_robustness
from epslab.evaluation.findings import evidence
from epslab.evaluation.findings.evidence import reference_attacks
from epslab.geometry import Ball, Linf
from epslab.seeds import generator as stream_of
from epslab.seeds import seeded, uniform
from epslab.types import Classifier, Images, Labels, Logits


class Linear(nn.Module):
    """Two classes, z = (−s, s) with s = w·x + b: its optimal perturbation is known."""

    def __init__(self, weight: Tensor, bias: float = 0.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(torch.tensor(bias, dtype=weight.dtype))

    def forward(self, images: Images) -> Logits:
        s = images.flatten(1) @ self.weight + self.bias
        return torch.stack([-s, s], 1)


def linear_task(n: int = 40, dtype: torch.dtype = torch.float32) -> tuple[Linear, Images, Labels]:
    """A linear model, 8-bit images in the middle of the box, and labels it mostly gets right."""
    generator = stream_of(3, "linear-task")
    weight = torch.randn(12, generator=generator, dtype=torch.float64)
    pixels = torch.randint(64, 192, (n, 3, 2, 2), generator=generator, dtype=torch.uint8)
    x = pixels.to(dtype) / 255
    model = Linear(weight.to(dtype), float(-weight.sum() / 2))
    y = (model(x)[:, 1] > 0).long()
    y[:3] = 1 - y[:3]  # these the model gets wrong
    return model, x, y


@cache
def digits() -> tuple[Images, Labels]:
    """200 digits that ``trained`` has not seen."""
    test = load("digits", "test")[:200]
    return test.images, test.labels


@cache
def trained() -> nn.Module:
    """A small net, trained for a moment on digits."""
    data = load("digits", "train")
    x, y = data.images, data.labels
    with seeded(0, "robust-samples"):
        net = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.GELU(), nn.Linear(32, 10))
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    draws = stream_of(0, "robust-samples", "batches")
    for _ in range(150):
        rows = torch.randint(len(x), (256,), generator=draws)
        optimizer.zero_grad()
        F.cross_entropy(net(x[rows]), y[rows]).backward()
        optimizer.step()
    optimizer.zero_grad()
    return net


@dataclass(frozen=True)
class Push:
    """A fake attack that satisfies the protocol: moves each image by ± radius, by its own seed."""

    ball: Ball

    @property
    def norm(self) -> str:
        return str(self.ball.norm)

    @property
    def radius(self) -> float:
        return float(self.ball.radius)

    def part(self, index: Tensor) -> "Push":
        return self

    def thorough(self) -> "Push":
        return self

    def __call__(
        self,
        model: Classifier,
        images: Images,
        labels: Labels,
        *,
        generator: Generator | None = None,
        seeds: Tensor | None = None,
    ) -> Attacked:
        assert seeds is not None
        u = uniform(seeds, 0, tuple(images.shape[1:]), images.dtype)
        step = torch.where(u < 0.5, -1.0, 1.0).to(images.dtype) * 2 * float(self.ball.radius)
        x = self.ball.project(images + step, images).clamp(0, 1)
        with torch.no_grad():
            success = model(x).argmax(1) != labels
        ones = torch.ones_like(labels)
        return Attacked(x, success, self.ball.distance(x, images), ones, 0 * ones)


@dataclass(frozen=True)
class Nearest(Push):
    """FGSM's image, drawn back to just beyond the boundary."""

    ball: Ball

    def __call__(
        self,
        model: Classifier,
        images: Images,
        labels: Labels,
        *,
        generator: Generator | None = None,
        seeds: Tensor | None = None,
    ) -> Attacked:
        far = FGSM(self.ball)(model, images, labels, seeds=seeds)
        low, high = torch.zeros(len(labels)), torch.ones(len(labels))
        for _ in range(20):
            middle = (low + high) / 2
            wrong = model(torch.lerp(images, far.images, middle[:, None, None, None])).argmax(1) != labels
            low, high = torch.where(wrong, low, middle), torch.where(wrong, middle, high)
        x = torch.lerp(images, far.images, high[:, None, None, None]).detach()
        return far._replace(images=torch.where(far.success[:, None, None, None], x, far.images))


ATTACKS: dict[str, Attack] = {"noise": RandomNoise(Linf(0.1)), "fgsm": FGSM(Linf(0.1)), "pgd": PGD(Linf(0.1), steps=5)}


def evaluate(out: Path | None = None, *, n: int = 70, **arguments: Any) -> RobustnessReport:
    """A small evaluation: n digits in batches of 20, and a sweep; no findings unless asked for."""
    x, y = digits()
    options: dict[str, Any] = {"batch_size": 20, "seed": 4, "sweep": RadiusSweep(radii=(0.05, 0.1, 0.2), attack=FGSM)}
    options = options | {"findings": False} | arguments
    return evaluate_robustness(trained(), x[:n], y[:n], ATTACKS, out=out, **options)


@cache
def evaluated() -> RobustnessReport:
    """The report of ``evaluate()``."""
    return evaluate()


def evaluate_and_die(out: Path, flushes: int, n: int) -> None:
    """As ``evaluate``, resuming what is there; killed in the middle of writing file number ``flushes``."""
    flush, count = os.fsync, 0

    def die(handle: int) -> None:
        nonlocal count
        count += 1
        if count == flushes:
            os.kill(os.getpid(), signal.SIGKILL)
        flush(handle)

    os.fsync = die
    evaluate(out, resume=True, n=n)


def few(ball: Ball) -> dict[str, Attack]:
    """The checks' own attacks with hardly a step, where they are not the subject."""
    return {name: FGSM(ball) if name == "one-step" else PGD(ball, steps=2) for name in reference_attacks(ball)}


def main(out: Path) -> None:
    """On two processes; each writes down its report, how many examples of each job were its own, and two refusals."""
    told: Counter[str] = Counter()

    def on_batch(job: str, examples: int, right: int | None, fresh: bool) -> None:
        told[job] += examples

    def fail_once(job: str, examples: int, right: int | None, fresh: bool) -> None:
        if rank == "1":
            raise UserError("out of luck")

    evidence.reference_attacks = few
    several: dict[str, Any] = {"devices": 2, "accelerator": "cpu", "strategy": "ddp", "n": 50}
    report = evaluate(out, findings=True, on_batch=on_batch, **several)
    rank = os.environ.get("LOCAL_RANK", "0")
    sentences = []
    for folder, hook in ((out, None), (out.with_name("failing"), fail_once)):
        try:
            evaluate(folder, on_batch=hook, **several)
        except UserError as error:
            sentences.append(str(error))
    (out / f"share-{rank}.json").write_text(json.dumps((report.to_dict(), told, sentences)))


@dataclass(frozen=True)
class Endless(Push):
    """Writes down that it has begun, and does not come to an end by itself."""

    out: Path = Path()

    def __call__(self, *given: Any, **rest: Any) -> Attacked:
        (self.out / f"begun-{os.environ.get('LOCAL_RANK', '0')}").touch()
        while True:
            time.sleep(0.01)


def wait_for_ever(out: Path) -> None:
    """On two processes, until one is killed; writes down the sentence the other ends with."""
    rank = os.environ.get("LOCAL_RANK", "0")
    (out / f"pid-{rank}").write_text(str(os.getpid()))
    x, y = digits()
    try:
        evaluate_robustness(
            trained(), x[:40], y[:40], {"endless": Endless(Linf(0.1), out)}, out=out / "results", batch_size=10,
            sweep=None, findings=False, devices=2, accelerator="cpu", strategy="ddp",
        )  # fmt: skip
    except UserError as error:
        (out / f"sentence-{rank}").write_text(str(error))
        sys.exit(2)


def wait_as(rank: int, port: int, out: Path) -> None:
    """As ``wait_for_ever``, in a process that something else than Fabric has started."""
    os.environ |= {"LOCAL_RANK": str(rank), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    wait_for_ever(out)


if __name__ == "__main__":
    main(Path(sys.argv[1]) / "two")
    wait_for_ever(Path(sys.argv[1]))
