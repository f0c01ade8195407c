"""Ball ∩ box against a linear program (Linf, L1) and bisection on the multiplier (L2); nothing is shared with the code.

The point P x is nearest to x in a convex set C if and only if no z in C has <x − P x, z> greater than <x − P x, P x>:
so one oracle for linear functions certifies both ``farthest`` and the projection.
"""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from ball_oracle import greatest
from scipy.optimize import minimize

from epslab.geometry import L1, L2, Ball, Linf
from epslab.seeds import generator

MAKERS = [Linf, L2, L1]
ids = ["linf", "l2", "l1"]
Maker = Callable[[float | torch.Tensor], Ball]
D = 12
RADII = [0.0, 1e-3, 0.3, 1.0, 3.0, 50.0]  # the last contains the box
TYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16]


def centres(n: int, d: int = D, name: str = "centres") -> torch.Tensor:
    """Every third coordinate at 0 and every fourth at 1."""
    c = torch.rand(n, d, generator=generator(0, name), dtype=torch.float64)
    c[:, ::3], c[:, ::4] = 0.0, 1.0
    return c


def normal(n: int, d: int = D, name: str = "normal") -> torch.Tensor:
    return torch.randn(n, d, generator=generator(0, name), dtype=torch.float64)


def length(z: torch.Tensor, c: torch.Tensor, norm: str) -> np.ndarray:
    orders = {"linf": np.inf, "l2": 2, "l1": 1}
    rows = (z.double() - c.double()).flatten(1).numpy()
    return np.array([np.linalg.norm(row, orders[norm]) for row in rows])


def assert_inside(z: torch.Tensor, c: torch.Tensor, ball: Ball, radius: float | np.ndarray) -> None:
    assert (length(z, c, str(ball.norm)) <= radius).all()
    assert ((z >= 0) & (z <= 1)).all()


@pytest.mark.parametrize("make", MAKERS, ids=ids)
@pytest.mark.parametrize("radius", RADII)
def test_the_farthest_point_is_the_optimum_of_the_linear_program(make: Maker, radius: float) -> None:
    ball, c, g = make(radius), centres(20), normal(20)
    g[0] = 0.0
    g[1, 1:] = 0.0  # one coordinate has a gradient
    g[2] = g[2].sign()  # all are equally steep
    z = ball.farthest(g, c)
    assert_inside(z, c, ball, radius)
    for i in range(len(c)):
        best = greatest(g[i].numpy(), c[i].numpy(), str(ball.norm), radius)
        assert abs((g[i] @ z[i]).item() - best) < 1e-9 * max(1.0, radius)
    assert torch.equal(z[0], c[0])
    assert torch.equal(z[1, 1:], c[1, 1:])


@pytest.mark.parametrize("make", MAKERS, ids=ids)
@pytest.mark.parametrize("radius", RADII)
@pytest.mark.parametrize("size", [0.05, 0.6, 5.0, 1e5])
def test_no_point_of_ball_and_box_is_nearer_than_the_projection(make: Maker, radius: float, size: float) -> None:
    ball, c = make(radius), centres(20)
    x = c + size * normal(20)
    x[0] = c[0]
    projected = ball.projector(c, box=(0.0, 1.0))(x)
    assert_inside(projected, c, ball, radius)
    removed = x - projected
    for i in range(len(c)):
        most = greatest(removed[i].numpy(), c[i].numpy(), str(ball.norm), radius)
        scale = max(1.0, removed[i].norm().item())
        assert abs((removed[i] @ projected[i]).item() - most) < 1e-9 * scale * max(1.0, radius)


@pytest.mark.parametrize("make", MAKERS, ids=ids)
def test_the_projection_is_what_a_general_solver_finds(make: Maker) -> None:
    """min ‖z − x‖² by SLSQP, z = c + p − q, so that every norm is smooth."""
    radius, d = 0.7, 5
    ball, c = make(radius), centres(8, d)
    x = c + 0.8 * normal(8, d)
    ours = ball.projector(c, box=(0.0, 1.0))(x)
    sizes = {
        "linf": lambda v: radius - v[:d] - v[d:],
        "l2": lambda v: radius**2 - np.sum((v[:d] - v[d:]) ** 2),
        "l1": lambda v: radius - np.sum(v),
    }
    for i in range(len(c)):
        ci, xi = c[i].numpy(), x[i].numpy()
        solution = minimize(
            lambda v, ci=ci, xi=xi: 0.5 * np.sum((ci + v[:d] - v[d:] - xi) ** 2),
            np.full(2 * d, 0.01),
            bounds=[(0, 1 - a) for a in ci] + [(0, a) for a in ci],
            constraints={"type": "ineq", "fun": sizes[str(ball.norm)]},
            method="SLSQP",
            options={"ftol": 1e-12, "maxiter": 1000},
        )
        np.testing.assert_allclose(ours[i].numpy(), ci + solution.x[:d] - solution.x[d:], atol=1e-4)


