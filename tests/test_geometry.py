import math
import re
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import stats

from epslab import seeds
from epslab.errors import UserError
from epslab.geometry import L1, L2, Ball, Linf
from epslab.seeds import generator

MAKERS = [Linf, L2, L1]
ids = ["linf", "l2", "l1"]
Maker = Callable[[float | torch.Tensor], Ball]
RADII = {"linf": 8 / 255, "l2": 0.5, "l1": 3.0}
TYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16]


def levels(n: int = 6, channels: int = 3, side: int = 8, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Images of float k/255."""
    return (torch.randint(0, 256, (n, channels, side, side), generator=generator(0, "levels")) / 255).to(dtype)


def moved(images: torch.Tensor, size: float = 0.3) -> torch.Tensor:
    return images + size * torch.randn(images.shape, generator=generator(0, "moved")).to(images.dtype)


def excess(points: torch.Tensor, centre: torch.Tensor, norm: str, radius: float) -> np.ndarray:
    """How far outside points are, by numpy in float64: nothing here is shared with the code under test."""
    delta = points.double().numpy() - centre.double().numpy()
    orders = {"linf": np.inf, "l2": 2, "l1": 1}
    return np.array([np.linalg.norm(row.ravel(), orders[norm]) for row in delta]) - radius


@pytest.mark.parametrize("make", MAKERS, ids=ids)
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("size", [0.001, 0.05, 0.3, 100.0])
def test_a_projection_is_inside_in_a_float64_check_and_changes_nothing_twice(
    make: Maker, dtype: torch.dtype, size: float
) -> None:
    images = levels(dtype=dtype)
    for radius in (0.0, 1 / 255, 0.1, 0.5, 3.0):
        ball = make(radius)
        once = ball.project(moved(images, size), images)
        assert once.dtype == dtype
        assert (excess(once, images, ball.norm, radius) <= 0).all()
        assert torch.equal(ball.project(once, images), once)


@pytest.mark.parametrize("make", MAKERS, ids=ids)
def test_every_level_of_a_float32_image_stays_inside_where_the_obvious_rounding_does_not(make: Maker) -> None:
    levels_0_to_255 = (torch.arange(256, dtype=torch.float32) / 255).view(256, 1, 1, 1)
    overshoots = 0
    for k in range(1, 33):
        radius, ball = k / 255, make(k / 255)
        for sign in (-1.0, 1.0):
            obvious = levels_0_to_255 + sign * radius
            overshoots += (excess(obvious, levels_0_to_255, ball.norm, radius) > 0).sum()
            for step in (1.0, 1.7):
                projected = ball.project(levels_0_to_255 + sign * step * radius, levels_0_to_255)
                assert (excess(projected, levels_0_to_255, ball.norm, radius) <= 0).all()
                # Nor is anything given away: the bound is the last number inside, or the one before it.
                assert (excess(projected, levels_0_to_255, ball.norm, radius) > -2e-7).all()
    assert overshoots > 1000


@pytest.mark.parametrize("make", MAKERS, ids=ids)
@pytest.mark.parametrize("dtype", TYPES)
def test_draws_are_inside_in_a_float64_check(make: Maker, dtype: torch.dtype) -> None:
    images = levels(dtype=dtype)
    ball = make(0.4)
    for counter in range(5):
        draw = ball.sample(images, seeds=torch.arange(len(images)), counter=counter)
        assert draw.dtype == dtype
        assert (excess(draw, images, ball.norm, 0.4) <= 0).all()
        assert not torch.equal(draw, images)


@pytest.mark.parametrize("make", MAKERS, ids=ids)
def test_the_longest_draw_there_can_be_is_inside(make: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        seeds, "uniform", lambda own, _, shape, dtype: torch.full((len(own), *shape), 1 - 2.0**-53, dtype=dtype)
    )
    centre = torch.zeros(50, 3, 4, 4, dtype=torch.float64)
    draw = make(0.4).sample(centre, seeds=torch.arange(50))
    beyond = excess(draw, centre, make(0.4).norm, 0.4)
    assert (beyond <= 0).all()
    assert (beyond > -1e-9).all()


@pytest.mark.parametrize("make", MAKERS, ids=ids)
def test_points_inside_come_back_bit_for_bit_and_radius_zero_gives_the_centre(make: Maker) -> None:
    images, ball = levels(), make(0.3)
    inside = make(0.29).sample(images, seeds=torch.arange(len(images)))
    assert torch.equal(ball.project(inside, images), inside)
    on_the_sphere, zero = torch.tensor([[0.375, 0.5]], dtype=torch.float64), torch.zeros(1, 2, dtype=torch.float64)
    radius = {"linf": 0.5, "l2": 0.625, "l1": 0.875}[str(ball.norm)]
    assert torch.equal(make(radius).project(on_the_sphere, zero), on_the_sphere)
    assert torch.equal(make(0.0).project(moved(images), images), images)
    assert torch.equal(make(0.0).sample(images, seeds=torch.arange(len(images))), images)


@pytest.mark.parametrize("make", MAKERS, ids=ids)
def test_a_projector_is_the_projection_bit_for_bit(make: Maker) -> None:
    images, ball = levels(), make(0.2)
    projector = ball.projector(images)
    for size in (0.01, 0.1, 1.0):
        expected = ball.project(moved(images, size), images)
        assert torch.equal(projector(moved(images, size)), expected)
        for part in (torch.tensor([4, 0]), torch.arange(6) % 2 == 0, slice(1, 4)):
            assert torch.equal(projector[part](moved(images, size)[part]), expected[part])


@pytest.mark.parametrize("make", MAKERS, ids=ids)
def test_tiny_and_huge_distances_are_projected(make: Maker) -> None:
    images = levels(dtype=torch.float64)
    for size in (1e-12, 1e-6, 1e6, 1e12):
        for radius in (1e-9, 1.0):
            projected = make(radius).project(moved(images, size), images)
            assert (excess(projected, images, make(radius).norm, radius) <= 0).all()


@pytest.mark.parametrize("make", MAKERS, ids=ids)
def test_a_point_that_is_the_centre_stays_it(make: Maker) -> None:
    images = levels()
    assert torch.equal(make(0.1).project(images, images), images)


@pytest.mark.parametrize("make", MAKERS, ids=ids)
def test_a_radius_per_example_is_that_examples_ball(make: Maker) -> None:
    images, radii = levels(), torch.tensor([0.0, 0.01, 0.1, 0.5, 1.0, 9.0], dtype=torch.float64)
    ball, far = make(radii), moved(images)
    together, draws = ball.project(far, images), ball.sample(images, seeds=torch.arange(6))
    assert torch.equal(together[0], images[0])
    for i, radius in enumerate(radii.tolist()):
        alone = make(radius)
        assert torch.equal(alone.project(far[i : i + 1], images[i : i + 1])[0], together[i])
        assert torch.equal(alone.sample(images[i : i + 1], seeds=torch.tensor([i]))[0], draws[i])


def test_part_of_a_ball_is_the_ball_of_those_examples() -> None:
    radii = torch.tensor([0.1, 0.2, 0.3])
    mask = torch.tensor([True, False, True])
    assert L2(radii)[mask] == L2(torch.tensor([0.1, 0.3]))
    assert L2(radii)[torch.tensor([2, 0])] == L2(torch.tensor([0.3, 0.1]))
    assert L2(radii)[1:] == L2(torch.tensor([0.2, 0.3]))
    assert Linf(0.1)[mask] == Linf(0.1)


def test_a_scaled_ball_has_a_multiple_of_the_radius() -> None:
    assert Linf(0.1).scaled(2.5) == Linf(0.25)
    assert L1(0.5).scaled(torch.tensor([1.0, 2.0])) == L1(torch.tensor([0.5, 1.0]))
    assert L2(torch.tensor([0.5, 1.0])).scaled(0.5) == L2(torch.tensor([0.25, 0.5]))
    assert L2(torch.tensor([0.5, 1.0])).scaled(torch.tensor([2.0, 0.0])) == L2(torch.tensor([1.0, 0.0]))


def test_the_radii_of_n_examples_are_float64() -> None:
    assert torch.equal(Linf(0.1).radii(3), torch.full((3,), 0.1, dtype=torch.float64))
    radii = torch.tensor([0.5, 0.25])
    assert torch.equal(Linf(radii).radii(2), radii.double())


def test_balls_are_compared_by_their_settings() -> None:
    assert Linf(0.5) == Ball("linf", 0.5) == Ball(math.inf, 0.5) == Ball("linf", torch.tensor(0.5))
    assert L2(1.0) == Ball(2, 1) == Ball(2.0, 1.0)
    assert L1(1.0) == Ball(1, 1.0)
    assert Ball(2, 1).norm == "l2"
    assert isinstance(Ball(2, 1).radius, float)
    assert Linf(0.5) != L2(0.5) != L2(0.25)
    assert Linf(0.5) != 0.5
    radii = torch.tensor([0.5, 0.25])
    assert L2(radii) == L2(radii.clone()) != L2(radii.flip(0))
    assert L2(radii) != L2(0.5)
    assert len({L2(radii), L2(radii.clone()), L2(0.5), L2(0.5), L1(0.5)}) == 3


def test_a_ball_keeps_its_own_copy_of_the_radii() -> None:
    radii = torch.tensor([0.5, 0.25])
    ball = L2(radii)
    radii.zero_()
    assert ball == L2(torch.tensor([0.5, 0.25]))


@pytest.mark.parametrize("make", MAKERS, ids=ids)
@pytest.mark.parametrize("dtype", TYPES)
def test_the_memory_format_is_kept(make: Maker, dtype: torch.dtype) -> None:
    images = levels(dtype=dtype).contiguous(memory_format=torch.channels_last)
    ball, far = make(0.3), moved(images)
    assert far.is_contiguous(memory_format=torch.channels_last)
    for result in (ball.project(far, images), ball.ascent(far), ball.sample(images, seeds=torch.arange(len(images)))):
        assert result.is_contiguous(memory_format=torch.channels_last)
        assert not result.is_contiguous()
    plain = levels(dtype=dtype)
    torch.testing.assert_close(ball.project(far, images), ball.project(moved(plain), plain))
    assert torch.equal(
        ball.sample(images, seeds=torch.arange(len(images))), ball.sample(plain, seeds=torch.arange(len(images)))
    )


@pytest.mark.parametrize("make", MAKERS, ids=ids)
@pytest.mark.parametrize("dtype", TYPES)
def test_the_scale_of_a_gradient_does_not_matter_and_zero_has_no_direction(make: Maker, dtype: torch.dtype) -> None:
    g = levels(dtype=dtype) - 0.5
    ball, limits = make(1.0), torch.finfo(dtype)
    expected = ball.ascent(g)
    zero = torch.zeros_like(g)
    assert torch.equal(ball.ascent(zero), zero)
    assert expected.dtype == dtype
    assert (ball.distance(expected, zero) <= 1 + 4 * limits.eps).all()
    smallest = torch.zeros_like(g)
    smallest[:, 1, 2, 3] = -limits.smallest_normal * limits.eps  # the smallest number there is
    direction = ball.ascent(smallest)
    assert (direction[:, 1, 2, 3] == -1).all()
    assert direction.abs().sum() == len(g)
    rounding = {"rtol": 4 * limits.eps, "atol": 0.0}
    torch.testing.assert_close(ball.ascent(g * 2.0**-4), expected, **rounding)
    torch.testing.assert_close(ball.ascent(g * (limits.max / 2)), expected, **rounding)


def test_the_first_of_equal_largest_coordinates_is_the_l1_direction() -> None:
    g = torch.tensor([[[[1.0, -3.0], [3.0, 0.0]]]])
    assert L1(1.0).ascent(g).tolist() == [[[[0.0, -1.0], [0.0, 0.0]]]]


def test_distance_and_dual_norm_are_numpys_in_float64() -> None:
    x, y = levels(dtype=torch.float16), moved(levels(dtype=torch.float16), 30.0)
    delta = (y.double() - x.double()).flatten(1).numpy()
    orders = [(Linf, np.inf, 1), (L2, 2, 2), (L1, 1, np.inf)]
    for make, order, dual in orders:
        distance = make(1.0).distance(y, x)
        assert distance.dtype == torch.float64
        np.testing.assert_allclose(distance.numpy(), np.linalg.norm(delta, order, axis=1), rtol=1e-14)
        own = make(1.0).dual(torch.from_numpy(delta))
        np.testing.assert_allclose(own.numpy(), np.linalg.norm(delta, dual, axis=1), rtol=1e-14)
        assert make(1.0).dual(y).dtype == torch.float64


@pytest.mark.parametrize("make", MAKERS, ids=ids)
def test_a_draw_belongs_to_the_example(make: Maker) -> None:
    images, ball = levels(), make(0.3)
    own = seeds.of_indices(1, torch.arange(len(images)))
    draws = ball.sample(images, seeds=own)
    order = torch.tensor([4, 1, 5])
    assert torch.equal(ball.sample(images[order], seeds=own[order]), draws[order])
    assert not torch.equal(ball.sample(images, seeds=own, counter=1), draws)
    assert torch.equal(ball.sample(images, generator(5)), ball.sample(images, generator(5)))
    assert torch.equal(ball.sample(images, generator(5)), ball.sample(images, seeds=seeds.draw(6, generator(5))))


@pytest.mark.parametrize("make", [L2, L1], ids=["l2", "l1"])
def test_the_length_of_a_draw_is_independent_of_its_direction(make: Maker) -> None:
    n = 5000
    centre = torch.zeros(n, 2, dtype=torch.float64)
    draws = make(1.0).sample(centre, seeds=seeds.of_indices(0, torch.arange(n)))
    length = make(1.0).distance(draws, centre)
    shares = draws / length[:, None]
    for values in (shares[:, 0], shares[:, 0].abs(), shares[:, 0] * shares[:, 1]):
        assert stats.spearmanr(length, values).pvalue > 1e-4


def test_the_default_generator_draws_where_none_is_given() -> None:
    images = levels()
    with seeds.seeded(0):
        first = Linf(0.1).sample(images)
        second = Linf(0.1).sample(images)
    with seeds.seeded(0):
        assert torch.equal(Linf(0.1).sample(images), first)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("make", MAKERS, ids=ids)
def test_no_examples_are_no_trouble(make: Maker) -> None:
    empty = torch.zeros(0, 3, 4, 4)
    ball = make(0.1)
    own = torch.zeros(0, dtype=torch.int64)
    for result in (ball.project(empty, empty), ball.ascent(empty), ball.sample(empty, seeds=own)):
        assert result.shape == empty.shape
    assert ball.distance(empty, empty).shape == (0,)


@pytest.mark.parametrize("make", MAKERS, ids=ids)
def test_numbers_next_to_zero_are_rounded_towards_the_centre(make: Maker) -> None:
    # The neighbours of 0 are subnormal numbers of either sign, and half types get there by bit patterns.
    for dtype in TYPES:
        tiny = torch.finfo(dtype).smallest_normal * torch.finfo(dtype).eps
        values = torch.tensor([-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0], dtype=torch.float64) * tiny
        centre = values.to(dtype).view(-1, 1)
        for radius in (0.4 * tiny, 0.6 * tiny, 1.4 * tiny, 1.6 * tiny):
            for far in (centre + 20 * tiny, centre - 20 * tiny):
                projected = make(radius).project(far, centre)
                if dtype != torch.float64:  # where squares of the smallest float64 numbers are 0
                    assert (excess(projected, centre, make(radius).norm, radius) <= 0).all()
                steps = ((projected - centre).double() / tiny).abs().round()
                assert (steps <= math.floor(radius / tiny)).all() or dtype == torch.float64


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Linf(-0.1), "The radius is -0.1, but must be a finite number of at least 0, e.g. 8/255."),
        (lambda: L2(math.nan), "The radius is nan, but must be a finite number of at least 0, e.g. 8/255."),
        (lambda: L1(math.inf), "The radius is inf, but must be a finite number of at least 0, e.g. 8/255."),
        (lambda: L1(torch.tensor([0.1, -2.0])), "The radius is -2, but must be a finite number of at least 0"),
        (lambda: L1(torch.tensor([math.nan, 2.0])), "The radius is nan, but must be a finite number of at least 0"),
        (
            lambda: L1(torch.ones(2, 1)),
            "The radius has the shape [2, 1], but must be a number or one per example",
        ),
        (lambda: Linf(1.0).scaled(-1.0), "The factor is -1, but must be a finite number of at least 0"),
        (lambda: Ball("l3", 1.0), "Unknown norm 'l3'."),
        (lambda: Ball(3, 1.0), "Unknown norm '3'. Known: l1, l2, linf."),
        (
            lambda: L2(torch.ones(2)).project(levels(), levels()),
            "The ball has radii for 2 examples, but is used for 6",
        ),
        (lambda: L2(torch.ones(2)).sample(levels()), "The ball has radii for 2 examples, but is used for 6"),
    ],
)
def test_what_cannot_work_is_said_in_one_sentence(make: Callable[[], object], sentence: str) -> None:
    with pytest.raises(UserError, match=re.escape(sentence)):
        make()
