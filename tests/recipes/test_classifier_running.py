"""A classifier's run from training to evaluation, on the digits that ship with scikit-learn."""

import dataclasses
import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from epslab import recipes
from epslab.classifiers import Normalised, Proportion, accuracy
from epslab.errors import UserError
from epslab.recipes import ResNet18Recipe, SmallCNNRecipe
from epslab.recipes.running import half_of
from epslab.recipes.table import plan_of
from epslab.runs import Run
from epslab.training import Machine

TINY = SmallCNNRecipe(epochs=3, width=8, batch_size=64)
ROBUST = SmallCNNRecipe(
    epochs=2, width=4, batch_size=256, augment="crop", defence="adversarial-loss", attack_steps=2, radius="25/255",
    radius_warmup_epochs=1.0, validation_fraction=0.05, ema_decay=0.9,
)  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return recipes.train(TINY, out=tmp_path_factory.mktemp("runs") / "tiny", progress=False, machine=Machine("cpu"))


def test_training_teaches_and_the_run_repeats(run: Run, tmp_path: Path) -> None:
    assert min(run.metrics()["val/error"]) < 0.15 < 0.7 < run.metrics()["val/error"][0]
    assert recipes.recipe_of(run) == TINY
    again = recipes.train(recipes.recipe_of(run), out=tmp_path / "again", progress=False, machine=Machine("cpu"))
    assert again.weights.read_bytes() == run.weights.read_bytes()
    assert (again.folder / "metrics.csv").read_bytes() == (run.folder / "metrics.csv").read_bytes()


def test_the_loaded_classifier_takes_images_and_is_the_best_one(run: Run) -> None:
    model = recipes.load(run)
    assert isinstance(model, Normalised)
    assert not model.training
    validation = recipes.splits(run).validation
    right = accuracy(model, validation.images, validation.labels)
    assert 1 - right == pytest.approx(min(run.metrics()["val/error"]))
    train = recipes.splits(run).train.images
    torch.testing.assert_close(model.mean.flatten(), train.mean((0, 2, 3)))


def test_evaluation_writes_numbers_and_pictures(run: Run) -> None:
    found = recipes.evaluate(run)
    test = recipes.splits(run).test
    model = recipes.load(run)
    right = model(test.images).argmax(1) == test.labels
    share = Proportion.of(right)
    assert (found["accuracy"].value, found["accuracy"].interval) == (float(share), share.interval())
    result = run.result()
    assert (result["split"], result["images"]) == ("test", len(test))
    (table,) = result["tables"]
    shares = {name: Proportion.of(right[test.labels == label]) for label, name in enumerate(test.classes)}
    assert {name: (accuracy, n) for name, accuracy, n in table["rows"]} == {
        name: (str(share), share.n) for name, share in shares.items()
    }
    assert [row[0] for row in table["rows"]] == sorted(shares, key=lambda name: float(shares[name]))
    log_p = model(test.images).double().log_softmax(1)
    nll = -log_p[torch.arange(len(test)), test.labels]
    assert found["cross_entropy"].value == pytest.approx(nll.mean().item())
    assert found["cross_entropy"].standard_error == pytest.approx(nll.std().item() / len(test) ** 0.5)
    assert found["confidence"].value == pytest.approx(log_p.exp().amax(1).mean().item())
    assert 0 < found["calibration_error"].value < 1
    assert {path.stem for path in run.figures.glob("*.png")} == {"reliability", "confusion", "mistakes"}


def test_the_numbers_do_not_depend_on_the_batch_size(run: Run) -> None:
    one, other = (recipes.evaluate(run, limit=50, batch_size=size) for size in (7, 50))
    assert one["accuracy"] == other["accuracy"]
    assert one["cross_entropy"].value == pytest.approx(other["cross_entropy"].value, rel=1e-5)


def test_an_estimate_of_another_kind_of_model_is_refused(run: Run) -> None:
    with pytest.raises(UserError, match="`importance_samples=` does not measure a 'small-cnn' such as"):
        recipes.evaluate(run, importance_samples=3)


def test_halves_are_disjoint_whatever_the_seed() -> None:
    from epslab.data import load

    whole = load("digits", "train")
    a, b = (half_of(dataclasses.replace(TINY, half=half), whole) for half in ("A", "B"))  # type: ignore[arg-type]
    everything = sorted(bytes(x.numpy().tobytes()) for part in (a, b) for x in part.pixels)
    assert everything == sorted(bytes(x.numpy().tobytes()) for x in whole.pixels)
    assert abs(len(a) - len(b)) <= 1
    assert half_of(TINY, whole) is whole


