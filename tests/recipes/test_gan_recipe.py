"""The recipes of adversarial networks: the papers' settings by the data's shape, one sentence for what cannot work."""

from typing import Any

import pytest
import torch
from torch import nn

from epslab import recipes
from epslab.data import PointSet
from epslab.errors import UserError
from epslab.generative.gan import GAN, CriticObjective, GeneratorObjective, WassersteinGAN
from epslab.nets import ConvGenerator, PerceptronGenerator
from epslab.recipes import RECIPES
from epslab.recipes.gan.plan import build, plan, turns
from epslab.recipes.gan.settings import AdversarialRecipe, GANRecipe, GradientPenaltyRecipe, WassersteinRecipe
from epslab.runs import Run
from epslab.training import Machine

DIGITS, MNIST, POINTS = (1, 8, 8), (1, 28, 28), (2,)
NAMES = {"gan": GANRecipe, "wgan": WassersteinRecipe, "wgan-gp": GradientPenaltyRecipe}


def test_the_names_are_the_recipes() -> None:
    assert {name: RECIPES[name] for name in NAMES} == NAMES


@pytest.mark.parametrize(
    ("recipe", "settings", "sentence"),
    [
        ("gan", {"latent_dim": 0}, "`latent_dim=` is 0, but must be 1 or more, or `None`."),
        ("gan", {"critic_steps": 0}, "`critic_steps=` is 0, but must be 1 or more."),
        ("gan", {"width": 0}, "`width=` is 0, but must be 1 or more."),
        ("gan", {"hidden": ()}, "`hidden=` is (), but must be one layer or more"),
        ("gan", {"sample_epochs": (3, -1)}, "`sample_epochs=` is (3, -1), but must be epochs of 0 or more."),
        ("wgan", {"clip": 0.0}, "`clip=` is 0.0, but must be more than 0, or `None`."),
        ("wgan-gp", {"penalty": -1.0}, "`penalty=` is -1.0, but must be more than 0, or `None`."),
        ("wgan-gp", {"epochs": 0}, "`epochs=` is 0, but must be 1 or more."),
    ],
)
def test_settings_that_cannot_work_are_refused(recipe: str, settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError) as error:
        RECIPES[recipe](**settings)
    assert sentence in str(error.value)


def test_the_net_follows_the_shape() -> None:
    for shape, kind in ((DIGITS, PerceptronGenerator), (MNIST, ConvGenerator), (POINTS, PerceptronGenerator)):
        assert isinstance(build(GANRecipe(width=2), shape, 0).generator, kind)
    assert isinstance(build(GANRecipe(width=2, net="conv"), DIGITS, 0).generator, ConvGenerator)
    assert isinstance(build(GANRecipe(net="perceptron"), MNIST, 0).generator, PerceptronGenerator)
    with pytest.raises(UserError, match="these examples are points of shape"):
        build(GANRecipe(net="conv"), POINTS, 0)


def test_points_have_fewer_latents_and_deeper_nets() -> None:
    for shape, latent_dim, layers in ((DIGITS, 64, 3), (POINTS, 8, 4)):
        model = build(GANRecipe(), shape, 0)
        assert model.latent_dim == latent_dim
        for net in (model.generator, model.discriminator):
            assert sum(isinstance(part, nn.Linear) for part in net.modules()) == layers  # type: ignore[union-attr]
    assert build(GANRecipe(latent_dim=3, hidden=(9,)), POINTS, 0).generator.body[0].weight.shape == (9, 3)  # type: ignore[union-attr, index]


