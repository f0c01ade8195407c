"""Inpainting and interpolation on normal data, where the law of the missing part and the codes are known."""

import itertools
import math

import pytest
import torch
from gaussian_diffusion import correlated, moments, on_the_line
from torch import Tensor

from epslab import seeds
from epslab.errors import UserError
from epslab.generative.diffusion.inpainting import inpaint
from epslab.generative.diffusion.interpolation import encode, interpolate, slerp
from epslab.probability.schedules import cosine, linear

KNOWN = torch.tensor([1.5, 0.0, 0.0], dtype=torch.float64)
MASK = torch.tensor([True, False, False])


def errors(steps: int, rounds: int) -> tuple[float, float]:
    """How far mean and covariance of the drawn part are from the law of the data given the known part."""
    data, schedule = correlated(), cosine(steps)
    m, C, u = data.mean, data.covariance, ~MASK
    slope = C[u][:, MASK] @ torch.linalg.inv(C[MASK][:, MASK])
    mean, covariance = m[u] + slope @ (KNOWN[MASK] - m[MASK]), C[u][:, u] - slope @ C[MASK][:, u]

    def sampler(noise: list[Tensor]) -> Tensor:
        known = KNOWN.expand_as(noise[0])
        return inpaint(data.predict(schedule, "v"), schedule, known, MASK, rounds=rounds, predicts="v", noise=noise)

    # The start; then for each step two draws a round and one between rounds; at the last step none.
    found_mean, found = moments(sampler, 1 + (steps - 1) * (3 * rounds - 1), 3)
    torch.testing.assert_close(found_mean[MASK], KNOWN[MASK], rtol=1e-12, atol=0.0)
    assert found[MASK].abs().max() < 1e-20
    return (found_mean[u] - mean).abs().max().item(), (found[u][:, u] - covariance).abs().max().item()


def test_rounds_take_the_bias_from_the_drawn_part_and_steps_its_narrowness() -> None:
    """One round is biased: the steps of the two parts do not know of each other."""
    once, often = errors(20, 1), errors(20, 10)
    assert once[0] > 0.1
    assert often[0] < 0.2 * once[0]
    # The reverse steps are as narrow as those of DDPM at so few steps, with any number of rounds.
    assert errors(40, 4)[1] < 0.75 * errors(20, 4)[1] < 0.1


def test_the_known_part_comes_back_as_it_was_and_the_rest_is_not_read() -> None:
    data, schedule = correlated(), linear(15)
    mask = torch.rand(6, 3, generator=torch.Generator().manual_seed(0)) < 0.5
    known = torch.randn(6, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    def drawn(known: Tensor, n: int = 6) -> Tensor:
        own = seeds.generator(0, "inpainting")
        return inpaint(data.predict(schedule, "noise"), schedule, known[:n], mask[:n], own, rounds=2)

    found = drawn(known)
    assert torch.equal(found[mask], known[mask])
    assert found.dtype == torch.float64
    assert torch.equal(drawn(torch.where(mask, known, math.nan)), found)
    torch.testing.assert_close(drawn(known, 4), found[:4], rtol=1e-9, atol=1e-9)
    assert not (found[~mask] == known[~mask]).any()


def test_codes_are_those_of_the_exact_flow_and_lead_back() -> None:
    """N(m, s²) is carried to N(0, 1) by x ↦ (x − m)/s; both errors halve with the step."""
    data, x_0 = on_the_line(0.5, mean=0.3), torch.tensor([[1.4], [-0.2]], dtype=torch.float64)
    exact = (x_0 - 0.3) / 0.5
    code_errors, way_back = [], []
    for steps in (100, 200, 400):
        schedule = cosine(4000)
        predict = data.predict(schedule, "noise")
        code_errors.append((encode(predict, schedule, x_0, steps=steps) - exact).abs().max().item())
        ends = interpolate(predict, schedule, x_0[:1], x_0[1:], [0.0, 1.0], steps=steps)
        way_back.append((ends[:, 0] - x_0).abs().max().item())
    assert code_errors[2] < 0.02
    for coarse, fine in itertools.pairwise(code_errors):
        assert coarse / fine == pytest.approx(2, abs=0.3)
    assert way_back[2] < 0.6 * way_back[1] < 0.36 * way_back[0]
    assert way_back[2] < 0.01


def test_slerp_keeps_to_the_sphere_and_to_straight_lines_where_there_is_no_angle() -> None:
    a, b = torch.nn.functional.normalize(torch.randn(2, 50, 8, generator=torch.Generator().manual_seed(0)), dim=2)
    for share in (0.0, 0.3, 1.0):
        point = slerp(a, b, share)
        torch.testing.assert_close(point.norm(dim=1), torch.ones(50))
        angle = (a * b).sum(1).acos()
        torch.testing.assert_close((a * point).sum(1).clamp(-1, 1).acos(), share * angle, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(slerp(a, 3 * a, 0.5), 2 * a)
    assert slerp(torch.zeros(1, 2), torch.ones(1, 2), 0.5).isfinite().all()
    assert slerp(torch.ones(2, 1, 3, 3), torch.rand(2, 1, 3, 3), 0.5).shape == (2, 1, 3, 3)


def test_what_cannot_be_inpainted_or_interpolated_gets_a_sentence() -> None:
    def predict(x: Tensor, t: Tensor) -> Tensor:
        return x

    known = torch.zeros(3, 2)
    with pytest.raises(UserError, match="taken at least once, not in 0 rounds"):
        inpaint(predict, linear(5), known, torch.ones(2, dtype=torch.bool), rounds=0)
    with pytest.raises(UserError, match=r"mask of shape \[4\] does not fit examples of shape \[3, 2\]"):
        inpaint(predict, linear(5), known, torch.ones(4, dtype=torch.bool))
    with pytest.raises(UserError, match=r"not \[3, 2\] with \[1, 2\]"):
        interpolate(predict, linear(5), known, known[:1], [0.5], steps=2)
    with pytest.raises(UserError, match="in 1 to 5 steps, not in 6"):
        encode(predict, linear(5), known, steps=6)
