"""A VAE trained and measured by Pythae and by epslab, in turn: time an epoch, time of the importance-weighted bound.

    pip install pythae==0.1.2
    python benchmarks/vae_pythae.py [--data mnist] [--data-root FOLDER] [--images 12800] [--threads 1] [--clock cpu]

Both train the same network from the same weights on the same binary images (threshold ½), with Bernoulli pixels, Adam
at 1e-3 and batches of 128: Pythae by its own trainer (``BaseTrainer``), epslab by ``fit``, once in float32 and once in
bfloat16 (``--precision bf16-mixed``). A round is one epoch of each, whose order changes from round to round; ratios are
taken within a round. The bound is that of one trained model, K draws per image in float32, by Pythae's ``get_nll``
(which takes one image at a time, K draws in one batch, through the encoder, too) and by ``importance_weighted``. Both
values are printed and must agree within 2 %. Where the arithmetic of K passes through the decoder is all there is to
do, as with many draws on a processor, no code can be much faster than twice as fast; few draws leave more to gain.

On a machine that is used by others, ``--clock cpu`` counts the processor's time in place of the wall's.
"""

import argparse
import copy
import logging
import math
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from epslab import data, seeds
from epslab.data import ImageSet, binarise
from epslab.generative import VAE, VAEObjective
from epslab.nets import ConvDecoder, ConvEncoder, PerceptronDecoder, PerceptronEncoder
from epslab.probability.bounds import importance_weighted
from epslab.probability.likelihoods import Bernoulli
from epslab.training import Machine, fit

LATENT_DIM, BATCH, LEARNING_RATE = 20, 128, 1e-3
NETS: dict[str, tuple[type[nn.Module], type[nn.Module], Any]] = {
    "perceptron": (PerceptronEncoder, PerceptronDecoder, (500,)),
    "convolutions": (ConvEncoder, ConvDecoder, 32),
}
Clock = Callable[[], float]


def network(name: str, shape: tuple[int, int, int]) -> tuple[nn.Module, nn.Module]:
    """The pair with weights that depend on its name alone."""
    encoder, decoder, size = NETS[name]
    with seeds.seeded(0, "benchmark"):
        return encoder(shape, LATENT_DIM, size), decoder(shape, LATENT_DIM, size)


def pythae_model(encoder: nn.Module, decoder: nn.Module, shape: tuple[int, int, int]) -> Any:
    """Pythae's VAE around these two."""
    from pythae import models
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder

    class Encoder(BaseEncoder):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.net = encoder

        def forward(self, x: Tensor) -> Any:
            mean, log_std = self.net(x)
            return ModelOutput(embedding=mean, log_covariance=2 * log_std)

    class Decoder(BaseDecoder):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.net = decoder

        def forward(self, z: Tensor) -> Any:
            return ModelOutput(reconstruction=self.net(z).sigmoid())

    config = models.VAEConfig(input_dim=shape, latent_dim=LATENT_DIM, reconstruction_loss="bce")
    return models.VAE(config, Encoder(), Decoder())


def pythae_epoch(model: Any, images: ImageSet, folder: Path, clock: Clock) -> float:
    """One epoch by Pythae's trainer; its set-up is not counted."""
    from pythae.data.datasets import BaseDataset
    from pythae.trainers import BaseTrainer, BaseTrainerConfig

    config = BaseTrainerConfig(
        output_dir=str(folder), num_epochs=1, learning_rate=LEARNING_RATE, per_device_train_batch_size=BATCH
    )
    trainer = BaseTrainer(model, BaseDataset(images.images, images.labels), training_config=config)
    trainer.prepare_training()
    start = clock()
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        trainer.train_step(1)
    return clock() - start


def epslab_epoch(vae: VAE, images: ImageSet, folder: Path, clock: Clock, precision: str) -> float:
    """One epoch by ``fit``: from the first batch to the last, with what is logged on the way."""
    times: list[float] = []

    def on_epoch(*_: object) -> None:
        times.append(clock())

    fit(
        vae, VAEObjective(vae), images, images[:BATCH], out=folder, epochs=1, batch_size=BATCH, overwrite=True,
        learning_rate=LEARNING_RATE, machine=Machine("cpu", precision=precision), progress=False, on_epoch=on_epoch,
    )  # fmt: skip
    return times[1] - times[0]


