"""A recipe's run from training to evaluation, on the digits that ship with scikit-learn."""

import dataclasses
import shutil
from pathlib import Path

import pytest
import torch
import yaml

from epslab import recipes
from epslab.cli import main
from epslab.data import binarise as binarise_set
from epslab.data import load as load_data
from epslab.errors import UserError
from epslab.recipes import SmallCNNRecipe, TrainingSettings, VAERecipe
from epslab.runs import Run

TINY = VAERecipe(epochs=2, width=4, latent_dim=2, learning_rate=1e-2, sample_epochs=(0,))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return recipes.train(TINY, out=tmp_path_factory.mktemp("runs") / "tiny", progress=False)


def test_the_run_folder_repeats_the_run(run: Run, tmp_path: Path) -> None:
    assert recipes.recipe_of(run) == TINY
    again = recipes.train(recipes.recipe_of(run), data=run.config["data"], out=tmp_path / "again", progress=False)
    assert again.weights.read_bytes() == run.weights.read_bytes()
    assert (again.folder / "metrics.csv").read_bytes() == (run.folder / "metrics.csv").read_bytes()


def test_training_lowers_the_bound_and_draws_at_the_chosen_epochs(run: Run) -> None:
    bits = run.metrics()["val/bits_per_dim"]
    assert bits[0] == pytest.approx(4, abs=0.1)  # 16 levels, nothing learnt
    assert bits[-1] < bits[0] - 0.2
    assert sorted(p.name for p in run.figures.glob("samples-*")) == ["samples-epoch-0000.png", "samples-epoch-0002.png"]


def test_the_loaded_model_is_the_best_one(run: Run) -> None:
    vae = recipes.load(run)
    assert not vae.training
    parts = recipes.splits(run)
    found = recipes.evaluate(run, split="validation", samples=1)
    best = min(run.metrics()["val/bits_per_dim"])
    assert run.result()["images"] == len(parts.validation)
    # The same images, another draw of z for each: equal within the estimate's error.
    bits = found["bits_per_dim"]
    assert bits.value == pytest.approx(best, abs=4 * bits.standard_error)


def test_splits_are_disjoint_and_validation_is_not_of_the_test_set(run: Run) -> None:
    parts = recipes.splits(run)
    assert len(parts.train) + len(parts.validation) == len(load_data("digits", "train"))
    assert len(parts.test) == len(load_data("digits", "test"))
    rows = [{bytes(x.numpy().tobytes()) for x in part.pixels} for part in parts]
    train, validation, test = rows
    assert not train & validation
    assert not validation & test


def test_evaluation_writes_numbers_and_pictures(run: Run) -> None:
    found = recipes.evaluate(run, importance_samples=8, prior_samples=8, limit=64)
    assert run.result()["measurements"]["bits_per_dim"]["value"] == found["bits_per_dim"].value
    assert (run.result()["images"], run.result()["split"]) == (64, "test")
    assert found["importance_weighted"].value >= found["elbo"].value
    assert [number.key for number in found.values() if number.headline] == ["bits_per_dim"]
    names = {picture.name for picture in run.pictures()}
    assert all(picture.caption.endswith(".") for picture in run.pictures())
    assert {"reconstructions", "interpolations", "traversals", "kl-per-dimension", "manifold", "codes"} <= names


@pytest.mark.parametrize("binarise", ["threshold", "static", "dynamic"])
def test_binary_images_are_measured_binary(binarise: str, tmp_path: Path) -> None:
    recipe = dataclasses.replace(TINY, likelihood="bernoulli", binarise=binarise, epochs=1)  # type: ignore[arg-type]
    run = recipes.train(recipe, out=tmp_path / "run", progress=False)
    parts = recipes.splits(run)
    for part in parts.validation, parts.test:
        assert set(part.pixels.unique().tolist()) == {0, 255}
    # By threshold, or by one draw with the intensities as probabilities; never one for the other.
    test = load_data("digits", "test")
    by_threshold, drawn = (binarise_set(test, how, run.config["seed"]).pixels for how in ("threshold", "static"))
    assert not torch.equal(by_threshold, drawn)
    assert torch.equal(parts.test.pixels, by_threshold if binarise == "threshold" else drawn)
    assert recipes.evaluate(run, limit=32)["bits_per_dim"].value < 1.2


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"split": "tests"}, "Did you mean 'test'?"),
        ({"limit": 0}, "`limit=` must be at least 1, not 0."),
        ({"importance_samples": 0}, "`importance_samples=` is 0, but must be 1 or more, or `None`."),
        ({"steps": 3}, "`steps=` does not measure a 'vae'"),
    ],
)
def test_wrong_requests_are_refused(run: Run, options: dict[str, object], sentence: str) -> None:
    with pytest.raises(UserError) as error:
        recipes.evaluate(run, **options)  # type: ignore[arg-type]
    assert sentence in str(error.value)


def test_a_split_that_leaves_nothing_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="leaves nothing to train or validate on"):
        recipes.train(VAERecipe(validation_fraction=1e-6), out=tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("settings", [SmallCNNRecipe(), VAERecipe(net="conv")])
def test_models_of_images_refuse_points_before_anything_is_written(settings: TrainingSettings, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"points"):
        recipes.train(settings, data="ring", out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_pixels_of_samples_are_drawn_not_averaged(run: Run) -> None:
    x = recipes.load(run).sample(16)
    torch.testing.assert_close(x * 15, (x * 15).round())


def test_a_run_of_before_settings_were_shared_opens_and_goes_on(run: Run, tmp_path: Path) -> None:
    """Its config.yaml has no half and no init, a vae's schedule, and num_nodes."""
    old = Run(tmp_path / "old")
    shutil.copytree(run.folder, old.folder)
    config = old.config
    del config["half"], config["init"]
    config["num_nodes"] = config.pop("nodes")
    provenance = config.pop("provenance")
    (old.folder / "config.yaml").write_text(yaml.safe_dump({**config, "provenance": provenance}))
    assert recipes.recipe_of(old) == TINY
    assert recipes.evaluate(old, limit=20)["elbo"] == recipes.evaluate(run, limit=20)["elbo"]
    assert torch.equal(recipes.sample(old, 2), recipes.sample(run, 2))
    assert main(["train", "--out", str(old.folder), "--resume", "--epochs", "3"]) == 0
    assert old.metrics()["epoch"] == [0, 1, 2, 3]
