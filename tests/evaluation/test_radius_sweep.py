"""Which balls a sweep tries."""

import pytest

from epslab.errors import UserError
from epslab.evaluation.radius_sweep import RadiusSweep
from epslab.geometry import L2, Ball, Linf


def test_by_default_the_radii_are_shares_and_multiples_of_the_first_ball_s() -> None:
    balls = RadiusSweep().balls(L2(0.8))
    assert [ball.radius for ball in balls] == pytest.approx([0.1, 0.2, 0.4, 0.6, 0.8, 1.2, 1.6, 3.2])
    assert {ball.norm for ball in balls} == {"l2"}
    assert RadiusSweep().balls(None) == ()


def test_given_radii_are_taken_in_the_given_norm_or_the_first_ball_s() -> None:
    assert RadiusSweep((0.1, 0.2)).balls(L2(0.8)) == (L2(0.1), L2(0.2))
    assert RadiusSweep((0.1, 0.2), "linf").balls(L2(0.8)) == (Linf(0.1), Linf(0.2))
    assert RadiusSweep((0.1,), "l1").balls(None) == (Ball("l1", 0.1),)
    with pytest.raises(UserError, match="radii but no norm"):
        RadiusSweep((0.1,)).balls(None)
