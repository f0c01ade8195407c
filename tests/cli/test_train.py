"""Training from the command line: what reaches the recipe, and where the run goes."""

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from epslab import recipes
from epslab.recipes import TrainingSettings, VAERecipe
from epslab.runs import Run
from epslab.training import Machine


@pytest.fixture(autouse=True)
def one_process(monkeypatch):
    """These tests are no part of a distributed run, wherever they run."""
    for name in ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID", "EPSLAB_OUT"):
        monkeypatch.delenv(name, raising=False)


@dataclass(frozen=True)
class OtherRecipe(TrainingSettings):
    """Another model."""

    plan = None


@pytest.fixture
def calls(monkeypatch):
    """The calls that reach ``recipes.train``, which trains nothing."""
    made = []

    def train(recipe, *, out, **settings):
        made.append(
            SimpleNamespace(recipe=recipe, out=out, folder_of_children=os.environ.get("EPSLAB_OUT"), **settings)
        )
        return Run(out)

    monkeypatch.setattr(recipes, "train", train, raising=False)
    return made


def write_run(folder, **settings):
    folder = Path(folder)
    folder.mkdir(parents=True)
    config = {"recipe": "vae", "data": "mnist", "seed": 5, "latent_dim": 7, "provenance": {"commit": None}, **settings}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return folder


def test_flags_reach_the_recipe_and_the_training(epslab, calls):
    outcome = epslab(
        "train", "vae", "--data", "mnist", "--latent-dim", 3, "--beta", "2", "--hidden", "[7,8]", "--seed", 9,
        "--devices", 2, "--nodes", 1, "--strategy", "ddp", "--precision", "bf16-mixed", "--accelerator", "cpu",
        "--data-root", "there", "--out", "a", "--overwrite",
    )  # fmt: skip
    assert outcome.code == 0
    (call,) = calls
    assert call.recipe == VAERecipe(latent_dim=3, beta=2.0, hidden=(7, 8))
    assert (call.data, call.data_root, call.out, call.seed) == ("mnist", "there", Path("a"), 9)
    assert (call.resume, call.overwrite, call.progress) == (False, True, True)
    assert call.machine == Machine("cpu", 2, 1, "ddp", "bf16-mixed")


def test_the_defaults_are_the_recipes_own(epslab, calls):
    epslab("train", "vae")
    assert calls[0].recipe == VAERecipe()
    assert (calls[0].data, calls[0].seed, calls[0].machine) == ("digits", 0, Machine())
    assert calls[0].out == Path("runs/vae-digits")


def test_devices_may_be_auto(epslab, calls):
    epslab("train", "vae", "--devices", "auto")
    assert calls[0].machine.devices == "auto"


def test_a_folder_of_images_names_the_run_by_its_last_part(epslab, calls):
    epslab("train", "vae", "--data", "some/where/cats")
    assert calls[0].out == Path("runs/vae-cats")


def test_runs_are_numbered_unless_told_where(epslab, calls):
    write_run("runs/vae-digits")
    epslab("train", "vae")
    epslab("train", "vae", "--resume")
    epslab("train", "vae", "--out", "runs/vae-digits")
    assert [str(call.out) for call in calls] == ["runs/vae-digits-2", "runs/vae-digits", "runs/vae-digits"]


@pytest.mark.parametrize("words", [("--config", "x"), ("--config", "x/config.yaml"), ("vae", "--config=x")])
def test_a_configuration_repeats_a_run_elsewhere(epslab, calls, words):
    write_run("x", beta=2.0, hidden=[3], gradient_clip=None, devices=1)
    assert epslab("train", *words, "--out", "y").code == 0
    assert calls[0].recipe == VAERecipe(latent_dim=7, beta=2.0, hidden=(3,))
    assert (calls[0].data, calls[0].seed, calls[0].out) == ("mnist", 5, Path("y"))


@pytest.mark.parametrize("before", [True, False])
def test_flags_override_the_configuration_wherever_they_stand(epslab, calls, before):
    write_run("x", beta=2.0)
    flags = ("--latent-dim", 1, "--seed", 6)
    epslab("train", *(flags if before else ()), "--config", "x", *(() if before else flags))
    assert calls[0].recipe == VAERecipe(latent_dim=1, beta=2.0)
    assert calls[0].seed == 6


