"""Numbers published or measured elsewhere, each with the settings it belongs to: quoted for those settings only."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Fact:
    """A number somebody else reported.

    Args:
        quantity: What it is, by the names a run's results use (a key of its measurements, mostly).
        value: As it was reported, with "≈" where it was given so; its unit is the quantity's own.
        source: Who reported it, and for which settings.
        settings: Entries of a run's ``config.yaml`` it belongs to; a tuple lists the values that will do.
    """

    quantity: str
    value: str
    source: str
    settings: Mapping[str, object]


_COURSE = {
    "recipe": "vae",
    "data": "mnist",
    "net": ("auto", "conv"),
    "width": 32,
    "likelihood": "categorical",
    "levels": 16,
    "prior": "normal",
    "beta": 1.0,
    "free_bits": 0.0,
    "binarise": "none",
}
_PERCEPTRON = {
    "recipe": "vae",
    "data": "mnist",
    "net": "perceptron",
    "likelihood": "bernoulli",
    "prior": "normal",
    "beta": 1.0,
    "free_bits": 0.0,
}
_STATIC = {**_PERCEPTRON, "binarise": "static", "hidden": ([500],)}
_DYNAMIC = {**_PERCEPTRON, "binarise": "dynamic", "hidden": ([200, 200],)}

_COURSE_CLASSIFIER = {
    "recipe": "resnet18",
    "data": "cifar10",
    "stem": "cifar-pool",
    "optimiser": "sgd",
    "learning_rate": 5e-4,
    "schedule": "step",
    "batch_size": 64,
    "augment": "none",
    "weights": None,
    "defence": "none",
}
_PGD_TRAINED = {
    "recipe": "resnet18",
    "data": "cifar10",
    "defence": "adversarial-loss",
    "clean_weight": 0.0,
    "attack": "pgd",
    "norm": "linf",
    "radius": ("8/255", 8 / 255),
}

FACTS = (
    Fact("bits_per_dim", "0.536", "public run of the course's settings, 80 epochs", {**_COURSE, "latent_dim": 20}),
    Fact("bits_per_dim", "0.774", "public run of the course's settings, 80 epochs", {**_COURSE, "latent_dim": 2}),
    Fact("elbo", "≈ −103", "public run: hidden layer of 500, statically binarised MNIST", _STATIC),
    Fact("log_p", "≈ −97", "public run: hidden layer of 500, statically binarised MNIST", _STATIC),
    Fact("log_p", "−87.8 to −86.8", "public runs: two hidden layers of 200, a fresh binary draw an epoch", _DYNAMIC),
    Fact("accuracy", "58 %", "public run of the course's settings, from scratch", _COURSE_CLASSIFIER),
    Fact("accuracy", "≈ 84 %", "published PGD training of a ResNet-18 at 8/255", _PGD_TRAINED),
    Fact("log_p_iwae_trained", "≈ −84.6", "public run trained with the IWAE bound, K=50", _DYNAMIC),
)
"""Every quoted number. The likelihoods of differently binarised images are not comparable, hence the care."""


def matching(config: Mapping[str, Any]) -> tuple[Fact, ...]:
    """The facts whose settings all agree with this configuration."""
    return tuple(
        fact for fact in FACTS if all(_agrees(config.get(key), wanted) for key, wanted in fact.settings.items())
    )


def published(config: Mapping[str, Any], quantity: str) -> str:
    """What others report of a quantity for these settings, with the source; empty where nobody does."""
    return "; ".join(f"{fact.value} ({fact.source})" for fact in matching(config) if fact.quantity == quantity)


def _agrees(given: Any, wanted: object) -> bool:
    if isinstance(wanted, tuple):
        return any(_agrees(given, one) for one in wanted)
    if isinstance(wanted, list):
        return isinstance(given, list | tuple) and list(given) == wanted
    return bool(given == wanted)
