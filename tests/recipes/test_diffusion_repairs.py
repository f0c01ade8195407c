"""A diffusion model at work on test images, and its likelihood by the ODE, with the exact predictor for a net."""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from epslab import seeds
from epslab.data import ImageSet, PointSet
from epslab.generative.diffusion import Diffusion
from epslab.probability.schedules import cosine
from epslab.recipes.diffusion.exact import exact_measured
from epslab.recipes.diffusion.repairs import between, completed, draw_repairs
from epslab.recipes.diffusion.settings import Measures
from epslab.recipes.plan import Asked
from epslab.runs import Run

STD = 0.3  # of x_0, around 0: images around mid-grey


def noise(x_t: Tensor, t: Tensor) -> Tensor:
    """E[ε given x_t] at the times of cosine(40), and between them."""
    log_sigma, below = cosine(40).sigma.log(), t.floor().clamp(max=38).long()
    sigma = torch.lerp(log_sigma[below], log_sigma[below + 1], t.double() - below).exp().to(x_t)
    sigma = sigma.view(-1, *[1] * (x_t.ndim - 1))
    return x_t * (1 + sigma**2).sqrt() * sigma / (STD**2 + sigma**2)


def velocity(x_t: Tensor, time: Tensor) -> Tensor:
    t = (time / 1000).view(-1, *[1] * (x_t.ndim - 1)).to(x_t)
    return x_t * (t - (1 - t) * STD**2) / ((1 - t) ** 2 * STD**2 + t**2)


MODELS = {
    "noise": lambda *shape: Diffusion(noise, cosine(40), shape),
    "flow": lambda *shape: Diffusion(velocity, cosine(40), shape, predicts="flow"),
}


def images(n: int = 6, c: int = 1, h: int = 5, w: int = 4) -> Tensor:
    return 0.5 + 0.1 * torch.randn(n, c, h, w, generator=seeds.generator(0, "images")).clamp(-3, 3)


@pytest.mark.parametrize("name", MODELS)
def test_completions_keep_what_is_known_and_differ_in_the_rest(name: str) -> None:
    model, given = MODELS[name](1, 5, 4), images(2)
    mask = torch.zeros(1, 5, 4, dtype=torch.bool)
    mask[:, :2] = True
    drawn = completed(model, given, mask, seeds.draw(6, seeds.generator(0, "repairs")))
    assert drawn.shape == (2, 3, 1, 5, 4)
    for row, image in zip(drawn, given, strict=True):
        torch.testing.assert_close(row[:, mask], image[mask].expand(3, -1), rtol=0.0, atol=1e-6)
        assert (row[0] - row[1])[~mask].abs().min() > 1e-4
    assert abs(drawn[:, :, ~mask].std().item() - STD / 2) < 0.07


@pytest.mark.parametrize("name", MODELS)
def test_walks_lead_from_image_to_image(name: str) -> None:
    model, (a, b) = MODELS[name](1, 5, 4), images(4).chunk(2)
    walks = between(model, a, b)
    assert walks.shape == (2, 7, 1, 5, 4)
    assert (walks[:, 0] - a).abs().max() < 0.1
    assert (walks[:, -1] - b).abs().max() < 0.1
    steps = (walks[:, 1:] - walks[:, :-1]).flatten(2).norm(dim=2)
    assert steps.max() < 3 * steps.min()


@pytest.mark.parametrize("shape", [(1, 5, 4), (3, 7, 9)])
def test_pictures_are_drawn_of_any_shape_and_of_a_single_pair(shape: tuple[int, int, int], tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    draw_repairs(MODELS["noise"](*shape), run, images(3, *shape), 0)
    assert {file.name for file in run.figures.glob("*.png")} == {"inpainting.png", "interpolations.png"}


@pytest.mark.parametrize("name", MODELS)
def test_the_likelihood_by_the_ode_is_measured_with_the_error_of_its_solver(name: str) -> None:
    """Uniform noise on 256 grey levels of N(½, (STD/2)²) costs the entropy of that law and log2 255 more."""
    pixels = (images(80) * 255).round().to(torch.uint8)
    held_out = ImageSet(pixels, torch.zeros(80, dtype=torch.int64), ("a",))
    found = exact_measured(MODELS[name](1, 5, 4), held_out, 80, Asked(batch_size=50))
    cost, error = found.measurements
    assert cost.key == "bits_per_dim_ode"
    x = (pixels.double() / 255 - 0.5) / (STD / 2)
    nats = 0.5 * x.square() + math.log(STD / 2) + 0.5 * math.log(2 * math.pi) + math.log(255)
    assert cost.value == pytest.approx(nats.mean().item() / math.log(2), abs=0.03)
    assert cost.standard_error == pytest.approx(nats.flatten(1).mean(1).std().item() / math.log(2) / 80**0.5, rel=0.1)
    assert 0 <= error.value < 0.01
    assert found.statements == ["The ODE was solved for 80 test images."]


def test_points_are_measured_by_their_density() -> None:
    points = PointSet(STD * torch.randn(30, 2, generator=seeds.generator(0, "points")))
    cost, error = exact_measured(MODELS["flow"](2), points, 20, Asked()).measurements
    chosen = points.take(20, 0).points.double()
    nats = (0.5 * (chosen / STD).square() + math.log(STD) + 0.5 * math.log(2 * math.pi)).sum(1)
    assert (cost.key, cost.unit, cost.note) == ("nll_ode", "nats", "exact")
    assert cost.value == pytest.approx(nats.mean().item(), abs=1e-3)
    assert error.value < 0.01


def test_a_negative_number_of_examples_is_refused() -> None:
    with pytest.raises(ValueError, match="`exact=` is -1, but must be 0 or more"):
        Measures(exact=-1)
