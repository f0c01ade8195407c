import copy

import numpy as np
import pytest
import torch

from epslab import figures
from epslab.runs import Run

COURSE = {
    "recipe": "vae", "data": "mnist", "data_root": None, "seed": 0, "epochs": 3, "batch_size": 128, "latent_dim": 20,
    "net": "conv", "width": 32, "hidden": [500], "likelihood": "categorical", "levels": 16, "binarise": "none",
    "prior": "normal", "beta": 1.0, "free_bits": 0.0, "patience": None, "sample_epochs": [0, 10, 80],
}  # fmt: skip
_PAIRS = [f"{side}/{name}" for name in ("loss", "bits_per_dim", "reconstruction", "kl") for side in ("train", "val")]
METRICS = (
    f"epoch,{','.join(_PAIRS)}"
    + """
0,,2200,,4.0,,2199,,1.0
1,700,650,1.2,1.1,680,630,20,20
2,400,380,0.8,0.62,380,360,20,20
3,380,390,0.7,0.64,358,368,22,22
"""
)


def estimate(mean, error):
    return {"mean": mean, "standard_error": error, "n": 10000}


EVALUATION = {
    "split": "test",
    "images": 10000,
    "samples": 1,
    "importance_samples": 100,
    "prior_samples": None,
    "elbo": estimate(-292.31, 0.71),
    "importance_weighted": estimate(-287.42, 0.7),
    "bits_per_dim": estimate(0.53794, 0.00131),
    "latents": {"active_units": 14, "statement": "14 of 20 latent dimensions are active.", "kl_per_dimension": [1.0]},
}


@pytest.fixture
def make_run(tmp_path):
    """A run folder as training leaves it: settings, metrics, pictures and numbers, as far as asked for."""

    def make(name="first", metrics=METRICS, pictures=(), evaluation=None, **settings):
        run = Run.create(tmp_path / name, {**COURSE, **settings})
        if metrics:
            (run.folder / "metrics.csv").write_text(metrics)
        for picture in pictures:
            (run.figures / f"{picture}.png").write_bytes(figures.png(figures.image_grid(torch.zeros(4, 1, 8, 8))))
        if evaluation:
            run.update_result(evaluation=evaluation)
        return run

    return make


@pytest.fixture
def metrics():
    """``metrics.csv`` of three epochs, the second of them the best."""
    return METRICS


@pytest.fixture
def evaluation():
    """What an evaluation writes to ``result.json``; a copy to change at will."""
    return copy.deepcopy(EVALUATION)


@pytest.fixture
def noisy_grid():
    """A figure that compresses as badly as samples before training do."""
    levels = np.random.default_rng(0).integers(0, 16, (100, 1, 28, 28)) / 15
    return figures.image_grid(torch.tensor(levels, dtype=torch.float32), columns=10)
