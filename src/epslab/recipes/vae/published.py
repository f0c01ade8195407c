"""What others report for VAEs, where they say after how many epochs."""

from epslab.recipes.published import Fact

_COURSE = {
    "recipe": "vae", "data": "mnist", "net": ("auto", "conv"), "width": 32, "likelihood": "categorical", "levels": 16,
    "prior": "normal", "posterior": (None, "normal"), "beta": 1.0, "free_bits": 0.0, "binarise": "none",
    "init": (None, "torch"), "epochs": 80, "learning_rate": (None, 1e-3), "batch_size": (None, 128),
    "schedule": (None, "constant"), "half": (None, "all"), "ema_decay": None,
}  # fmt: skip

FACTS = (
    Fact("bits_per_dim", "0.536", "public run of the course's settings, 80 epochs", {**_COURSE, "latent_dim": 20}),
    Fact("bits_per_dim", "0.774", "public run of the course's settings, 80 epochs", {**_COURSE, "latent_dim": 2}),
)
"""Every quoted number."""
