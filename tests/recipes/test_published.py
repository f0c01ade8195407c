"""Published numbers, each quoted for the settings it belongs to and no others."""

import pytest
import torch

from epslab.recipes.classifier.published import FACTS as OF_CLASSIFIERS
from epslab.recipes.published import Fact, trained_as, with_published
from epslab.recipes.vae.published import FACTS
from epslab.runs import Measured, Measurement, Run, write_table


def published(config, key, facts=FACTS):
    """What is quoted for one measurement of a run with this configuration."""
    (found,) = with_published(Measured([Measurement(key, key, value=1.0)]), facts, config).measurements
    return found.published


COURSE = {
    "recipe": "vae", "data": "mnist", "latent_dim": 20, "net": "conv", "width": 32, "hidden": [500], "epochs": 80,
    "likelihood": "categorical", "levels": 16, "binarise": "none", "prior": "normal", "beta": 1.0, "free_bits": 0.0,
}  # fmt: skip
CLASSIFIER = {
    "recipe": "resnet18", "data": "cifar10", "stem": "cifar-pool", "optimiser": "sgd", "learning_rate": 5e-4,
    "schedule": "step", "batch_size": 64, "augment": "none", "weights": None, "defence": "none", "epochs": 30,
    "momentum": 0.9, "weight_decay": 0.0,
}  # fmt: skip


@pytest.mark.parametrize(
    "changed",
    [
        {"data": "digits"}, {"levels": 2}, {"latent_dim": 3}, {"net": "perceptron"}, {"beta": 2.0}, {"width": 16},
        {"learning_rate": 0.5}, {"batch_size": 4}, {"epochs": 2}, {"epochs": 79}, {"epochs": 81}, {"half": "A"},
    ],
)  # fmt: skip
def test_published_numbers_are_quoted_for_their_settings_only(changed):
    assert published(COURSE, "bits_per_dim") == "0.536 (public run of the course's settings, 80 epochs)"
    assert published(COURSE | {"latent_dim": 2}, "bits_per_dim").startswith("0.774 ")
    assert published(COURSE, "accuracy") == ""
    assert published({**COURSE, **changed}, "bits_per_dim") == ""
    assert published(CLASSIFIER, "accuracy", OF_CLASSIFIERS).startswith("58 % ")
    assert published(CLASSIFIER | {"epochs": 2}, "accuracy", OF_CLASSIFIERS) == ""


def test_initial_weights_count_and_runs_without_that_setting_have_torchs():
    assert published({**COURSE, "init": "torch"}, "bits_per_dim").startswith("0.536 ")
    assert published({**COURSE, "init": "he"}, "bits_per_dim") == ""


def test_the_epochs_that_count_are_those_completed(tmp_path):
    """A run of 80 epochs that was stopped after 2 is no run of 80 epochs."""
    run = Run.create(tmp_path / "run", COURSE)
    run.save_weights({"w": torch.zeros(1)})
    for done, quoted in ((0, False), (2, False), (80, True)):
        rows = [{"epoch": epoch, "val/loss": 1.0} for epoch in range(done + 1)]
        write_table(run.folder / "metrics.csv", ["epoch", "val/loss"], rows)
        assert trained_as(run)["epochs"] == done
        assert bool(published(trained_as(run), "bits_per_dim")) is quoted


def test_every_fact_says_after_how_many_epochs_it_was_reported():
    with pytest.raises(ValueError, match="does not say after how many epochs"):
        Fact("accuracy", "99 %", "somebody", {"recipe": "resnet18"})
    assert all(fact.source and fact.settings["data"] == "mnist" for fact in FACTS)
    assert all(fact.source and fact.settings["data"] == "cifar10" for fact in OF_CLASSIFIERS)