def bounds(
    vae: VAE, theirs: Any, images: Tensor, few: int, samples: int, clock: Clock
) -> tuple[float, float, float, float]:
    """Seconds per image of Pythae and of epslab, and the bound of the same few images by each, in nats."""
    theirs.eval()
    start = clock()
    with torch.no_grad():
        their_bound = float(theirs.get_nll(images[:few], n_samples=samples, batch_size=samples))
    middle = clock()
    own = importance_weighted(vae.eval(), images, samples, seeds.generator(0, "benchmark"))
    end = clock()
    return (middle - start) / few, (end - middle) / len(images), their_bound, own[:few].mean().item()


def compare(name: str, images: ImageSet, asked: argparse.Namespace, clock: Clock) -> list[float]:
    """All sides in turn; the medians of the ratios: an epoch, one in bfloat16, the bound."""
    encoder, decoder = network(name, images.image_shape)
    theirs = pythae_model(copy.deepcopy(encoder), copy.deepcopy(decoder), images.image_shape)
    vae = VAE(encoder, decoder, Bernoulli(), latent_dim=LATENT_DIM)
    half = copy.deepcopy(vae)
    training, likelihood, bf16 = [], [], []
    print(f"\n{name}: {sum(p.numel() for p in vae.parameters()):,} parameters")
    with tempfile.TemporaryDirectory() as folder:
        for round_ in range(asked.rounds):
            sides: list[Callable[[], float]] = [
                lambda: pythae_epoch(theirs, images, Path(folder) / "pythae", clock),
                lambda: epslab_epoch(vae, images, Path(folder) / "epslab", clock, "32-true"),
                lambda: epslab_epoch(half, images, Path(folder) / "bfloat16", clock, "bf16-mixed"),
            ]
            order = (0, 1, 2) if round_ % 2 == 0 else (2, 1, 0)
            seconds = {i: sides[i]() for i in order}
            training.append(seconds[0] / seconds[1])
            bf16.append(seconds[0] / seconds[2])
            print(
                f"epoch {round_ + 1}: Pythae {seconds[0]:6.2f} s, epslab {seconds[1]:6.2f} s ({training[-1]:4.2f}x), in"
                f" bfloat16 {seconds[2]:6.2f} s ({bf16[-1]:4.2f}x)"
            )
    measured = images[: asked.measured].images
    for _ in range(asked.rounds):
        # Pythae's model gets epslab's weights, so that both measure the same.
        theirs.encoder.net.load_state_dict(vae.encoder.state_dict())
        theirs.decoder.net.load_state_dict(vae.decoder.state_dict())
        slow, fast, their_bound, own = bounds(vae, theirs, measured, asked.few, asked.samples, clock)
        likelihood.append(slow / fast)
        print(
            f"log p, K={asked.samples}: Pythae {1e3 * slow:7.2f} ms an image ({their_bound:.2f} nats), epslab"
            f" {1e3 * fast:7.2f} ms ({own:.2f} nats), {likelihood[-1]:5.2f}x"
        )
        assert math.isclose(their_bound, own, rel_tol=0.02), "the two bounds differ"
    return [statistics.median(ratios) for ratios in (training, bf16, likelihood)]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", default="mnist", help="data set of grey images")
    parser.add_argument("--data-root", default=None, help="folder of all data sets")
    parser.add_argument("--images", type=int, default=12_800, help="training images an epoch")
    parser.add_argument("--measured", type=int, default=256, help="images whose bound epslab measures")
    parser.add_argument("--few", type=int, default=32, help="images whose bound Pythae measures, one at a time")
    parser.add_argument("--samples", type=int, default=100, help="draws K per image")
    parser.add_argument("--rounds", type=int, default=3, help="epochs of each side, and measurements")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--nets", nargs="+", choices=NETS, default=list(NETS))
    asked = parser.parse_args(arguments)
    torch.set_num_threads(asked.threads)
    logging.disable(logging.WARNING)
    whole = data.load(asked.data, "train", asked.data_root)
    images = binarise(whole.take(min(asked.images, len(whole)), 0), "threshold")
    print(f"{len(images):,} images of {asked.data}, batch {BATCH}, {asked.threads} threads, {asked.clock} clock")
    clock = time.perf_counter if asked.clock == "wall" else time.process_time
    found = {name: compare(name, images, asked, clock) for name in asked.nets}
    print()
    for name, (training, bf16, likelihood) in found.items():
        print(f"{name}: an epoch {training:.2f}x as fast, in bfloat16 {bf16:.2f}x, log p {likelihood:.1f}x (medians)")


if __name__ == "__main__":
    main()
