"""Odd command lines: each gets one sentence and exit code 2, and nothing is written."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from epslab.cli import main

TINY = ("--epochs", "1", "--width", "4", "--latent-dim", "2", "--accelerator", "cpu")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    assert main(["train", "vae", *TINY, "--out", str(folder / "vae")]) == 0
    assert main(["train", "small-cnn", *TINY[:4], "--out", str(folder / "cnn")]) == 0
    return folder


@pytest.fixture
def runs(trained, elsewhere):
    """Two runs, to spoil."""
    for name in ("vae", "cnn"):
        shutil.copytree(trained / name, elsewhere / name)
    (elsewhere / "odd.yaml").write_text("recipe: [vae]")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("attack", ""), "A word of the command is empty"),
        (("report", "cnn", ""), "A word of the command is empty"),
        (("",), "A word of the command is empty (an unset variable of the shell?); give it, or leave it out."),
        (("attack", "cnn", "--radius", ""), "The value of --radius is empty"),
        (("sample", "vae", "--out="), "The value of --out is empty"),
        (("sample", "vae", "-n", ""), "The value of -n is empty"),
        (("tour", "--out", ""), "The value of --out is empty"),
        (("train", "vae", "--data="), "The value of --data is empty"),
        (("attack", "cnn", "--json=1"), "--json takes no value; leave '1' out."),
        (("attack", "cnn", "--fail-on-findings=maybe"), "--fail-on-findings takes no value"),
        (("attack", "cnn", "--attacks", "pgd:steps"), "gives the option 'steps' no value; write pgd:steps=VALUE"),
        (("attack", "cnn", "--attacks", "pgd:steps=ten"), "must be a whole number"),
        (("attack", "cnn", "--attacks", "pgd:step_size=wide"), "must be a number or nothing"),
        (("attack", "cnn", "--attacks", "pgd:compiled=maybe"), "must be true or false"),
        (("attack", "cnn", "cnn"), "does not take 'cnn'"),
        (("report",), "`epslab report` needs RUN;"),
        (("data",), "`epslab data` needs list|check|fetch;"),
        (("data", "list", "mnist"), "lists all data sets; leave 'mnist' out"),
        (("sample", "cnn"), "draws no samples; try `epslab evaluate cnn`"),
        (("attack", "vae"), "which is no classifier"),
        (("tour", "--scale", "full"), "Unknown flag '--scale'"),
        (("tour", "--devices", "two"), "--devices is 'two', but must be a number, a list of indices, or"),
        (("study", "vae", "--devices", "two"), "--devices is 'two', but must be a number"),
        (("train", "vae", "--devices", "[0,1]", "--accelerator", "cpu"), "CPUs have no indices"),
        (("attack", "cnn", "--devices", "two"), "--devices is 'two', but must be a number"),
        (("train", "--config", "odd.yaml"), "The configuration's recipe is ['vae'], but must be a name; one of: vae"),
        (("train", "vae", "vae"), "does not take 'vae'"),
    ],
)  # fmt: skip
def test_words_that_make_no_command(nothing_written, runs, words, sentence):
    assert sentence in nothing_written(*words)


def spoil_settings(**changes):
    """Edit the settings by hand."""

    def spoil(run):
        file = run / "config.yaml"
        settings = {**yaml.safe_load(file.read_text()), **changes}
        file.write_text(yaml.safe_dump({name: value for name, value in settings.items() if value is not ...}))

    return spoil


def folder_for_weights(run):
    (run / "model.safetensors").unlink()
    (run / "model.safetensors").mkdir()


@pytest.mark.parametrize("verb", ["sample", "evaluate"])
@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (spoil_settings(provenance=...), "does not say what the run was trained on"),
        (spoil_settings(provenance={"image_shape": "wide"}), "does not say what the run was trained on"),
        (spoil_settings(latent_dim="two"), "vae/config.yaml' is 'two', but must be a whole number"),
        (spoil_settings(recipe="nope"), "Unknown recipe 'nope'"),
        (folder_for_weights, "model.safetensors"),
    ],
    ids=["no provenance", "odd provenance", "text for a number", "unknown recipe", "folder for weights"],
)
def test_a_run_that_was_edited_by_hand(nothing_written, runs, verb, spoil, sentence):
    spoil(Path("vae"))
    assert sentence in nothing_written(verb, "vae")


def test_a_file_where_the_pictures_go(nothing_written, runs):
    shutil.rmtree("vae/figures")
    Path("vae/figures").write_text("")
    assert "'vae/figures' cannot be used (File exists); mend that, or choose" in nothing_written("sample", "vae")


def test_a_place_that_only_looks_like_a_folder(refused, runs):
    assert "'/proc/picture.png' cannot be used" in refused("sample", "vae", "-n", "1", "--out", "/proc/picture.png")


def test_a_classifier_needs_two_classes(nothing_written):
    Path("images/alone").mkdir(parents=True)
    for i in range(8):
        Image.fromarray(np.full((8, 8), i, np.uint8)).save(f"images/alone/{i}.png")
    words = ("train", "small-cnn", "--data", "images", "--epochs", "1", "--out", "run")
    assert "has one class, 'alone'; a classifier needs two or more" in nothing_written(*words)
    assert "A tour takes 100 test images or more, of two classes or more" in nothing_written("tour", "--data", "images")


def test_names_with_letters_of_any_language(epslab, runs):
    assert epslab("sample", "vae", "-n", "2", "--out", "größe ✓/bild 日.png").code == 0
    shutil.copytree("vae", "läuft gut")
    assert epslab("report", "läuft gut").code == 0
    assert Path("größe ✓/bild 日.png").exists()
    assert "läuft gut" in Path("läuft gut/report.html").read_text(encoding="utf-8")