def test_a_resumed_folder_brings_recipe_and_settings(epslab, calls):
    write_run("x")
    assert epslab("train", "--out", "x", "--resume", "--epochs", 90).code == 0
    assert calls[0].recipe == VAERecipe(latent_dim=7, epochs=90)
    assert calls[0].resume


def test_a_configuration_of_another_recipe_is_refused(refused, calls, monkeypatch):
    write_run("x")
    assert "of a 'vae' run, not of 'small-cnn'" in refused("train", "small-cnn", "--config", "x")


@pytest.mark.parametrize("words", [("vae", "--num-nodes", 3), ("--config", "x")])
def test_machines_may_be_called_nodes_or_num_nodes_as_before(epslab, calls, words):
    write_run("x", num_nodes=3)
    assert epslab("train", *words, "--out", "y").code == 0
    assert calls[0].machine.nodes == 3


def test_a_recipe_can_be_an_import_path(epslab, calls):
    assert epslab("train", f"{__name__}:OtherRecipe", "--epochs", 3).code == 0
    assert calls[0].recipe == OtherRecipe(epochs=3)
    assert calls[0].out == Path("runs/OtherRecipe-digits")


@pytest.mark.parametrize(
    ("recipe", "sentence"),
    [
        ("vea", "Unknown recipe 'vea'. Did you mean 'vae'?"),
        ("nowhere_at_all:x", "There is no module 'nowhere_at_all' here"),
        ("collections:Counter", "'collections:Counter' is no recipe; it must be a frozen dataclass that extends"),
        ("epslab.recipes.common:TrainingSettings", "is no recipe"),
    ],
)
def test_what_is_no_recipe_gets_one_sentence(refused, calls, recipe, sentence):
    assert sentence in refused("train", recipe)
    assert not calls


def test_the_first_process_tells_its_children_where_and_forgets_it(epslab, calls):
    epslab("train", "vae")
    assert calls[0].folder_of_children == "runs/vae-digits"
    assert "EPSLAB_OUT" not in os.environ


@pytest.mark.parametrize("rank", ["RANK", "LOCAL_RANK", "NODE_RANK"])
def test_another_process_is_silent_and_goes_where_the_first_one_went(epslab, calls, monkeypatch, rank):
    write_run("runs/vae-digits")
    monkeypatch.setenv(rank, "1")
    monkeypatch.setenv("EPSLAB_OUT", "runs/vae-digits")
    outcome = epslab("train", "vae")
    assert (outcome.code, outcome.out, outcome.err) == (0, "", "")
    assert calls[0].out == Path("runs/vae-digits")
    assert calls[0].progress is False


def test_processes_started_apart_need_one_folder(refused, epslab, calls, monkeypatch):
    assert "give --out" in refused("train", "vae", "--num-nodes", 2)
    monkeypatch.setenv("RANK", "1")
    assert "give --out" in refused("train", "vae")
    assert epslab("train", "vae", "--out", "x").code == 0


def test_an_interrupted_training_says_how_to_go_on(epslab, calls):
    folder = write_run("a folder")
    (folder / "result.json").write_text('{"status": "interrupted", "epochs": 3}')
    assert epslab("train", "vae", "--out", folder, "--epochs", 3).code == 0
    outcome = epslab("train", "vae", "--out", folder, "--epochs", 4)
    assert (outcome.code, outcome.out) == (130, "")
    assert "`epslab train --out 'a folder' --resume`" in outcome.err
    assert outcome.err.count("\n") == 1


def test_no_recipe_and_a_recipe_out_of_place_are_explained(refused, calls):
    for words in [(), ("--data", "digits", "vae")]:
        assert "Which recipe?" in refused("train", *words)
    assert not calls


def test_train_help_lists_recipes_and_a_recipes_help_its_fields(epslab):
    assert "vae   " in epslab("train", "--help").out
    text = epslab("train", "vae", "--help").out
    for field in dataclasses.fields(VAERecipe):
        assert f"--{field.name.replace('_', '-')} " in text


def test_the_help_names_the_data_sets_there_are(epslab):
    from epslab import data

    points = ("ring", "grid", "two-moons", "swiss-roll")
    for verb in ("train", "data"):
        text = " ".join(epslab(verb, "--help").out.split())
        assert ", ".join(name for name in data.NAMES if name not in points) in text
    assert ", ".join(points) in " ".join(epslab("train", "--help").out.split())
