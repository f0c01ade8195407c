"""Small models, objectives and sets that train in a second; functions that child processes run."""

import os
import signal
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from epslab import seeds
from epslab.data import ImageSet
from epslab.runs import Run
from epslab.training import Limits, Machine, Optimisation, Turn, fit
from epslab.types import Batch, Progress

torch.set_num_threads(1)


def images(n: int, seed: int, side: int = 6) -> ImageSet:
    """Random images whose label is that of their brighter half."""
    pixels = torch.randint(0, 256, (n, 1, side, side), generator=seeds.generator(seed, "test"), dtype=torch.uint8)
    labels = (pixels[..., : side // 2].sum((1, 2, 3)) > pixels[..., side // 2 :].sum((1, 2, 3))).long()
    return ImageSet(pixels, labels, ("right", "left"))


class Denoiser(nn.Module):
    """Convolutions with everything a resume can get wrong: BatchNorm's buffers, dropout's generator."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.dropout = nn.Dropout(0.2)
        self.last = nn.Conv2d(4, 1, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.dropout(F.gelu(self.norm(self.first(x)))))


class Pair(nn.Module):
    """A generator and a discriminator."""

    def __init__(self) -> None:
        super().__init__()
        self.generator = nn.Linear(3, 36)
        self.discriminator = nn.Sequential(nn.Linear(36, 5), nn.GELU(), nn.Linear(5, 1))


def seeded(build: Callable[[], nn.Module], seed: int = 0) -> nn.Module:
    """The model with weights that depend on the seed alone."""
    model = build()
    generator = seeds.generator(seed, "weights")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.2)
    return model


def denoising(model: nn.Module, before: Callable[[Batch, Progress], None] | None = None) -> Any:
    def objective(batch: Batch, progress: Progress) -> Mapping[str, Tensor]:
        if before is not None:
            before(batch, progress)
        noisy = batch.images + 0.3 * seeds.noise(batch.seeds, 0, tuple(batch.images.shape[1:]))
        loss = (model(noisy) - batch.images).square().flatten(1).sum(1)
        return {"loss": loss, "brightness": batch.images.flatten(1).mean(1)}

    return objective


def adversarial(model: Pair, before: Callable[[Batch, Progress], None] | None = None) -> dict[str, Turn]:
    def fake(batch: Batch) -> Tensor:
        return torch.sigmoid(model.generator(seeds.noise(batch.seeds, 1, (3,))))

    def discriminate(batch: Batch, progress: Progress) -> Mapping[str, Tensor]:
        if before is not None:
            before(batch, progress)
        real = F.softplus(-model.discriminator(batch.images.flatten(1)))
        return {"loss": (real + F.softplus(model.discriminator(fake(batch).detach()))).squeeze(1)}

    def generate(batch: Batch, progress: Progress) -> Mapping[str, Tensor]:
        return {"loss": F.softplus(-model.discriminator(fake(batch))).squeeze(1)}

    decay: Any = lambda optimiser, steps: torch.optim.lr_scheduler.LambdaLR(  # noqa: E731
        optimiser, lambda step: 1.0 - step / (2 * steps)
    )
    return {
        "critic": Turn(discriminate, model.discriminator, partial(torch.optim.SGD, lr=0.05, momentum=0.9), decay),
        "generator": Turn(generate, model.generator, every=2),
    }


def train(kind: str, out: Path, before: Callable[[Batch, Progress], None] | None = None, **arguments: Any) -> Run:
    """Train one of the two samples: 3 epochs of 13 batches, the last of them short."""
    sets = images(100, 1), images(30, 2)
    arguments = {"epochs": 3, "batch_size": 8, "seed": 5, "progress": False, "machine": Machine("cpu"), **arguments}
    if kind == "denoiser":
        model = seeded(Denoiser)
        decay: Any = lambda optimiser, steps: torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)  # noqa: E731
        options = {"optimisation": Optimisation(schedule=decay, gradient_clip=1.0, average=0.9)}
        return fit(model, denoising(model, before), *sets, out=out, **{**options, **arguments})
    model = seeded(Pair)
    options = {"monitor": "val/critic/loss"}
    return fit(model, adversarial(model, before), *sets, out=out, **{**options, **arguments})


def train_and_die(kind: str, out: Path, moment: str, count: int, minutes: float) -> None:
    """Train or go on training, and die by SIGKILL at the count-th such moment; "never": at none.

    Moments: "batch" (an objective is evaluated), "save" (a checkpoint is half written), "fsync" (a file is written,
    not in place), "replace" (a file is about to be put into place), "replaced" (it just was).
    """
    calls = 0

    def die_at(event: str) -> None:
        nonlocal calls
        calls += event == moment
        if event == moment and calls == count:
            os.kill(os.getpid(), signal.SIGKILL)

    save, fsync, replace = torch.save, os.fsync, Path.replace

    def half_save(checkpoint: Any, file: Any) -> None:
        if moment == "save" and calls + 1 == count:
            file.write(b"PK\x03\x04 half a checkpoint")
            file.flush()
        die_at("save")
        save(checkpoint, file)

    def dying_fsync(descriptor: int) -> None:
        fsync(descriptor)
        die_at("fsync")

    def dying_replace(path: Path, target: Path) -> Path:
        die_at("replace")
        result = replace(path, target)
        die_at("replaced")
        return result

    torch.save, os.fsync, Path.replace = half_save, dying_fsync, dying_replace  # type: ignore[assignment]
    train(kind, out, lambda batch, progress: die_at("batch"), resume=True, limits=Limits(checkpoint_minutes=minutes))
