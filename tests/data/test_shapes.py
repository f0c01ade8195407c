"""The procedural shapes: every combination once, drawn where, as large and as bright as its factors say."""

import math

import pytest
import torch

from epslab.data import FactorSet, binarise, load
from epslab.data.shapes import FACTORS, KINDS, combinations, render
from epslab.errors import UserError


@pytest.fixture(scope="module")
def whole() -> tuple[torch.Tensor, torch.Tensor]:
    factors = combinations()
    return factors, render(factors)[:, 0].double() / 255


def of(factors: torch.Tensor, name: str) -> torch.Tensor:
    k = [*FACTORS].index(name)
    return torch.tensor(FACTORS[name], dtype=torch.float64)[factors[:, k]]


def test_the_splits_hold_every_combination_once_and_never_move() -> None:
    train, test = load("shapes", "train"), load("shapes", "test")
    assert isinstance(train, FactorSet)
    assert (len(train), len(test), train.image_shape, train.classes) == (2048, 1024, (1, 16, 16), KINDS)
    both = torch.cat([train.factors, test.factors])
    assert torch.equal(both.unique(dim=0), combinations())
    assert len(torch.cat([train.pixels, test.pixels]).unique(dim=0)) == len(both) == 3072
    assert torch.equal(train.labels, train.factors[:, 0])
    assert torch.equal(train.pixels, render(train.factors))
    assert train.checksum().startswith("sha256:12b41dfcc2ea9c902")
    assert test.checksum().startswith("sha256:5f2d807fca8c5e4d4")


def test_area_place_and_brightness_are_the_factors(whole: tuple[torch.Tensor, torch.Tensor]) -> None:
    factors, images = whole
    # The area is the disc's, up to half a subpixel along the border, which is longest for the triangle.
    size, brightness = of(factors, "size"), of(factors, "brightness")
    border = 6 * 3**0.25 * math.sqrt(math.pi) * size / 8
    error = images.sum((1, 2)) - math.pi * size**2 * brightness
    assert (error.abs() <= border * brightness).all()
    at = torch.arange(16, dtype=torch.float64) + 0.5
    mass = images.sum((1, 2))
    x, y = (images.sum(1) @ at) / mass, (images.sum(2) @ at) / mass
    assert (x - of(factors, "x")).abs().max() < 0.05
    assert (y - of(factors, "y")).abs().max() < 0.1
    assert (images.amax((1, 2)) - of(factors, "brightness")).abs().max() <= 0.5 / 255


def test_each_kind_has_its_outline() -> None:
    square, disc, triangle = render(torch.tensor([[kind, 3, 4, 4, 3] for kind in range(3)]))[:, 0].double() / 255
    assert torch.equal(disc, disc.T)
    assert torch.equal(square, square.T)
    assert square[6, 6] == 1  # the corner that the disc and the triangle do not reach
    assert max(disc[6, 6], triangle[6, 6]) < 1
    rows = triangle.sum(1)
    assert (rows[4:10].diff() > 0).all()  # it grows downwards


@pytest.mark.parametrize("factors", [[[3, 0, 0, 0, 0]], [[0, 0, 0, -1, 0]], [[0, 0, 0]]])
def test_values_that_no_factor_has_are_refused(factors: list[list[int]]) -> None:
    with pytest.raises(UserError, match=r"are no shapes; give rows of shape 0\.\.2, size 0\.\.3"):
        render(torch.tensor(factors))


def test_a_part_of_a_set_keeps_its_factors() -> None:
    test = load("shapes", "test")
    assert isinstance(test, FactorSet)
    for part in (test[5:20], test.take(20, seed=1), test.split([30, 40], 0)[1], test.to("cpu")):
        assert isinstance(part, FactorSet)
        assert torch.equal(part.pixels, render(part.factors))
        assert part.factor_names == tuple(FACTORS)
    binary = binarise(test, "threshold")
    assert isinstance(binary, FactorSet)
    assert torch.equal(binary.factors, test.factors)


def test_factors_that_do_not_fit_are_refused() -> None:
    pixels, labels = torch.zeros(2, 1, 4, 4, dtype=torch.uint8), torch.zeros(2, dtype=torch.int64)
    for factors in (torch.zeros(1, 1, dtype=torch.int64), torch.zeros(2, 1), torch.full((2, 1), -1), torch.zeros(2, 2)):
        with pytest.raises(UserError, match=r"give int64 \[2, 1\], 0 or more"):
            FactorSet(pixels, labels, ("one",), "", factors, ("size",))