def test_a_half_is_all_a_run_is_trained_and_validated_on(tmp_path: Path) -> None:
    from epslab.data import load

    recipe = dataclasses.replace(TINY, epochs=1, half="B")
    run = recipes.train(recipe, out=tmp_path / "b", seed=5, progress=False, machine=Machine("cpu"))
    half = half_of(recipe, load("digits", "train"))
    parts = recipes.splits(run)
    assert sorted(bytes(x.numpy().tobytes()) for part in parts[:2] for x in part.pixels) == sorted(
        bytes(x.numpy().tobytes()) for x in half.pixels
    )


def test_training_starts_from_given_weights(run: Run, tmp_path: Path) -> None:
    files = {"run": str(run.folder), "file": str(tmp_path / "net.pth")}
    torch.save(recipes.load(run).net.state_dict(), files["file"])
    for name, source in files.items():
        recipe = dataclasses.replace(TINY, epochs=1, weights=source, learning_rate=1e-6)
        again = recipes.train(recipe, out=tmp_path / name, progress=False, machine=Machine("cpu"))
        assert again.metrics()["val/error"][0] == pytest.approx(min(run.metrics()["val/error"]), abs=0.02)
    # Weights of a run bring its normalisation, those of a net from elsewhere do not.
    plan = plan_of(dataclasses.replace(TINY, weights=str(run.folder)), recipes.splits(run).test, 0)
    assert plan.start is not None
    plan.start()
    model = plan.model
    assert torch.equal(model.state_dict()["mean"], recipes.load(run).mean)


def test_weights_of_another_net_or_of_nothing_are_refused(run: Run, tmp_path: Path) -> None:
    for recipe, sentence in [
        (ResNet18Recipe(weights=str(run.folder)), "another net"),
        (dataclasses.replace(TINY, weights="nowhere.pth"), "nowhere.pth"),
        (dataclasses.replace(TINY, weights=str(tmp_path)), "config.yaml"),
    ]:
        with pytest.raises(UserError, match=sentence):
            recipes.train(recipe, out=tmp_path / "run", progress=False)
        assert not (tmp_path / "run").exists()


def test_a_run_goes_on_for_more_epochs(run: Run, tmp_path: Path) -> None:
    """The cycle of the learning rate is then the longer one."""
    settings: dict[str, Any] = {"out": tmp_path / "run", "progress": False, "machine": Machine("cpu")}
    recipes.train(dataclasses.replace(TINY, epochs=1), **settings)
    longer = recipes.train(dataclasses.replace(TINY, epochs=2), **settings, resume=True)
    assert longer.metrics()["epoch"] == [0, 1, 2]


def train_robust(out: Path, batches: int) -> None:
    """Train against an attack, and die before so many batches are done."""
    from epslab.recipes.classifier import adversarial

    torch.set_num_threads(1)
    defence, calls = adversarial.defence, 0

    def counted(*settings: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == batches:
            os.kill(os.getpid(), signal.SIGKILL)
        return defence(*settings)

    adversarial.defence = counted
    recipes.train(ROBUST, out=out, resume=True, progress=False, machine=Machine("cpu"))


@pytest.mark.processes
def test_adversarial_training_killed_and_resumed_ends_as_if_it_had_not_been(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
    whole = recipes.train(ROBUST, out=tmp_path / "whole", progress=False, machine=Machine("cpu"))
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([Path(__file__).stem])
    ends = []
    # In the first epoch's warm-up (six batches an epoch); in the second epoch; never.
    for batches in (4, 8, 1000):
        child = context.Process(target=train_robust, args=(tmp_path / "parts", batches))
        child.start()
        child.join()
        ends.append(child.exitcode)
    assert ends == [-signal.SIGKILL, -signal.SIGKILL, 0]
    parts = Run.open(tmp_path / "parts")
    assert parts.weights.read_bytes() == whole.weights.read_bytes()
    assert (parts.folder / "metrics.csv").read_bytes() == (whole.folder / "metrics.csv").read_bytes()
    assert parts.config["radius"] == "25/255"
    assert whole.metrics()["val/robust_error"][-1] >= whole.metrics()["val/error"][-1]