@pytest.mark.parametrize("make", [L2, L1], ids=["l2", "l1"])
def test_ball_then_clamp_would_not_be_nearest(make: Maker) -> None:
    """So the certificate can fail: the obvious projection does not pass it."""
    ball, c = make(0.7), centres(20)
    x = c + normal(20)
    obvious, exact = ball.project(x, c).clamp(0, 1), ball.projector(c, box=(0.0, 1.0))(x)
    gain = (x - obvious).norm(dim=1) - (x - exact).norm(dim=1)
    assert (gain > -1e-9).all()
    assert (gain > 1e-3).float().mean() > 0.5


@pytest.mark.parametrize("make", MAKERS, ids=ids)
@pytest.mark.parametrize("dtype", TYPES)
def test_every_type_stays_inside_twice_is_once_and_only_rounding_is_lost(make: Maker, dtype: torch.dtype) -> None:
    c = centres(16, 48).to(dtype)
    eps = torch.finfo(dtype).eps
    for radius in (0.0, 1 / 255, 0.3, 3.0, 50.0):
        ball = make(radius)
        project = ball.projector(c, box=(0.0, 1.0))
        exact = ball.projector(c.double(), box=(0.0, 1.0))
        for size in (0.01, 0.4, 100.0):
            x = c + (size * normal(16, 48)).to(dtype)
            once = project(x)
            assert once.dtype == dtype
            assert_inside(once, c, ball, radius)
            assert torch.equal(project(once), once)
            torch.testing.assert_close(once.double(), exact(x.double()), rtol=0, atol=2 * eps)
        g = normal(16, 48, "gradient").to(dtype)
        far = ball.farthest(g, c)
        assert far.dtype == dtype
        assert_inside(far, c, ball, radius)
        assert torch.equal(project(far), far)
        torch.testing.assert_close(far.double(), ball.farthest(g.double(), c.double()), rtol=0, atol=2 * eps)


@pytest.mark.parametrize("make", MAKERS, ids=ids)
def test_a_radius_per_example_and_a_part_are_the_same_alone(make: Maker) -> None:
    radii = torch.tensor([0.0, 0.01, 0.5, 2.0, 50.0], dtype=torch.float64)
    c, x, g = centres(5), centres(5) + normal(5), normal(5, name="gradient")
    ball = make(radii)
    together, far = ball.projector(c, box=(0.0, 1.0)), ball.farthest(g, c)
    for i, radius in enumerate(radii.tolist()):
        one, alone = slice(i, i + 1), make(radius)
        assert torch.equal(alone.projector(c[one], box=(0.0, 1.0))(x[one]), together(x)[one])
        assert torch.equal(together[one](x[one]), together(x)[one])
        assert torch.equal(alone.farthest(g[one], c[one]), far[one])
    for index in (torch.tensor([3, 1]), radii > 0.1):
        assert torch.equal(together[index](x[index]), together(x)[index])


@pytest.mark.parametrize("make", MAKERS, ids=ids)
def test_bounds_may_differ_from_coordinate_to_coordinate(make: Maker) -> None:
    c, g = centres(10), normal(10)
    low, high = (c - 0.05).clamp(0, 1), (c + 0.2).clamp(0, 1)
    ball = make(0.4)
    z = ball.farthest(g, c, (low, high))
    shifted = ball.projector(c, (low, high))
    assert ((z >= low) & (z <= high)).all()
    assert torch.equal(shifted(z), z)
    for i in range(len(c)):
        gi, ci, lo, hi = (values[i].numpy() for values in (g, c, low, high))
        others = lo + (hi - lo) * np.random.default_rng(i).random((4000, D))
        others = ci + (others - ci) * np.minimum(1, 0.4 / np.maximum(length_of(others - ci, str(ball.norm)), 1e-12))
        assert (others @ gi <= (g[i] @ z[i]).item() + 1e-9).all()
    assert torch.equal(shifted[2:4](z[2:4] + 1.0), shifted(z + 1.0)[2:4])


def length_of(rows: np.ndarray, norm: str) -> np.ndarray:
    return np.linalg.norm(rows, {"linf": np.inf, "l2": 2, "l1": 1}[norm], axis=1, keepdims=True)


