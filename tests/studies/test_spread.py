import math

import pytest

from epslab.evaluation.estimate import Estimate
from epslab.studies.spread import count, curves_over_seeds, meaning, over_seeds, text


def test_one_seed_keeps_its_own_error() -> None:
    estimate = Estimate(-90.274, 0.6, 360)
    assert over_seeds([estimate]) is estimate
    assert text(estimate) == "−90.27 ± 0.60"
    assert "standard error over test images" in meaning(1)


def test_several_seeds_show_their_standard_deviation() -> None:
    assert over_seeds([Estimate(value, 0.5, 360) for value in (1.0, 2.0, 3.0)]) == Estimate(2.0, 1.0, 3)
    assert "standard deviation over 3 training seeds" in meaning(3)


def test_counts_stay_whole_where_they_can() -> None:
    assert repr(count([20, 20, 20])) == "20"
    assert count([20, 19, 20]) == pytest.approx(59 / 3)


def test_curves() -> None:
    one = {"epoch": [0.0, 1.0], "train/kl": [math.nan, 3.0]}
    assert curves_over_seeds([one]) == (one, None)
    mean, spread = curves_over_seeds([one, {"epoch": [0.0, 1.0], "train/kl": [math.nan, 5.0]}])
    assert mean["epoch"] == [0, 1]
    assert math.isnan(mean["train/kl"][0])
    assert mean["train/kl"][1] == 4
    assert spread is not None
    assert spread["train/kl"][1] == pytest.approx(math.sqrt(2))
