"""How a recipe's samples are measured: drawn, compared with held-out data as it is, bound to named features."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Generator, Tensor

from epslab import recipes
from epslab.data import ImageSet, PointSet, load_examples
from epslab.errors import UserError
from epslab.evaluation.samples.report import MEASURES
from epslab.recipes import Asked, SmallCNNRecipe, VAERecipe, features, sample_quality
from epslab.recipes.plan import Beside
from epslab.recipes.quality import Samples, joined, measure_samples
from epslab.runs import Measured, Measurement, Run
from epslab.training import Machine

TINY = VAERecipe(epochs=1, hidden=(16,), latent_dim=2, sample_epochs=())
TINY_CNN = SmallCNNRecipe(epochs=1, width=4)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a VAE of digits and a classifier of them."""
    folder = tmp_path_factory.mktemp("runs")
    for name, settings in (("vae", TINY), ("cnn", TINY_CNN)):
        recipes.train(settings, out=folder / name, progress=False, machine=Machine("cpu"))
    return folder


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What ``evaluate_samples`` was last given."""
    given: dict[str, Any] = {}
    evaluate_samples = sample_quality.evaluate_samples

    def noted(samples: Tensor, reference: Any, *arguments: Any, **options: Any) -> Any:
        given.update(options, samples=samples, reference=reference)
        return evaluate_samples(samples, reference, *arguments, **options)

    monkeypatch.setattr(sample_quality, "evaluate_samples", noted)
    return given


def test_counts_that_cannot_work_are_refused() -> None:
    with pytest.raises(UserError, match=r"`generated=` is -1, but must be 0 or more, or `None`\."):
        Samples(generated=-1)
    with pytest.raises(UserError, match=r"`neighbours=` is 0, but must be 1 or more\."):
        Samples(neighbours=0)


def test_of_two_headlines_the_first_stays() -> None:
    bound = Measured([Measurement("elbo", "ELBO", value=1.0, headline=True)], conditions="16 grey levels")
    others = [Measurement("kernel_distance", "kernel distance", value=2.0, headline=True)]
    whole = joined(bound, Measured(others, statements=["So."], per_example={"coverage": [1.0]}))
    assert [(one.key, one.headline) for one in whole.measurements] == [("elbo", True), ("kernel_distance", False)]
    assert (whole.conditions, whole.statements, whole.per_example) == ("16 grey levels", ["So."], {"coverage": [1.0]})
    assert joined(Measured([]), Measured(others)).measurements[0].headline


def test_a_run_keeps_the_numbers_the_table_and_the_picture(trained: Path) -> None:
    run, classifier = Run(trained / "vae"), str(trained / "cnn")
    first = recipes.evaluate(run, generated=None, features=classifier)
    assert first.keys() >= {*MEASURES, "nearest_training", "copies", "bits_per_dim"}
    assert first["bits_per_dim"].headline
    assert not first["kernel_distance"].headline
    digest = (Run(trained / "cnn").weights_hash() or "").removeprefix("sha256:")[:6]
    assert first["coverage"].note == f"features of small-cnn {digest}, 360 samples"
    tables = {table.title: table for table in run.measured().tables}
    rows = tables["360 samples beside 360 held-out images"].rows
    assert [row[0] for row in rows] == ["the model", "real data", "a Gaussian per class", "real data plus noise"]
    assert "nearest-training-images" in {picture.name for picture in run.pictures()}
    # An example's own values: whether it is covered.
    assert set(run.per_example()["coverage"]) == {0.0, 1.0}
    assert len(run.per_example()["coverage"]) == 360
    assert recipes.evaluate(run, generated=None, features=classifier) == first


def test_as_many_samples_as_held_out_images_which_are_as_they_are(trained: Path, seen: dict[str, Any]) -> None:
    run = Run(trained / "vae")
    recipes.evaluate(run, generated=100, features=str(trained / "cnn"))
    assert len(seen["samples"]) == len(seen["reference"]) == 100
    # What a file would keep: 256 levels.
    assert torch.equal(seen["samples"].mul(255).round().div(255), seen["samples"])
    parts = recipes.splits(run)
    test = {image.numpy().tobytes() for image in parts.test.pixels}
    assert {image.numpy().tobytes() for image in seen["reference"].pixels} <= test
    assert seen["train"].checksum() == parts.train.checksum()
    assert run.per_example().keys() == {"bits_per_dim", "elbo", "reconstruction", "kl"}  # not of these 100 alone


def test_data_are_compared_as_they_are_measured_not_as_they_are_trained_on(
    trained: Path, seen: dict[str, Any], tmp_path: Path
) -> None:
    """Dynamic binarisation trains on grey images; whoever compared samples with those would find none alike."""
    settings = VAERecipe(epochs=1, hidden=(16,), latent_dim=2, likelihood="bernoulli", binarise="dynamic")
    run = recipes.train(settings, out=tmp_path / "binary", progress=False, machine=Machine("cpu"))
    recipes.evaluate(run, generated=50, features=str(trained / "cnn"))
    for part in ("train", "reference"):
        assert set(seen[part].pixels.unique().tolist()) == {0, 255}


def test_the_classifier_is_trained_once_beside_the_run(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "_settings", lambda images: TINY_CNN)
    run = Run(trained / "vae")
    first = recipes.evaluate(run, generated=30)
    classifier = Run(trained / "features-digits")
    assert classifier.config["recipe"] == "small-cnn"
    written = classifier.weights.stat().st_mtime_ns
    assert recipes.evaluate(run, generated=30) == first
    assert classifier.weights.stat().st_mtime_ns == written
    monkeypatch.undo()
    with pytest.raises(UserError, match=r"holds another classifier .* delete it, or give a classifier's run as `feat"):
        recipes.evaluate(run, generated=30)


def test_large_data_train_it_for_fewer_epochs() -> None:
    assert features._settings(1293) == SmallCNNRecipe()
    assert features._settings(54_000).epochs == 2
    assert features._settings(15_000).epochs == 10


def test_features_of_something_else_are_refused(trained: Path) -> None:
    run = Run(trained / "vae")
    with pytest.raises(UserError, match=r"`features=` is '.*vae', which is no run of a classifier"):
        recipes.evaluate(run, generated=30, features=str(run.folder))
    example = ImageSet(torch.zeros(4, 1, 9, 9, dtype=torch.uint8), torch.arange(4) % 2, ("a", "b"))
    other = Run.create(trained / "other", {"recipe": "small-cnn", "seed": 0}, provenance=example.about)
    with pytest.raises(UserError, match=r"images of shape \(1, 9, 9\), but those of '.*vae' have \(1, 8, 8\)"):
        recipes.evaluate(run, generated=30, features=str(other.folder))


def noise(n: int, generator: Generator) -> Tensor:
    return torch.rand(n, 1, 8, 8, generator=generator)


def test_what_is_not_asked_for_is_not_measured(trained: Path) -> None:
    run, test = Run(trained / "vae"), recipes.splits(Run(trained / "vae")).test
    beside = Beside(lambda: test, lambda _: lambda images: images.flatten(1))
    assert measure_samples(noise, run, test, Asked(options=Samples(generated=0), beside=beside)) == Measured([])
    assert measure_samples(None, run, test, Asked(options=Samples(), beside=beside)) == Measured([])
    assert measure_samples(noise, run, test, Asked(beside=beside)) == Measured([])
    (told,) = measure_samples(noise, run, test[:5], Asked(options=Samples(), beside=beside)).warnings
    assert told == "No samples were measured: 5 held-out images are too few to compare samples with."
    with pytest.raises(UserError, match=r"only a recipe's run knows its training examples; leave `generated=` out"):
        measure_samples(noise, run, test, Asked(options=Samples()))


def test_points_with_known_modes_are_counted_by_mode(trained: Path) -> None:
    test = load_examples("ring", "test")
    assert isinstance(test, PointSet)
    beside = Beside(lambda: load_examples("ring"), lambda _: lambda points: points)
    asked = Asked(options=Samples(), beside=beside)
    assert test.modes is not None
    centre = test.modes.centres[:1]
    found = measure_samples(lambda n, _: centre.repeat(n, 1), Run(trained / "vae"), test, asked)
    numbers = {one.key: one.value for one in found.measurements}
    assert (numbers["modes_found"], numbers["good_samples"]) == (1, 1.0)
    assert found.statements[0].startswith("1 of 8 modes have a sample")
    assert f"of {len(test):,} samples" in found.statements[0]
    unknown = PointSet(test.points[:100])
    found = measure_samples(lambda n, g: torch.randn(n, 2, generator=g), Run(trained / "vae"), unknown, asked)
    assert {one.key for one in found.measurements} == {*MEASURES, "nearest_training", "copies"}
