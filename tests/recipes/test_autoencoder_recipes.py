"""The recipes of autoencoders: settings that work, runs that measure what they say."""

from pathlib import Path

import pytest
import torch

from epslab import recipes, seeds
from epslab.data import ImageSet, PointSet, load
from epslab.errors import UserError
from epslab.generative import PCA
from epslab.recipes.autoencoder.plan import build as build_autoencoder
from epslab.recipes.autoencoder.settings import AutoencoderRecipe
from epslab.recipes.denoising_autoencoder import measure
from epslab.recipes.denoising_autoencoder.plan import build
from epslab.recipes.denoising_autoencoder.settings import DenoisingRecipe
from epslab.recipes.plan import Asked
from epslab.runs import Run


@pytest.fixture(scope="module")
def linear(tmp_path_factory: pytest.TempPathFactory) -> Run:
    settings = AutoencoderRecipe(net="linear", latent_dim=2, epochs=40)
    return recipes.train(settings, out=tmp_path_factory.mktemp("runs") / "linear", progress=False)


def test_a_run_measures_its_squared_error_and_the_variance_kept(linear: Run) -> None:
    found = recipes.evaluate(linear, batch_size=100)
    model, test = recipes.load(linear), load("digits", "test").images
    errors = (model.reconstruct(test) - test).detach().double().square().flatten(1).sum(1)
    assert found["squared_error"].value == pytest.approx(float(errors.mean()), rel=1e-6)
    assert found["squared_error"].standard_error == pytest.approx(float(errors.std()) / len(test) ** 0.5, rel=1e-6)
    spread = float((test - test.mean(0)).double().square().flatten(1).sum(1).mean())
    assert found["variance_kept"].value == pytest.approx(1 - float(errors.mean()) / spread, rel=1e-5)
    assert {"codes", "interpolations", "reconstructions", "reconstructions-epoch-0040"} <= {
        picture.name for picture in linear.pictures()
    }


def test_a_linear_run_is_near_pca_after_a_second_of_training(linear: Run) -> None:
    train, test = recipes.splits(linear).train.images, load("digits", "test").images
    pca = PCA(2).fit(train)
    best = (pca.reconstruct(test) - test).square().flatten(1).sum(1).mean()
    ours = recipes.load(linear).squared_error(test).mean().detach()
    assert float(best) * 0.999 < float(ours) < float(best) * 1.02


def test_a_plain_autoencoder_has_no_samples(linear: Run) -> None:
    assert not recipes.draws(linear)
    with pytest.raises(UserError, match="whose model draws no samples"):
        recipes.sample(linear, 1)


def test_the_net_follows_the_data() -> None:
    recipe = AutoencoderRecipe()
    assert [recipe.net_for(shape) for shape in ((2,), (1, 8, 8), (1, 28, 28), (3, 32, 15))] == [
        "perceptron", "perceptron", "conv", "perceptron",
    ]  # fmt: skip
    with pytest.raises(UserError, match=r"`net='conv'` is for images, but the data are points of 2 coordinates"):
        build_autoencoder(AutoencoderRecipe(net="conv"), (2,), 0)


def test_the_ladder_follows_the_data() -> None:
    """From the distance of an example from the mean, to a fiftieth of the pixel range or a hundredth of the spread."""
    pixels = torch.randint(0, 256, (300, 1, 4, 4), generator=seeds.generator(0, "pixels")).to(torch.uint8)
    images = ImageSet(pixels, torch.zeros(300).long(), ("one",))
    model = build(DenoisingRecipe(width=2, levels=7), images, 0)
    assert len(model.sigmas) == 7
    distance = (images.images - images.images.mean()).square().flatten(1).sum(1).mean().sqrt()
    torch.testing.assert_close(model.sigmas[[0, -1]], torch.tensor([float(distance), 0.02]), rtol=1e-4, atol=0)
    points = PointSet(5 + 3 * torch.randn(4000, 2, generator=seeds.generator(0, "points")))
    model = build(DenoisingRecipe(hidden=2), points, 0)
    s = float(points.points.std())
    torch.testing.assert_close(model.sigmas[[0, -1]], torch.tensor([s * 2**0.5, s / 100]), rtol=1e-3, atol=0)
    assert build(DenoisingRecipe(hidden=2, sigma_max=9.0, sigma_min=0.5), points, 0).sigmas[[0, -1]].tolist() == [
        9,
        0.5,
    ]
    with pytest.raises(UserError, match=r"`sigma_min=50` must be above 0 and below `sigma_max="):
        build(DenoisingRecipe(hidden=2, sigma_min=50.0), points, 0)


def test_the_share_of_noise_left_is_the_known_one_on_normal_data() -> None:
    """Before training the net answers 0, and r is the best guess for N(mu, s² I): s²/(s² + sigma²) is left."""
    points = PointSet(torch.randn(20_000, 2, generator=seeds.generator(0, "normal")))
    model = build(DenoisingRecipe(hidden=2), points, 0)
    for sigma in (2.0, 0.5):
        share = measure.left(model, points, sigma, 0, Asked(batch_size=3000))
        expected = 1 / (1 + sigma**2)
        assert abs(float(share.mean()) - expected) < 4 * float(share.std()) / len(share) ** 0.5
        assert torch.equal(share, measure.left(model, points, sigma, 0, Asked(batch_size=3000)))


def test_a_run_on_points_shows_the_score(tmp_path: Path) -> None:
    settings = DenoisingRecipe(epochs=1, hidden=8, layers=1, levels=8, sample_epochs=())
    run = recipes.train(settings, data="two-moons", out=tmp_path / "moons", progress=False)
    found = recipes.evaluate(run, limit=200, generated=0)
    assert 0 < found["noise_left"].value < 1
    assert {"score", "samples-epoch-0001"} <= {picture.name for picture in run.pictures()}
    assert [table.columns[0] for table in run.measured().tables] == ["sigma"]


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"levels": 1}, "`levels=` is 1, but must be 2 or more."),
        ({"step": 2.0}, "`step=` is 2.0, but must be above 0 and below 2."),
        ({"width": 3}, "`width=` is 3, but must be an even number, 2 or more."),
        ({"sigma_max": 0.1, "sigma_min": 0.2}, "`sigma_min=0.2` must be below `sigma_max=0.1`."),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, object], sentence: str) -> None:
    with pytest.raises(UserError) as error:
        DenoisingRecipe(**settings)  # type: ignore[arg-type]
    assert sentence in str(error.value)
