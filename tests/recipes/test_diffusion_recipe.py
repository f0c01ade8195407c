"""The diffusion recipe: its settings, its nets for images and points, its measurements and pictures."""

from pathlib import Path
from typing import Any

import pytest
import torch

from epslab import recipes, seeds
from epslab.data import ImageSet, PointSet
from epslab.errors import UserError
from epslab.generative.diffusion import Diffusion
from epslab.nets import TimePerceptron, UNet
from epslab.probability import schedules
from epslab.recipes import RECIPES
from epslab.recipes.diffusion.pictures import denoised, noised
from epslab.recipes.diffusion.plan import build, plan
from epslab.recipes.diffusion.settings import DiffusionRecipe
from epslab.training import Machine

TINY: dict[str, Any] = {"width": 4, "timesteps": 30, "sampling_steps": 4, "batch_size": 128, "learning_rate": 3e-3}


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"timesteps": 0}, "`timesteps=` is 0, but must be 1 or more."),
        ({"width": 7}, "`width=` is 7, but must be an even number, 2 or more."),
        ({"hidden": 0}, "`hidden=` is 0, but must be an even number, 2 or more."),
        ({"multipliers": ()}, "`multipliers=` is (), but must be one level or more, each of 1 or more, or `None`."),
        ({"levels": 1}, "`levels=` is 1, but must be between 2 and 256."),
        ({"sampling_steps": 40, "timesteps": 30}, "`sampling_steps=40` is more than the 30 steps of the schedule"),
        ({"sample_epochs": (-1,)}, "`sample_epochs=` is (-1,), but must be epochs of 0 or more."),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError) as error:
        DiffusionRecipe(**settings)
    assert sentence in str(error.value)


def test_images_get_a_unet_and_points_a_perceptron_of_standardised_points() -> None:
    assert RECIPES["diffusion"] is DiffusionRecipe
    settings = DiffusionRecipe(**TINY)
    assert isinstance(build(settings, (3, 5, 7), 0).net, UNet)
    points = PointSet(torch.randn(500, 2) * 3 + 10)
    model = plan(settings, points, 0).model
    assert isinstance(model, Diffusion)
    assert isinstance(model.net, TimePerceptron)
    assert abs(model.inwards(points.points).mean()) < 1e-4


def test_the_seed_decides_the_weights_and_the_global_generator_stays() -> None:
    before = torch.get_rng_state()
    a, b, c = (next(build(DiffusionRecipe(**TINY), (1, 8, 8), seed).parameters()) for seed in (0, 0, 1))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_settings_choose_schedule_prediction_and_sampler() -> None:
    cosine, linear = (DiffusionRecipe(noise_schedule=name, **TINY) for name in ("cosine", "linear"))  # type: ignore[arg-type]
    ends = [build(settings, (1, 4, 4), 0).schedule.alpha_bar[-1] for settings in (cosine, linear)]
    assert [float(end) for end in ends] == [
        float(made(30).alpha_bar[-1]) for made in (schedules.cosine, schedules.linear)
    ]
    model = build(DiffusionRecipe(predicts="image", levels=16, variance="beta", **TINY), (1, 4, 4), 0)
    assert (model.predicts, model.levels, model.variance) == ("image", 16, "beta")
    black = ImageSet(torch.zeros(1, 1, 4, 4, dtype=torch.uint8), torch.zeros(1, dtype=torch.int64), ("0",))
    asked = plan(DiffusionRecipe(sampler="heun", **TINY), black, 0)
    assert asked.sample is not None
    drawn = asked.sample(2, seeds.generator(0, "x"))
    by_hand = asked.model.sample(2, seeds.generator(0, "x"), sampler="heun", steps=4)  # type: ignore[operator]
    assert torch.equal(drawn, by_hand)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Any:
    settings = DiffusionRecipe(epochs=2, **TINY)
    out: Path = tmp_path_factory.mktemp("diffusion") / "run"
    return recipes.train(settings, data="digits", out=out, machine=Machine("cpu"), progress=False)


def test_training_lowers_the_loss_and_draws_samples(run: Any) -> None:
    losses = run.metrics()["val/loss"]
    assert losses[-1] < 0.98 * losses[0]
    assert {"samples-epoch-0000", "samples-epoch-0001", "samples-epoch-0002"} <= {p.stem for p in run.figures.iterdir()}


def test_evaluate_gives_the_bound_and_its_parts(run: Any) -> None:
    """With every time once, the parts add up, and the estimate at a few times agrees within its error."""
    few = recipes.evaluate(run, limit=60, generated=0, draws=3)
    whole = recipes.evaluate(run, limit=60, generated=0, draws=None)
    parts = sum(whole[name].value for name in ("prior", "transitions", "decoder"))
    assert abs(parts + whole["bound"].value) < 1e-3 * abs(parts)
    assert whole["bits_per_dim"].note == "upper bound"
    error = few["bound"].standard_error
    assert error is not None
    assert abs(few["bound"].value - whole["bound"].value) < 4 * error
    assert {"noising", "denoising"} <= {p.stem for p in run.figures.iterdir()}


def test_the_chain_of_pictures_starts_at_noise_and_ends_at_the_sample() -> None:
    model = build(DiffusionRecipe(**TINY), (1, 4, 4), 0)
    own = torch.arange(2)
    with torch.no_grad():
        rows = denoised(model, own).view(2, 2, 9, 1, 4, 4)
        x_T = seeds.noise(own, 0, (1, 4, 4))
        torch.testing.assert_close(rows[:, 0, 0], model.outwards(x_T))
        x = torch.rand(2, 1, 4, 4)
        grown = noised(model, x, own).view(2, 9, 1, 4, 4)
    torch.testing.assert_close(grown[:, 0], x)
    torch.testing.assert_close(grown[:, -1], model.outwards(x_T), atol=0.02, rtol=0)  # ᾱ is nearly 0
