"""The classifiers' settings: defaults that can be trusted, the course's, and a sentence for each that cannot work."""

import dataclasses
import subprocess
import sys
from typing import Any

import pytest
import torch

from epslab.data import ImageSet
from epslab.errors import UserError
from epslab.recipes import COURSE, RECIPES, ClassifierRecipe, ResNet18Recipe, SmallCNNRecipe
from epslab.recipes.checks import pixels
from epslab.recipes.classifier.model import augmentation, build, channel_statistics
from epslab.recipes.classifier.plan import optimiser, plan
from epslab.recipes.common import TrainingSettings


def black(shape: tuple[int, int, int], classes: int) -> ImageSet:
    """One black image, with the names of so many classes."""
    pixels = torch.zeros(1, *shape, dtype=torch.uint8)
    return ImageSet(pixels, torch.zeros(1, dtype=torch.int64), tuple(map(str, range(classes))))


def test_the_courses_settings() -> None:
    assert (COURSE.optimiser, COURSE.learning_rate, COURSE.momentum, COURSE.weight_decay) == ("sgd", 5e-4, 0.9, 0.0)
    assert (COURSE.schedule, COURSE.batch_size, COURSE.epochs, COURSE.stem) == ("step", 64, 30, "cifar-pool")
    augment = augmentation(COURSE, (3, 32, 32))
    assert augment is not None
    assert (augment.flip, augment.pad) == (True, 4)


def test_every_recipe_is_one_and_loads_without_torch() -> None:
    assert {"vae", "gan", "wgan", "wgan-gp", "small-cnn", "resnet18"} <= set(RECIPES)
    assert all(isinstance(recipe(), TrainingSettings) for recipe in RECIPES.values())
    code = "import sys, epslab.recipes as r; [make() for make in r.RECIPES.values()]; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"epochs": 0}, "`epochs=` is 0, but must be 1 or more."),
        ({"batch_size": 0}, "`batch_size=` is 0, but must be 1 or more."),
        ({"learning_rate": 0.0}, "`learning_rate=` is 0.0, but must be more than 0, or `None`."),
        ({"momentum": 1.0}, "`momentum=` is 1.0, but must be 0 or more and below 1."),
        ({"weight_decay": -1.0}, "`weight_decay=` is -1.0, but must be 0 or more."),
        ({"label_smoothing": 1.0}, "`label_smoothing=` is 1.0, but must be 0 or more and below 1."),
        ({"ema_decay": 1.0}, "`ema_decay=` is 1.0, but must be between 0 and 1, or `None`."),
        ({"gradient_clip": 0.0}, "`gradient_clip=` is 0.0, but must be more than 0, or `None`."),
        ({"patience": 0}, "`patience=` is 0, but must be 1 or more, or `None`."),
        ({"validation_fraction": 0.0}, "`validation_fraction=` is 0.0, but must be between 0 and 1."),
        ({"attack_steps": 0}, "`attack_steps=` is 0, but must be 1 or more, or `None`."),
        ({"clean_weight": 1.5}, "`clean_weight=` is 1.5, but must be between 0 and 1."),
        ({"radius": "8/x"}, "`radius=` is '8/x', but must be a number such as 0.3 or a fraction such as 8/255"),
        ({"radius": -0.1}, "`radius=` is '-0.1'"),
        ({"radius": float("nan")}, "`radius=` is 'nan'"),
        ({"attack_step_size": "1/0"}, "`attack_step_size=` is '1/0'"),
        ({"radius_warmup_epochs": -1.0}, "`radius_warmup_epochs=` is -1.0, but must be 0 or more."),
        ({"defence": "adversarial-batch", "clean_weight": 0.0}, "an adversarial batch is half clean and half attacked"),
        ({"width": 0}, "`width=` is 0, but must be 1 or more."),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError) as error:
        SmallCNNRecipe(**settings)
    assert sentence in str(error.value)


def test_lengths_are_numbers_or_fractions() -> None:
    assert [pixels(value, "radius") for value in ("8/255", "0.3", 0.3, " 1 / 4 ", 0.0)] == [
        8 / 255,
        0.3,
        0.3,
        0.25,
        0.0,
    ]


def test_augmentation_suits_the_images() -> None:
    kinds = [SmallCNNRecipe().augmentation(shape) for shape in ((1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 8, 8))]
    assert kinds == ["crop", "crop", "flip-crop", "flip-crop"]
    assert augmentation(SmallCNNRecipe(augment="none"), (1, 28, 28)) is None
    crop = augmentation(SmallCNNRecipe(), (1, 28, 28))
    assert crop is not None
    assert (crop.flip, crop.pad) == (False, 3)
    small = augmentation(SmallCNNRecipe(augment="crop"), (1, 4, 4))
    assert small is not None
    assert small.pad == 1


def test_images_are_normalised_by_their_channels_statistics() -> None:
    draw = torch.Generator().manual_seed(0)
    varied = torch.randint(0, 256, (50, 2, 6, 5), generator=draw, dtype=torch.uint8)
    constant = torch.full((50, 1, 6, 5), 51, dtype=torch.uint8)
    images = ImageSet(torch.cat([varied, constant], 1), torch.zeros(50, dtype=torch.int64), ("a", "b"))
    mean, std = channel_statistics(images)
    exact = varied.double() / 255
    torch.testing.assert_close(mean[:2], exact.mean((0, 2, 3)), rtol=1e-12, atol=0)
    torch.testing.assert_close(std[:2], exact.std((0, 2, 3), correction=0), rtol=1e-12, atol=0)
    assert (float(mean[2]), float(std[2])) == (pytest.approx(0.2), 1.0)
    model = plan(SmallCNNRecipe(width=2), images, 0).model
    assert torch.equal(model.state_dict()["mean"].flatten(), mean.float())
    assert torch.equal(model.state_dict()["std"].flatten(), std.float())


@pytest.mark.parametrize("recipe", [SmallCNNRecipe(width=2), ResNet18Recipe(stem="imagenet")])
def test_every_recipe_builds_its_net_and_knows_its_first_and_last_layer(recipe: ClassifierRecipe) -> None:
    before = torch.get_rng_state()
    a, b, c = (build(recipe, black((1, 8, 8), 7), seed) for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    assert a.eval()(torch.rand(2, 1, 8, 8)).shape == (2, 7)
    weights = [next(model.parameters()) for model in (a, b, c)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    names = [name for name, _ in a.net.named_parameters()]
    assert names[0].startswith(recipe.free[0])
    assert names[-1].startswith(recipe.free[1])


def test_optimisers_have_their_own_rate() -> None:
    weights = [torch.nn.Parameter(torch.zeros(1))]
    sgd = optimiser(SmallCNNRecipe(momentum=0.5, weight_decay=0.25))(weights)
    assert {key: sgd.defaults[key] for key in ("lr", "momentum", "weight_decay")} == {
        "lr": 0.1, "momentum": 0.5, "weight_decay": 0.25,
    }  # fmt: skip
    assert optimiser(SmallCNNRecipe(optimiser="adam"))(weights).defaults["lr"] == 3e-3
    assert optimiser(SmallCNNRecipe(learning_rate=0.7))(weights).defaults["lr"] == 0.7


def test_only_a_defence_is_chosen_by_its_error_under_attack() -> None:
    recipe, images = SmallCNNRecipe(width=2), black((1, 8, 8), 3)
    assert plan(recipe, images, 0).monitor == "val/error"
    assert plan(dataclasses.replace(recipe, defence="adversarial-batch"), images, 0).monitor == "val/robust_error"
