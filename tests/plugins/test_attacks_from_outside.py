"""Attacks and data sets from outside: by name on the command line, in an evaluation, and on its page."""

import json
from pathlib import Path

import pytest
import torch

from epslab.attacks import ATTACKS
from epslab.cli import main
from epslab.data import load
from epslab.evaluation import evaluate_robustness
from epslab.geometry import Linf
from epslab.runs import Run, radius_text


@pytest.fixture(scope="module")
def classifier(installed, tmp_path_factory):
    folder = tmp_path_factory.mktemp("striped") / "run"
    words = ["train", "small-cnn", "--data", "stripes", "--width", "4", "--epochs", "2", "--augment", "none"]
    assert main([*words, "--accelerator", "cpu", "--out", str(folder)]) == 0
    return folder


def test_a_data_set_is_trained_and_evaluated_on_by_name(classifier):
    assert main(["evaluate", str(classifier)]) == 0
    assert Run.open(classifier).config["data"] == "stripes"
    assert Run.open(classifier).measurements()["accuracy"].value > 0.9
    assert load("stripes", "test").classes == ("horizontal", "vertical")


def test_data_list_shows_who_brought_a_set(installed, capsys, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)  # set where test files run in parallel
    assert main(["data", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for name in ("moons", "stripes"):
        (line,) = [line for line in lines if line.startswith(name)]
        assert line.endswith("comes with epslab-toys 1.0")
    for action in ("check", "fetch"):
        assert main(["data", action, "moons"]) == 2
        assert "'moons' is a data set from outside epslab" in capsys.readouterr().err


def test_an_attack_without_a_ball_cannot_be_trained_against(installed, tmp_path, capsys):
    words = ["train", "small-cnn", "--defence", "adversarial-loss", "--attack", "towards-grey"]
    assert main([*words, "--out", str(tmp_path / "run")]) == 2
    assert "--attack towards-grey is not built from a ball" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_they_are_known_by_name(installed):
    assert {"towards-grey", "salt"} <= set(ATTACKS)
    assert ATTACKS.origin("salt") == "epslab-toys 1.0"


def test_a_least_distance_and_options_are_on_the_command_line_and_on_the_page(classifier, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["--attacks", "towards-grey:halvings=6,salt:share=0.5,pgd:steps=3", "--radius", "0.1", "--limit", "60"]
    assert main(["attack", str(classifier), *words, "--accelerator", "cpu", "--no-sweep", "--out", "attacked"]) == 0
    result = json.loads(Path("attacked/result.json").read_text())
    assert {"towards-grey", "salt", "pgd"} <= set(result["robust_accuracy"])
    assert main(["report", "attacked"]) == 0
    page = Path("attacked/report.html").read_text()
    for text in ("towards-grey", "salt", "halvings", "share", "test images", "of stripes", "L∞ ball of radius 0.1"):
        assert text in page
    grey = result["attacks"]["towards-grey"]
    assert (grey["norm"], grey["radius"]) == ("l2", None)
    assert f"makes the model wrong: L2 {radius_text(grey['distance']['median'])} (10 % within" in page


def test_the_help_names_them(installed, capsys):
    assert main(["attack", "--help"]) == 0
    assert "towards-grey" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("salt:shar=0.5", "Did you mean 'share'?"),
        ("salts", "Did you mean 'salt'?"),
        ("towards-grey:halvings=many", "halvings"),
    ],
)
def test_wrong_names_and_options_get_one_sentence(classifier, capsys, words, sentence):
    assert main(["attack", str(classifier), "--attacks", words, "--out", "nothing"]) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert error.count("\n") == 1
    assert not Path("nothing").exists()


def test_they_are_evaluated_as_any_attack():
    """On a model that tells dark from bright by the mean, the way to grey and its length are known."""

    def model(images):
        brightness = images.flatten(1).mean(1) - 0.4
        return torch.stack([-brightness, brightness], 1)

    images = torch.full((3, 1, 4, 4), 0.2)
    labels = torch.zeros(3, dtype=torch.int64)
    attacks = {"grey": ATTACKS["towards-grey"](halvings=20), "salt": ATTACKS["salt"](Linf(0.1), share=0.5)}
    report = evaluate_robustness(model, images, labels, attacks, sweep=None, findings=False)
    assert report.robust_accuracy["grey"] == 0
    assert report.robust_accuracy["salt"] == 1
    # From 0.2 to the boundary at 0.4 in all 16 pixels: 0.2·√16.
    torch.testing.assert_close(report.attacks["grey"].distance.float(), torch.full((3,), 0.8), atol=1e-3, rtol=0)
