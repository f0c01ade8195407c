"""Published numbers, each quoted for the settings it belongs to and no others."""

import pytest

from epslab.recipes.classifier.published import FACTS as OF_CLASSIFIERS
from epslab.recipes.published import with_published
from epslab.recipes.vae.published import FACTS
from epslab.runs import Measured, Measurement


def published(config, key):
    """What is quoted for one measurement of a run with this configuration."""
    (found,) = with_published(Measured([Measurement(key, key, value=1.0)]), FACTS, config).measurements
    return found.published


COURSE = {
    "recipe": "vae", "data": "mnist", "latent_dim": 20, "net": "conv", "width": 32, "hidden": [500],
    "likelihood": "categorical", "levels": 16, "binarise": "none", "prior": "normal", "beta": 1.0, "free_bits": 0.0,
}  # fmt: skip


@pytest.mark.parametrize(
    "changed",
    [{"data": "digits"}, {"levels": 2}, {"latent_dim": 3}, {"net": "perceptron"}, {"beta": 2.0}, {"width": 16}],
)
def test_published_numbers_are_quoted_for_their_settings_only(changed):
    assert published(COURSE, "bits_per_dim") == "0.536 (public run of the course's settings, 80 epochs)"
    assert published(COURSE, "accuracy") == ""
    assert published({**COURSE, **changed}, "bits_per_dim") == ""


def test_initial_weights_count_and_runs_without_that_setting_have_torchs():
    assert published({**COURSE, "init": "torch"}, "bits_per_dim").startswith("0.536 ")
    assert published({**COURSE, "init": "he"}, "bits_per_dim") == ""


def test_published_facts_are_those_of_the_reference():
    static = {"recipe": "vae", "data": "mnist", "net": "perceptron", "likelihood": "bernoulli", "prior": "normal",
              "beta": 1.0, "free_bits": 0.0, "binarise": "static", "hidden": [500]}  # fmt: skip
    quoted = {key: published(static, key).partition(" (")[0] for key in ("elbo", "importance_weighted", "kl")}
    assert quoted == {"elbo": "≈ −103", "importance_weighted": "≈ −97", "kl": ""}
    for other in ({**static, "hidden": [200, 200]}, {}):
        assert not any(published(other, fact.key) for fact in FACTS)
    assert all(fact.source and fact.settings["data"] == "mnist" for fact in FACTS)
    assert all(fact.source and fact.settings["data"] == "cifar10" for fact in OF_CLASSIFIERS)
