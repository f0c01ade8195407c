"""The VAE's settings: the course's by default, and one sentence for each that cannot work."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from epslab import recipes
from epslab.errors import UserError
from epslab.generative.flows.posterior import FlowPosterior
from epslab.generative.flows.prior import FlowPrior
from epslab.generative.priors import MixturePrior, StandardNormal, VampPrior
from epslab.nets import ConvEncoder, PerceptronEncoder
from epslab.recipes import RECIPES, VAERecipe
from epslab.recipes.vae.plan import build


def test_defaults_are_the_courses_settings() -> None:
    recipe = VAERecipe()
    assert (recipe.levels, recipe.latent_dim, recipe.width, recipe.batch_size) == (16, 20, 32, 128)
    assert (recipe.learning_rate, recipe.epochs, recipe.sample_epochs) == (1e-3, 80, (0, 10, 80))
    assert sum(p.numel() for p in build(recipe, (1, 28, 28), 0).parameters()) == 270_616


def test_settings_load_without_torch() -> None:
    code = "import sys, epslab.recipes; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert RECIPES["vae"] is VAERecipe


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"beta": -1.0}, "`beta=` is -1.0, but must be 0 or more."),
        ({"beta": float("nan")}, "`beta=` is nan, but must be 0 or more."),
        ({"latent_dim": 0}, "`latent_dim=` is 0, but must be 1 or more."),
        ({"epochs": 0}, "`epochs=` is 0, but must be 1 or more."),
        ({"levels": 1}, "`levels=` is 1, but must be between 2 and 256."),
        ({"hidden": ()}, "`hidden=` is (), but must be one layer or more"),
        ({"learning_rate": 0.0}, "`learning_rate=` is 0.0, but must be more than 0, or `None`."),
        ({"gradient_clip": 0.0}, "`gradient_clip=` is 0.0, but must be more than 0, or `None`."),
        ({"ema_decay": 1.0}, "`ema_decay=` is 1.0, but must be between 0 and 1, or `None`."),
        ({"patience": 0}, "`patience=` is 0, but must be 1 or more, or `None`."),
        ({"validation_fraction": 1.0}, "`validation_fraction=` is 1.0, but must be between 0 and 1."),
        ({"likelihood": "bernoulli"}, "choose `binarise='threshold'`, static or dynamic."),
        ({"binarise": "static"}, "which only `likelihood='bernoulli'` describes."),
        ({"free_bits": 0.5, "prior": "mixture"}, "use `prior='normal'`."),
        ({"free_bits": 0.5, "posterior": "planar"}, "use `posterior='normal'`."),
        ({"prior": "flow", "latent_dim": 1}, "it needs `latent_dim=` of 2 or more, not 1."),
        ({"posterior_steps": 0}, "`posterior_steps=` is 0, but must be 1 or more."),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, object], sentence: str) -> None:
    with pytest.raises(UserError) as error:
        VAERecipe(**settings)  # type: ignore[arg-type]
    assert sentence in str(error.value)


def test_every_choice_builds_the_model_it_names() -> None:
    assert isinstance(build(VAERecipe(net="conv"), (3, 8, 8), 0).encoder, ConvEncoder)
    assert isinstance(build(VAERecipe(net="perceptron", hidden=(9, 7)), (1, 3, 3), 0).encoder, PerceptronEncoder)
    assert isinstance(build(VAERecipe(), (1, 8, 8), 0).encoder, PerceptronEncoder)
    assert isinstance(build(VAERecipe(), (1, 16, 16), 0).encoder, ConvEncoder)
    with pytest.raises(UserError, match="at least 4×4 pixels"):
        build(VAERecipe(), (1, 3, 8), 0)
    kinds = {"normal": StandardNormal, "mixture": MixturePrior, "vamp": VampPrior, "flow": FlowPrior}
    for name, kind in kinds.items():
        assert isinstance(build(VAERecipe(prior=name, components=3), (1, 8, 8), 0).prior, kind)  # type: ignore[arg-type]
    assert build(VAERecipe(), (1, 8, 8), 0).posterior.normal
    for posterior in ("planar", "radial"):
        made = build(VAERecipe(posterior=posterior, posterior_steps=3), (1, 8, 8), 0).posterior  # type: ignore[arg-type]
        assert isinstance(made, FlowPosterior)
        assert (made.kind, made.steps, made.latent_dim) == (posterior, 3, 20)
    for likelihood, channels in {"categorical": 16 * 3, "bernoulli": 3, "normal": 3, "logistic-mixture": 90}.items():
        binarise = "static" if likelihood == "bernoulli" else "none"
        vae = build(VAERecipe(likelihood=likelihood, binarise=binarise), (3, 8, 8), 0)  # type: ignore[arg-type]
        assert vae.decode(torch.zeros(2, 20)).shape == (2, channels, 8, 8)


def test_the_seed_decides_the_weights_and_the_global_generator_stays() -> None:
    before = torch.get_rng_state()
    a, b, c = (build(VAERecipe(width=4), (1, 8, 8), seed).encoder.mean.weight for seed in (0, 0, 1))  # type: ignore[union-attr]
    assert torch.equal(a, b)
    assert not torch.equal(a, c)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("net", ["conv", "perceptron"])
def test_initial_weights_are_torchs_or_hes(net: str) -> None:
    default, torchs, he = (
        build(VAERecipe(net=net, **init), (1, 8, 8), 0)  # type: ignore[arg-type]
        for init in ({}, {"init": "torch"}, {"init": "he"})
    )
    for a, b in zip(default.parameters(), torchs.parameters(), strict=True):
        assert torch.equal(a, b)
    kinds = torch.nn.Linear | torch.nn.Conv2d | torch.nn.ConvTranspose2d
    for part in (he.encoder, he.decoder):
        assert not any(layer.bias.any() for layer in part.modules() if isinstance(layer, kinds))  # type: ignore[union-attr]
    first = next(layer for layer in he.encoder.modules() if isinstance(layer, kinds))  # type: ignore[union-attr]
    spread = (2 / first.weight[0].numel()) ** 0.5
    assert first.weight.std().item() == pytest.approx(spread, rel=4 / (2 * first.weight.numel()) ** 0.5)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({}, "`likelihood='categorical'` is for images; use `likelihood='normal'`."),
        ({"likelihood": "normal", "net": "conv"}, "`net='conv'` is for images; use `net='perceptron'`."),
        ({"likelihood": "normal", "prior": "vamp"}, "the VampPrior's pseudo-inputs are images; use `prior='normal'`."),
    ],
)
def test_what_is_for_images_is_refused_for_points(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=re.escape(sentence)):
        build(VAERecipe(**settings), (2,), 0)


def test_a_vae_on_the_ring_learns_and_its_samples_are_counted_by_mode(tmp_path: Path) -> None:
    settings = VAERecipe(
        likelihood="normal", std=0.02, latent_dim=2, hidden=(64,), epochs=1, learning_rate=1e-2, sample_epochs=()
    )
    run = recipes.train(settings, data="ring", out=tmp_path / "run", progress=False)
    untrained, trained = run.metrics()["val/bits_per_dim"]
    assert trained < untrained / 100
    measured = recipes.evaluate(run, generated=300)
    assert 0 <= measured["modes_found"].value <= 8
    assert measured["good_samples"].interval is not None
    assert (run.figures / "modes.png").exists()
    assert any("modes have a sample within 3 standard deviations" in line for line in run.result()["statements"])
    assert torch.equal(recipes.sample(run, 5, seed=1), recipes.sample(run, 9, seed=1)[:5])
