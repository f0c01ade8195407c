import pytest

from epslab.report import StudyResult
from epslab.studies import estimators
from epslab.studies.estimators import Budget
from epslab.studies.oracle import WithProposal, elbo_gap, information, linear_gaussian


def test_nothing_is_missed_with_the_exact_posterior() -> None:
    exact = WithProposal(linear_gaussian(20), shift=0.0, widening=1.0)
    missed = estimators.misses(exact, images=10, budget=Budget(1, (1, 7)))
    for name in ("ELBO", "IW, K=1", "IW, K=7"):
        assert abs(missed[name].mean) < 1e-9


def test_the_elbo_misses_by_its_gap_and_importance_weighting_by_less() -> None:
    missed = estimators.misses(WithProposal(linear_gaussian(10)), images=200, budget=Budget(100, (1, 10, 100)))
    assert missed["ELBO"].mean == pytest.approx(-elbo_gap(10), abs=1e-9)
    one, ten, hundred = (missed[f"IW, K={k}"] for k in (1, 10, 100))
    assert abs(one.mean + elbo_gap(10)) < 4 * one.standard_error
    assert one.mean < ten.mean < hundred.mean < 4 * hundred.standard_error


def test_prior_monte_carlo_fails_where_there_are_more_nats_to_find_than_draws() -> None:
    few, many = (
        estimators.misses(WithProposal(linear_gaussian(D)), images=100, budget=Budget(1000, ()))["prior, L=1,000"]
        for D in (1, 20)
    )
    assert abs(few.mean) < 4 * few.standard_error
    assert many.mean < -(information(20) - 6.9) / 2


def test_the_study_shows_it(results: dict[str, StudyResult]) -> None:
    linear, trained = results["estimators"].tables
    for D, nats, elbo, *_ in linear.rows:
        assert nats == pytest.approx(information(D))
        assert elbo == pytest.approx(-elbo_gap(D))
    above = [float(row[2].split(" ")[0]) for row in trained.rows[2:]]
    assert 0 < above[0] < above[1] < above[2]
    assert "The order prior < ELBO < importance weighting holds there." in results["estimators"].answer
