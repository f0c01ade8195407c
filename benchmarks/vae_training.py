"""The course's VAE trained by the usual template and by epslab, in turn: time an epoch, loss curves.

    python benchmarks/vae_training.py --data-root FOLDER_WITH_MNIST [--images 12800] [--rounds 5] [--workers 0]

The template is the loop course notebooks are written with: a data set that turns one image at a time into a tensor, a
DataLoader over it, the default memory layout, torch's default Adam, Lightning with ``self.log`` in every step. Both
train the same network from the same weights on the same images; a round is one epoch of each, then the floor: the same
step's convolutions alone, forward and backward, in the layout epslab uses. Ratios are per round; medians are printed.
"""

import argparse
import logging
import multiprocessing
import statistics
import tempfile
import time
import warnings
from multiprocessing.connection import Connection
from pathlib import Path

import lightning
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from epslab import data, seeds
from epslab.data import ImageSet
from epslab.generative.vae import VAE
from epslab.generative.vae_objective import VAEObjective
from epslab.nets import ConvDecoder, ConvEncoder
from epslab.probability.likelihoods import Categorical
from epslab.training import Machine, fit

SHAPE, LEVELS, BATCH = (1, 28, 28), 16, 128


def course_vae() -> VAE:
    with seeds.seeded(0, "benchmark"):
        return VAE(ConvEncoder(SHAPE, 20, 32), ConvDecoder(SHAPE, 20, 32, LEVELS), Categorical(LEVELS))


class PerItem(Dataset[tuple[Tensor, int]]):
    """One image at a time: PIL image → float tensor → grey level."""

    def __init__(self, images: ImageSet) -> None:
        self.pixels, self.labels = images.pixels.numpy(), images.labels.tolist()

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        picture = Image.fromarray(self.pixels[index, 0], mode="L")
        tensor = torch.from_numpy(np.array(picture, copy=True)).unsqueeze(0).float().div(255)
        return (tensor * LEVELS).long().clamp(max=LEVELS - 1), self.labels[index]


class Template(lightning.LightningModule):
    """The VAE as templates write it: logits against levels by cross-entropy, KL by its formula, every step logged."""

    def __init__(self, vae: VAE) -> None:
        super().__init__()
        self.encoder, self.decoder = vae.encoder, vae.decoder
        self.losses: list[Tensor] = []
        self.seconds = 0.0

    def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
        levels, _ = batch
        mean, log_std = self.encoder(levels.float() / (LEVELS - 1))
        z = mean + log_std.exp() * torch.randn_like(mean)
        nll = F.cross_entropy(self.decoder(z), levels.squeeze(1), reduction="none").sum(dim=(1, 2))
        kl = 0.5 * ((2 * log_std).exp() + mean**2 - 1 - 2 * log_std).sum(dim=1)
        bits = (nll + kl).mean() / (np.prod(SHAPE) * np.log(2))
        self.log("train_reconstruction", nll.mean(), on_step=False, on_epoch=True)
        self.log("train_kl", kl.mean(), on_step=False, on_epoch=True)
        self.log("train_bits_per_dim", bits, on_step=True, on_epoch=True)
        self.losses.append(bits.detach())
        return bits

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=1e-3)

    def on_train_epoch_start(self) -> None:
        self.seconds = time.perf_counter()

    def on_train_epoch_end(self) -> None:
        self.seconds = time.perf_counter() - self.seconds


class TemplateSide:
    """An epoch by the template; the optimiser starts anew in each, as it does for epslab."""

    def __init__(self, images: ImageSet, workers: int, folder: Path) -> None:
        self.module = Template(course_vae())
        self.loader = DataLoader(PerItem(images), BATCH, shuffle=True, num_workers=workers)
        self.folder = folder

    def epoch(self) -> tuple[float, float]:
        self.module.losses.clear()
        lightning.Trainer(
            max_epochs=1,
            accelerator="cpu",
            default_root_dir=self.folder,
            enable_progress_bar=False,
            enable_model_summary=False,
        ).fit(self.module, self.loader)
        return self.module.seconds, torch.stack(self.module.losses).mean().item()