@pytest.mark.parametrize("make", MAKERS, ids=ids)
@pytest.mark.parametrize("radius", [0.3, 3.0, 50.0])
def test_in_many_dimensions_an_optimum_is_found_whether_few_or_all_coordinates_have_to_move(
    make: Maker, radius: float
) -> None:
    ball, c, g = make(radius), centres(8, 300), normal(8, 300)
    g[0] = g[0].sign()  # all are equally steep
    g[1] = g[1].sign() * torch.where(torch.arange(300) < 20, 2.0, 1.0)  # behind the steepest, equals
    g[2, 5:] = 0.0
    room = torch.where(g > 0, 1 - c, c)
    c[3] = torch.where(room[3] > 0, c[3] + g[3].sign() * (room[3] - 0.004).clamp_min(0.0), c[3])  # hardly any room
    z = ball.farthest(g, c)
    assert_inside(z, c, ball, radius)
    for i in range(len(c)):
        best = greatest(g[i].numpy(), c[i].numpy(), str(ball.norm), radius)
        assert abs((g[i] @ z[i]).item() - best) < 1e-8 * max(1.0, radius)
        assert torch.equal(ball.farthest(g[i : i + 1], c[i : i + 1])[0], z[i])


def test_on_ties_the_first_coordinates_move_in_l1_whoever_else_is_in_the_batch() -> None:
    c, g = torch.full((2, 300), 0.5, dtype=torch.float64), torch.ones(2, 300, dtype=torch.float64)
    c[1, 1:] = 1.0 - 1e-3  # the second example needs every coordinate
    z = L1(1.0).farthest(g, c)
    torch.testing.assert_close(z[0] - c[0], torch.tensor([0.5] * 2 + [0.0] * 298, dtype=torch.float64))
    torch.testing.assert_close(z[1], torch.ones(300, dtype=torch.float64))
    assert torch.equal(L1(1.0).farthest(g[:1], c[:1])[0], z[0])


@pytest.mark.parametrize("make", MAKERS, ids=ids)
@pytest.mark.parametrize("dtype", TYPES)
def test_a_step_is_the_farthest_point_up_to_rounding_and_stays_in_the_box(make: Maker, dtype: torch.dtype) -> None:
    c, g = centres(8, 48).to(dtype), normal(8, 48).to(dtype)
    radii = torch.tensor([0.0, 1e-3, 0.1, 0.3, 1.0, 3.0, 10.0, 50.0], dtype=torch.float64)
    eps, ball = torch.finfo(dtype).eps, make(radii)
    z = ball.step(g, c, (0.0, 1.0))
    assert z.dtype == dtype
    assert ((z >= 0) & (z <= 1)).all()
    rounding = max(eps, 1e-12) if dtype != torch.float32 else 1e-5
    torch.testing.assert_close(z, ball.farthest(g, c), rtol=0, atol=2 * rounding)
    # No coordinate further than ``most``: a smaller box.
    most = torch.linspace(0.01, 0.08, 8).to(dtype)[:, None]
    low, high = (c.double() - most.double()).clamp_min(0), (c.double() + most.double()).clamp_max(1)
    exact = ball.farthest(g.double(), c.double(), (low, high))
    torch.testing.assert_close(ball.step(g, c, (0.0, 1.0), most).double(), exact, rtol=0, atol=2 * max(eps, 1e-5))


@pytest.mark.parametrize("make", MAKERS, ids=ids)
@pytest.mark.parametrize("scale", [1e-300, 1e-20, 1e20, 1e300])
def test_the_scale_of_the_gradient_does_not_matter(make: Maker, scale: float) -> None:
    ball, c, g = make(0.8), centres(6), normal(6)
    torch.testing.assert_close(ball.farthest(g * scale, c), ball.farthest(g, c), rtol=0, atol=1e-12)


@pytest.mark.parametrize("make", MAKERS, ids=ids)
def test_without_a_box_the_farthest_point_is_a_step_of_the_radius_along_steepest_ascent(make: Maker) -> None:
    ball, c, g = make(0.8), normal(6, name="anywhere"), normal(6)
    torch.testing.assert_close(ball.farthest(g, c, None), c + 0.8 * ball.ascent(g), rtol=0, atol=1e-11)


@pytest.mark.parametrize("make", MAKERS, ids=ids)
@pytest.mark.parametrize("dtype", TYPES)
def test_the_memory_format_is_kept_in_the_box(make: Maker, dtype: torch.dtype) -> None:
    c = centres(4, 48).view(4, 3, 4, 4).to(dtype).contiguous(memory_format=torch.channels_last)
    g = normal(4, 48).view(4, 3, 4, 4).to(dtype).contiguous(memory_format=torch.channels_last)
    ball = make(0.5)
    for result in (ball.projector(c, box=(0.0, 1.0))(c + g), ball.farthest(g, c)):
        assert result.is_contiguous(memory_format=torch.channels_last)
        assert not result.is_contiguous()
    assert torch.equal(ball.farthest(g, c), ball.farthest(g.contiguous(), c.contiguous()))


@pytest.mark.parametrize("make", MAKERS, ids=ids)
def test_no_examples_are_no_trouble_in_the_box(make: Maker) -> None:
    empty = torch.zeros(0, 3, 4, 4)
    assert make(0.1).projector(empty, box=(0.0, 1.0))(empty).shape == empty.shape
    assert make(0.1).farthest(empty, empty).shape == empty.shape
