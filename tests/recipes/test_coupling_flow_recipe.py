"""The coupling flow's recipe: its defaults by the kind of examples, its numbers, and settings that cannot work."""

import math
from pathlib import Path

import pytest
import torch

from epslab import recipes
from epslab.data import ImageSet, PointSet, load, toys
from epslab.errors import UserError
from epslab.generative.flows.dequantisation import UniformDequantisation, VariationalDequantisation
from epslab.generative.flows.equalise import Equalise
from epslab.recipes import RECIPES
from epslab.recipes.coupling_flow.pictures import interpolations
from epslab.recipes.coupling_flow.plan import build, plan
from epslab.recipes.coupling_flow.settings import CouplingFlowRecipe
from epslab.runs import Run
from epslab.training import Machine


def points(split: str) -> PointSet:
    """A data set by name."""
    return PointSet(toys.two_moons(400, generator=torch.Generator().manual_seed(int(split == "test"))))


def train(out: Path, data: str, **settings: object) -> Run:
    recipe = CouplingFlowRecipe(epochs=2, **settings)  # type: ignore[arg-type]
    return recipes.train(recipe, data=data, out=out, machine=Machine("cpu"), progress=False)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train(tmp_path_factory.mktemp("flow") / "run", "digits", steps=1, width=8, levels=16)


def test_the_name_is_the_contracts() -> None:
    assert RECIPES["coupling-flow"] is CouplingFlowRecipe


def test_defaults_follow_the_kind_of_examples() -> None:
    """Images get convolutions at two scales and learnt noise; points more steps and no noise."""
    images, plane = (build(CouplingFlowRecipe(), shape, 0) for shape in ((1, 28, 28), (2,)))
    assert isinstance(images.dequantisation, VariationalDequantisation)
    assert [len(scale.layers) for scale in images.body.scales] == [8, 8]  # type: ignore[arg-type]
    assert [len(scale.layers) for scale in plane.body.scales] == [32]  # type: ignore[arg-type]
    uniform = build(CouplingFlowRecipe(dequantisation="uniform"), (1, 8, 8), 0)
    assert isinstance(uniform.dequantisation, UniformDequantisation)


def test_the_first_layer_starts_from_the_training_images() -> None:
    images = load("digits", "train")
    made = plan(CouplingFlowRecipe(levels=16), images, 0)
    assert made.start is not None
    made.start()
    assert isinstance(made.model.first, Equalise)
    shares = torch.bincount((images.images * 16).long().clamp(max=15).flatten(), minlength=16) / images.pixels.numel()
    torch.testing.assert_close(made.model.first.logits.softmax(0), shares, rtol=0, atol=1e-4)


def test_a_run_is_measured_in_bits_with_its_bound_named(trained: Run) -> None:
    one = recipes.evaluate(trained, generated=0)
    many = recipes.evaluate(trained, generated=0, noise_samples=8)
    bits = one["bits_per_dim"]
    assert (bits.unit, bits.note, bits.headline) == ("bits/dim", "upper bound", True)
    assert bits.value == pytest.approx(-one["log_p"].value / (64 * math.log(2)))
    assert many["bits_per_dim"].value < bits.value  # more draws, a tighter bound
    assert 0 < bits.value < 4  # 4 bits/dim: every level equally likely
    assert "16 grey levels" in trained.result()["conditions"]


def test_paths_between_codes_begin_and_end_at_the_images(trained: Run) -> None:
    """Noise within a level does not change the level: the ends are the test images, in 16 grey levels."""
    flow, test = recipes.load(trained), load("digits", "test")[:4]
    paths = interpolations(flow, test, 0).view(2, 9, 1, 8, 8)
    ends = torch.cat([paths[0, [0, -1]], paths[1, [0, -1]]])
    wanted = (test.images * 16).long().clamp(max=15) / 15
    assert ((ends - wanted).abs() < 0.01).float().mean() > 0.99  # rounding moves a pixel at a level's border
    assert (paths[:, 4] - paths[:, 0]).abs().max() > 0.1


def test_points_are_measured_in_nats(tmp_path: Path) -> None:
    run = train(tmp_path / "run", f"{__name__}:points", steps=2, width=8)
    found = recipes.evaluate(run, generated=0)
    assert list(found) == ["log_p"]
    assert found["log_p"].headline
    assert run.metrics().keys() == {"epoch", "train/loss", "val/loss"}
    assert recipes.sample(run, 5).shape == (5, 2)
    assert "codes" in {picture.name for picture in run.pictures()}


def test_three_channels_and_odd_sides_are_planned() -> None:
    for shape in ((3, 5, 7), (3, 8, 8), (1, 4, 4)):
        images = ImageSet(torch.zeros(1, *shape, dtype=torch.uint8), torch.zeros(1, dtype=torch.int64), ("none",))
        assert plan(CouplingFlowRecipe(width=4), images, 0).model.sample(2).shape == (2, *shape)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"levels": 1}, "`levels=` is 1, but must be between 2 and 256."),
        ({"steps": 0}, "`steps=` is 0, but must be 1 or more, or `None`."),
        ({"width": 0}, "`width=` is 0, but must be 1 or more, or `None`."),
        ({"sample_epochs": (-1,)}, "`sample_epochs=` is (-1,), but must be epochs of 0 or more."),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, object], sentence: str) -> None:
    with pytest.raises(UserError) as error:
        CouplingFlowRecipe(**settings)  # type: ignore[arg-type]
    assert str(error.value) == sentence