class EpslabSide:
    """An epoch by epslab, Lightning's overhead included."""

    def __init__(self, images: ImageSet, workers: int, folder: Path) -> None:
        self.vae, self.images, self.folder = course_vae(), images, folder

    def epoch(self) -> tuple[float, float]:
        run = fit(
            self.vae,
            VAEObjective(self.vae),
            self.images,
            self.images[:BATCH],
            out=self.folder,
            epochs=1,
            batch_size=BATCH,
            overwrite=True,
            machine=Machine("cpu"),
            progress=False,
        )
        return run.timing()["seconds"][-1], run.metrics()["train/bits_per_dim"][-1]


class FloorSide:
    """The convolutions of an epoch's steps, forward and backward, each on tensors of its own, in channels_last."""

    def __init__(self, images: ImageSet, workers: int, folder: Path) -> None:
        self.steps = -(-len(images) // BATCH)
        self.calls: list[tuple[nn.Module, Tensor, Tensor]] = []
        vae = course_vae().to(memory_format=torch.channels_last)
        layers = [m for m in vae.modules() if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d))]
        hooks = [layer.register_forward_hook(self._remember) for layer in layers]
        vae.decode(vae.encode(torch.rand(BATCH, *SHAPE))[0])
        for hook in hooks:
            hook.remove()

    def _remember(self, layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        first = not self.calls  # the image itself needs no gradient
        x, gradient = (torch.randn(t.shape).to(memory_format=torch.channels_last) for t in (inputs[0], output))
        self.calls.append((layer, x.requires_grad_(not first), gradient))

    def epoch(self) -> tuple[float, float]:
        start = time.perf_counter()
        for _ in range(self.steps):
            for layer, x, gradient in self.calls:
                layer.zero_grad()
                x.grad = None
                layer(x).backward(gradient)
        return time.perf_counter() - start, float("nan")


SIDES = {"template": TemplateSide, "epslab": EpslabSide, "floor": FloorSide}


def serve(name: str, connection: Connection, arguments: argparse.Namespace, folder: str) -> None:
    """One side in a process of its own, so that neither profits from what another sets up: an epoch a message."""
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    images = data.load("mnist", "train", arguments.data_root).take(arguments.images, 0)
    side = SIDES[name](images, arguments.workers, Path(folder) / name)
    connection.send(None)
    while connection.recv():
        connection.send(side.epoch())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-root", default=None, help="folder that holds mnist/")
    parser.add_argument("--images", type=int, default=12_800, help="training images an epoch")
    parser.add_argument("--rounds", type=int, default=5, help="epochs of each side")
    parser.add_argument("--workers", type=int, default=0, help="the template's loader processes")
    arguments = parser.parse_args()

    steps = -(-arguments.images // BATCH)
    print(f"{arguments.images} images, {steps} steps an epoch, batch {BATCH}, {torch.get_num_threads()} threads")
    print("epoch   template s   epslab s   floor s   template/epslab   epslab/floor   bits/dim: template   epslab")
    context, ends, rows = multiprocessing.get_context("spawn"), {}, []
    with tempfile.TemporaryDirectory() as folder:
        for name in SIDES:
            ends[name], end = context.Pipe()
            context.Process(target=serve, args=(name, end, arguments, folder), daemon=True).start()
            ends[name].recv()
        for epoch in range(1, arguments.rounds + 1):
            found = {}
            for name, end in ends.items():
                end.send(True)
                found[name] = end.recv()
            (theirs, theirs_bits), (ours, ours_bits), (floor, _) = (found[name] for name in SIDES)
            rows.append((theirs / ours, ours / floor))
            print(
                f"{epoch:5d} {theirs:12.2f} {ours:10.2f} {floor:9.2f} {rows[-1][0]:17.2f} {rows[-1][1]:14.2f}"
                f" {theirs_bits:20.3f} {ours_bits:8.3f}",
                flush=True,
            )
        for end in ends.values():
            end.send(False)
    faster, above = (statistics.median(column) for column in zip(*rows, strict=True))
    print(f"median: epslab is {faster:.2f}x faster than the template and takes {above:.2f}x its convolutions alone")


if __name__ == "__main__":
    main()
