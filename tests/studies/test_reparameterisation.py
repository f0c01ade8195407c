import pytest
import torch

from epslab.report import StudyResult
from epslab.studies import reparameterisation
from epslab.studies.oracle import SIGNAL, WIDENING, linear_gaussian
from epslab.studies.reparameterisation import DRAWS, ESTIMATORS, Gradients, estimates, exact, proposal, quality

PRECISION = 1 + SIGNAL**2  # of the posterior, in every dimension


@pytest.fixture
def model_and_image():
    model = linear_gaussian(4)
    return model, model.sample(1, torch.Generator().manual_seed(5))


def test_the_exact_gradient_is_that_of_the_closed_form(model_and_image) -> None:
    model, image = model_and_image
    mu, log_sigma = proposal(model, image)
    found = exact(model, image)
    torch.testing.assert_close(found.mean, -PRECISION * (mu - model.posterior(image).mean))
    torch.testing.assert_close(found.log_std, 1 - PRECISION * (2 * log_sigma).exp())


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_every_estimator_is_unbiased(model_and_image, estimator: str) -> None:
    found, truth = estimates(*model_and_image, estimator, 20_000), exact(*model_and_image)
    for part, true in zip(found, truth, strict=True):
        assert ((part.mean(0) - true[0]).abs() < 4 * part.std(0) / 20_000**0.5).all()
    assert quality(4, estimator, 4000).bias < 4


def test_a_bias_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def biased(*arguments: object) -> Gradients:
        mean, log_std = estimates(*arguments)
        return Gradients(mean * 1.2, log_std)

    monkeypatch.setattr(reparameterisation, "estimates", biased)
    assert quality(4, "reparameterised", 4000).bias > 4


def test_the_reparameterised_variance_is_the_known_one() -> None:
    # d/dmu of log p(x, mu + sigma·eps) = −PRECISION·(z − m): its variance is PRECISION²·sigma² a draw.
    repeats, D = 4000, 5
    expected = PRECISION**2 * WIDENING**2 / PRECISION / DRAWS
    found = quality(D, "reparameterised", repeats).variance_mean
    assert abs(found - expected) < 4 * expected * (2 / (repeats * D)) ** 0.5


def test_the_study_shows_it(results: dict[str, StudyResult]) -> None:
    mean, log_std, bias = results["reparameterisation"].tables
    for table in (mean, log_std):
        for _, own, baseline, score in table.rows:
            assert own > 0
            assert 1 < baseline < score
        assert table.rows[0][2] < table.rows[-1][2]
    assert max(max(row[2:]) for row in bias.rows) < 4
    assert "no estimator is biased" in results["reparameterisation"].answer
