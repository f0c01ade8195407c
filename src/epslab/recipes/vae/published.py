"""What others report for VAEs; likelihoods compare only between images that were made binary in the same way."""

from epslab.recipes.published import Fact

_COURSE = {
    "recipe": "vae", "data": "mnist", "net": ("auto", "conv"), "width": 32, "likelihood": "categorical", "levels": 16,
    "prior": "normal", "beta": 1.0, "free_bits": 0.0, "binarise": "none", "init": (None, "torch"),
}  # fmt: skip
_PERCEPTRON = {
    "recipe": "vae", "data": "mnist", "net": "perceptron", "likelihood": "bernoulli", "prior": "normal", "beta": 1.0,
    "free_bits": 0.0,
}  # fmt: skip
_STATIC = {**_PERCEPTRON, "binarise": "static", "hidden": ([500],)}
_DYNAMIC = {**_PERCEPTRON, "binarise": "dynamic", "hidden": ([200, 200],)}

FACTS = (
    Fact("bits_per_dim", "0.536", "public run of the course's settings, 80 epochs", {**_COURSE, "latent_dim": 20}),
    Fact("bits_per_dim", "0.774", "public run of the course's settings, 80 epochs", {**_COURSE, "latent_dim": 2}),
    Fact("elbo", "≈ −103", "public run: hidden layer of 500, statically binarised MNIST", _STATIC),
    Fact("importance_weighted", "≈ −97", "public run: hidden layer of 500, statically binarised MNIST", _STATIC),
    Fact(
        "importance_weighted",
        "−87.8 to −86.8",
        "public runs: two hidden layers of 200, a fresh binary draw every epoch",
        _DYNAMIC,
    ),
)
"""Every quoted number."""
