import numpy as np
import pytest
import torch

from epslab import figures
from epslab.runs import Column, Measured, Measurement, Run

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


COLUMNS = {
    "bits_per_dim": Column("Negative ELBO", "bits/dim", "lower"),
    "reconstruction": Column("Reconstruction", "nats", "lower"),
    "kl": Column("KL to the prior", "nats"),
}
BITS = Measurement(
    "bits_per_dim", "negative ELBO", "bits/dim", 0.53794, standard_error=0.00131, better="lower", headline=True,
    note="upper bound", published="0.536 (a public run)",
)  # fmt: skip
MEASURED = Measured(
    [
        BITS,
        Measurement("log_p", "importance-weighted bound", "nats", -287.42, standard_error=0.7, better="higher"),
        Measurement("active_units", "active latent dimensions", value=14),
    ],
    statements=["14 of 20 latent dimensions are active."],
    conditions="16 grey levels",
)


@pytest.fixture
def make_run(tmp_path):
    """A run folder as training leaves it: settings, metrics, captioned pictures and numbers, as far as asked for."""

    def make(name="first", metrics=METRICS, pictures=(), measured=None, columns=COLUMNS, **settings):
        run = Run.create(tmp_path / name, {**COURSE, **settings})
        run.update_result(monitor="val/bits_per_dim")
        run.declare(columns)
        if metrics:
            (run.folder / "metrics.csv").write_text(metrics)
        for picture in pictures:
            run.show(picture, figures.image_grid(torch.zeros(4, 1, 8, 8)), f"What to see in {picture}.")
        if measured:
            run.record(measured, split="test", images=10000)
        return run

    return make


@pytest.fixture
def metrics():
    """``metrics.csv`` of three epochs, the second of them the best."""
    return METRICS


@pytest.fixture
def measured():
    """What was measured of the first run."""
    return MEASURED


@pytest.fixture
def noisy_grid():
    """A figure that compresses as badly as samples before training do."""
    levels = np.random.default_rng(0).integers(0, 16, (100, 1, 28, 28)) / 15
    return figures.image_grid(torch.tensor(levels, dtype=torch.float32), columns=10)