def test_generators_of_images_are_normalised_over_the_batch_and_what_judges_never_is() -> None:
    def normalised(net: nn.Module) -> bool:
        return any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in net.modules())

    for shape in (DIGITS, MNIST, POINTS):
        gan, wasserstein = build(GANRecipe(width=2), shape, 0), build(WassersteinRecipe(width=2), shape, 0)
        assert normalised(gan.generator) == (shape != POINTS)
        assert not normalised(gan.discriminator)  # type: ignore[arg-type]
        assert not normalised(wasserstein.critic)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("settings", "shape", "rate", "betas"),
    [
        (GANRecipe(width=2), MNIST, 2e-4, (0.5, 0.999)),
        (GANRecipe(), DIGITS, 5e-4, (0.5, 0.999)),
        (GANRecipe(), POINTS, 1e-3, (0.5, 0.999)),
        (GradientPenaltyRecipe(width=2), MNIST, 2e-4, (0.0, 0.9)),
        (GradientPenaltyRecipe(learning_rate=0.1), POINTS, 0.1, (0.0, 0.9)),
        (WassersteinRecipe(width=2), MNIST, 5e-5, None),
    ],
)
def test_both_turns_have_the_papers_optimiser(
    settings: AdversarialRecipe, shape: tuple[int, ...], rate: float, betas: tuple[float, float] | None
) -> None:
    model = build(settings, shape, 0)
    both = turns(settings, model, shape)
    judging, generating = both.values()
    assert (judging.every, generating.every) == (1, settings.critic_steps)
    for turn in both.values():
        assert turn.optimiser is not None
        assert turn.schedule is not None
        made = turn.optimiser(turn.parameters())
        assert made.defaults["lr"] == rate
        assert made.defaults.get("betas") == betas
    clipped = isinstance(settings, WassersteinRecipe)
    assert isinstance(model, GAN if isinstance(settings, GANRecipe) else WassersteinGAN)
    assert (max(float(p.detach().abs().max()) for p in judging.parameters()) <= 0.01) == clipped


def test_the_settings_reach_the_objectives() -> None:
    generating = turns(GANRecipe(loss="minimax"), build(GANRecipe(), POINTS, 0), POINTS)["generator"].objective
    assert isinstance(generating, GeneratorObjective)
    assert generating.kind == "minimax"
    for settings, shape, penalty in (
        (GradientPenaltyRecipe(), POINTS, 0.1),
        (GradientPenaltyRecipe(), DIGITS, 10.0),
        (GradientPenaltyRecipe(penalty=3.0), DIGITS, 3.0),
        (WassersteinRecipe(), DIGITS, 0.0),
    ):
        judging = turns(settings, build(settings, shape, 0), shape)["critic"].objective
        assert isinstance(judging, CriticObjective)
        assert judging.penalty == penalty


def test_points_are_standardised_inside() -> None:
    """Both nets see points of unit size, and a run's weights keep the scale: a plan for one point has none."""
    points = PointSet(torch.tensor([[99.0, 103.0], [101.0, 97.0]]))
    model = plan(GANRecipe(), points, 0).model
    for part in (model.generator.scaling, model.discriminator.scaling):
        assert part.centre == 100.0
        assert part.scale == pytest.approx(5**0.5)
    assert model.sample(100, torch.Generator().manual_seed(0)).mean() == pytest.approx(100.0, abs=3.0)
    lone = plan(GANRecipe(), PointSet(torch.zeros(1, 2)), 0).model
    lone.load_state_dict(model.state_dict())
    assert torch.equal(
        lone.sample(3, torch.Generator().manual_seed(0)), model.sample(3, torch.Generator().manual_seed(0))
    )


@pytest.fixture(scope="module")
def ring(tmp_path_factory: pytest.TempPathFactory) -> Run:
    settings = GradientPenaltyRecipe(epochs=1, batch_size=512, hidden=(16,), latent_dim=2, sample_epochs=(0,))
    out = tmp_path_factory.mktemp("gan") / "ring"
    return recipes.train(settings, data="ring", out=out, machine=Machine("cpu"), progress=False)


def test_a_model_that_has_hardly_learnt_has_collapsed_and_is_warned_of(ring: Run) -> None:
    numbers = recipes.evaluate(ring, generated=500)
    assert numbers["spread"].value < 0.5
    assert numbers["modes_found"].headline
    assert "classes_drawn" not in numbers  # modes are counted against their centres, once
    [warning] = [line for line in ring.result()["warnings"] if "collapsed" in line]
    assert warning.startswith("The model has collapsed: two samples lie")
    assert {"plane", "samples-epoch-0000", "samples-epoch-0001"} <= {picture.name for picture in ring.pictures()}


def test_the_curves_of_both_turns_are_declared(ring: Run) -> None:
    metrics = ring.metrics()
    for name in ("critic/loss", "critic/wasserstein", "critic/penalty", "generator/loss", "generator/diversity"):
        assert len(metrics[f"val/{name}"]) == 2
        assert ring.columns()[name].label


def test_without_samples_nothing_is_said_of_collapse(ring: Run) -> None:
    assert "spread" not in recipes.evaluate(ring, generated=0)
