"""The command line on a classifier: from flags to page, and what concerns only other models refused."""

import dataclasses
from pathlib import Path

import pytest
import yaml

from epslab.cli import main
from epslab.recipes import ResNet18Recipe, SmallCNNRecipe
from epslab.recipes.table import name_of
from epslab.runs import Run, percent

TINY = ("--epochs", "2", "--width", "4", "--batch-size", "64", "--accelerator", "cpu")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained") / "run"
    assert main(["train", "small-cnn", *TINY, "--radius", "8/255", "--out", str(folder)]) == 0
    return folder


def test_training_says_its_validation_accuracy_and_what_comes_next(epslab):
    outcome = epslab("train", "small-cnn", *TINY)
    wrong = min(Run.open("runs/small-cnn-digits").metrics()["val/error"])
    assert f"Error {percent(wrong)} on the validation images at the best epoch" in outcome.out
    for verb in ("evaluate", "attack", "report"):
        assert f"  epslab {verb} runs/small-cnn-digits\n" in outcome.out
    assert "epslab sample" not in outcome.out


def test_evaluation_prints_the_accuracy_with_its_interval(epslab, trained):
    outcome = epslab("evaluate", trained, "--split", "validation")
    result = Run.open(trained).result()
    share = result["measurements"]["accuracy"]
    value, low, high = (100 * number for number in (share["value"], *share["interval"]))
    assert f"Accuracy {value:.1f} % [{low:.1f}, {high:.1f}] on {result['images']} validation images" in outcome.out
    for text in ("cross-entropy", "nats", "expected calibration error", f"epslab report {trained}"):
        assert text in outcome.out
    assert "bits/dim" not in outcome.out
    assert epslab("report", trained, "--out", "page.html").code == 0


def test_a_fraction_stays_one_and_its_run_repeats(epslab, trained):
    settings = yaml.safe_load((trained / "config.yaml").read_text())
    assert settings["radius"] == "8/255"
    assert epslab("train", "--config", trained, "--out", "again").code == 0
    assert Path("again/metrics.csv").read_bytes() == (trained / "metrics.csv").read_bytes()


@pytest.mark.parametrize("recipe", [SmallCNNRecipe, ResNet18Recipe])
def test_the_help_names_every_setting_with_what_it_means(epslab, recipe):
    text = " ".join(epslab("train", name_of(recipe), "--help").out.split())
    for field in dataclasses.fields(recipe):
        assert f"--{field.name.replace('_', '-')} " in text
    assert "Radius of the attack's ball, in units of the pixel range [0, 1], e.g. 0.3 or 8/255 (default: 8/255)" in text
    assert name_of(recipe) in epslab("train", "--help").out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--samples", "1"), "Unknown flag '--samples'."),
        (("--importance-samples", "5"), "Unknown flag '--importance-samples'."),
        (("--prior-samples", "5"), "Unknown flag '--prior-samples'."),
    ],
)
def test_estimates_of_generative_models_are_refused(refused, trained, words, sentence):
    before = Run.open(trained).result()
    assert sentence in refused("evaluate", trained, *words)
    assert Run.open(trained).result() == before


def test_a_classifier_draws_no_samples(refused, trained):
    assert "a run of 'small-cnn', whose model draws no samples" in refused("sample", trained)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--defence", "adversarial-los"), "Did you mean 'adversarial-loss'?"),
        (("--defence", "adversarial-loss", "--attack", "pdg"), "Did you mean 'pgd'?"),
        (("--defence", "adversarial-loss", "--attack", "fgsm", "--attack-steps", "2"), "--attack fgsm has no steps"),
        (("--radius", "eight"), "--radius is 'eight', but must be a number such as 0.3 or a fraction such as 8/255"),
        (("--norm", "l3"), "--norm must be one of 'linf', 'l2', 'l1', not 'l3'."),
        (("--stem", "cifar"), "Unknown flag '--stem'."),
        (("--half", "C"), "--half must be one of 'all', 'A', 'B', not 'C'."),
        (("--weights", "nowhere.pth"), "nowhere.pth"),
    ],
)
def test_what_cannot_be_trained_is_said_before_anything_is_written(refused, words, sentence):
    assert sentence in refused("train", "small-cnn", *TINY, *words, "--out", "run")
    assert not Path("run").exists()
