"""Samples of a trained model, any number of them: a batch at a time, into one tensor or one file."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Generator, Tensor

from epslab import seeds
from epslab.errors import UserError
from epslab.evaluation.progress import Advance, progress_bar
from epslab.files import ARRAY, check_output, require_space, writing
from epslab.recipes.checks import at_least
from epslab.recipes.given import Given
from epslab.recipes.plan import Sampler
from epslab.recipes.running import planned_with_weights
from epslab.runs import Run

_BATCH = 256


def samples(run: Run, n: int, seed: int = 0, *, means: bool = False, model: Given | None = None) -> Iterator[Tensor]:
    """Samples of a trained model, a batch at a time: images [k c h w] in [0, 1], or points [k d].

    Args:
        run: A trained run.
        n: Number of samples in all.
        seed: The same seed gives the same samples.
        means: Give the mean of each image, not a draw of its pixels.
        model: Its model, for a run that ``fit`` wrote (``epslab.recipes.given``).

    Raises:
        UserError: Its model draws nothing, the run has no weights yet, or n < 1.
    """
    at_least(1, n=n)
    plan = planned_with_weights(run, model)
    draw = plan.means if means else plan.sample
    if draw is None:
        name, folder = run.config.get("recipe", type(plan.model).__name__), run.folder
        raise UserError(
            f"'{folder}' is a run of '{name}', whose model draws no {'means' if means else 'samples'}; try"
            f" `epslab {'sample' if means and plan.sample else 'evaluate'} {folder}`."
        )
    return _batches(draw, n, seeds.generator(seed, "samples"))


def _batches(draw: Sampler, n: int, generator: Generator) -> Iterator[Tensor]:
    for first in range(0, n, _BATCH):
        with torch.no_grad():
            yield draw(min(_BATCH, n - first), generator)


def sample(
    run: Run, n: int, seed: int = 0, *, means: bool = False, progress: bool = False, model: Given | None = None
) -> Tensor:
    """Samples of a trained model in one tensor, images [n c h w] or points [n d]; see ``samples``."""
    batches = samples(run, n, seed, means=means, model=model)
    with progress_bar("drawing", n, "samples", progress and n > _BATCH) as advance:
        return torch.cat([*_counted(batches, advance)])


def _counted(batches: Iterator[Tensor], advance: Advance) -> Iterator[Tensor]:
    for batch in batches:
        yield batch
        advance(len(batch))


def write_samples(
    run: Run,
    n: int,
    path: Path | str,
    seed: int = 0,
    *,
    means: bool = False,
    progress: bool = False,
    model: Given | None = None,
) -> Path:
    """Write samples into one NumPy file, which may hold more than memory does: ``np.load(path, mmap_mode="r")``.

    Args:
        run: A trained run.
        n: Number of samples.
        path: A file that ends in .npy. It gains images as bytes 0 … 255, [n c h w], or points as floats, [n d].
        seed: The same seed gives the same samples.
        means: Write the mean of each image, not a draw of its pixels.
        progress: Show a progress bar.
        model: Its model, for a run that ``fit`` wrote (``epslab.recipes.given``).

    Returns:
        The file.

    Raises:
        UserError: What ``samples`` refuses, a path that cannot be written, or too little disk.
    """
    file = check_output(path, ARRAY)
    drawn = map(_array, samples(run, n, seed, means=means, model=model))
    first = next(drawn)
    require_space(file.parent, n * first[0].nbytes, f"a file of {n:,} samples")
    file.parent.mkdir(parents=True, exist_ok=True)
    with writing(file) as output, progress_bar("drawing", n, "samples", progress and n > _BATCH) as advance:
        header = {
            "descr": np.lib.format.dtype_to_descr(first.dtype),
            "fortran_order": False,
            "shape": (n, *first.shape[1:]),
        }
        np.lib.format.write_array_header_1_0(output, header)
        for batch in (first, *drawn):
            output.write(batch.tobytes())
            advance(len(batch))
    return file


def _array(batch: Tensor) -> np.ndarray:
    """Images as bytes, points as floats."""
    if batch.ndim == 4:
        batch = batch.mul(255).round().clamp(0, 255).byte()
    return batch.cpu().numpy()
