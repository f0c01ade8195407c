"""Published numbers, each quoted for the settings it belongs to and no others."""

import pytest

from epslab.recipes.published import FACTS, matching, published

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


def test_published_facts_are_those_of_the_reference():
    static = {"recipe": "vae", "data": "mnist", "net": "perceptron", "likelihood": "bernoulli", "prior": "normal",
              "beta": 1.0, "free_bits": 0.0, "binarise": "static", "hidden": [500]}  # fmt: skip
    assert [(fact.quantity, fact.value) for fact in matching(static)] == [("elbo", "≈ −103"), ("log_p", "≈ −97")]
    assert matching({**static, "hidden": [200, 200]}) == ()
    assert matching({}) == ()
    assert all(fact.source and fact.settings["data"] in ("mnist", "cifar10") for fact in FACTS)
