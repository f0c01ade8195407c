"""``evaluate_latents`` on posteriors whose information, KL and active units are known."""

import json
import math

import pytest
import torch
from linear_oracle import STD, Oracle, linear_vae
from torch import Tensor, nn

from epslab import seeds
from epslab.data import ImageSet
from epslab.errors import UserError
from epslab.evaluation import LatentReport, evaluate_latents
from epslab.evaluation.latents import pointwise_information
from epslab.generative.priors import MixturePrior
from epslab.generative.vae import VAE
from epslab.probability.likelihoods import Normal

D = 4
N = 64


def images(n: int = N) -> ImageSet:
    pixels = torch.randint(0, 256, (n, 1, 2, 4), generator=seeds.generator(0, "pixels")).to(torch.uint8)
    return ImageSet(pixels, torch.zeros(n, dtype=torch.int64), ("any",))


class Answers(nn.Module):
    """q(z given x) whose mean is ``gain`` times the first pixels, plus ``offset``."""

    def __init__(self, gain: float | Tensor, offset: float = 0.0, log_std: float = 0.0) -> None:
        super().__init__()
        self.gain, self.offset, self.log_std = gain, offset, log_std

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mean = self.gain * x.flatten(1)[:, :D] + self.offset
        return mean, torch.full_like(mean, self.log_std)


class Decodes(nn.Module):
    """Pixels that are ``gain`` times the codes."""

    def __init__(self, gain: float) -> None:
        super().__init__()
        self.linear = nn.Linear(D, 8)
        nn.init.constant_(self.linear.weight, gain)

    def forward(self, z: Tensor) -> Tensor:
        return self.linear(z).unflatten(1, (1, 2, 4))


def measured(encoder: nn.Module, decoder_gain: float = 0.0, beta: float = 1.0) -> LatentReport:
    return evaluate_latents(VAE(encoder, Decodes(decoder_gain), Normal(0.1), beta=beta), images())


def test_an_encoder_that_ignores_the_image_has_no_active_unit_and_no_information() -> None:
    report = measured(Answers(0.0))
    assert report.active_units == 0
    assert report.collapsed
    torch.testing.assert_close(report.information, torch.zeros(N), rtol=0, atol=1e-6)
    assert report.kl.tolist() == [0.0] * N
    assert report.decoder_spread == 0.0


def test_well_separated_codes_carry_ln_n_nats() -> None:
    report = measured(Answers(100.0, log_std=-5.0))
    assert report.active_units == D
    torch.testing.assert_close(report.information, torch.full((N,), math.log(N)), rtol=1e-6, atol=0)
    assert report.mutual_information.standard_error < 1e-6


def test_the_linear_gaussian_models_latents_are_known() -> None:
    oracle = linear_vae((0.15, 0.1, 0.0))
    n = 3000
    set_ = oracle.images(n)
    report = evaluate_latents(oracle.vae, set_)
    x = set_.images.double()
    expected = oracle.kl(x).mean(0)
    assert report.kl_per_dimension is not None
    torch.testing.assert_close(report.kl_per_dimension, expected, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(report.kl, oracle.kl(x).sum(1), rtol=1e-10, atol=1e-10)
    # E_q[z_d] has variance s²/(s² + σ²), and I(x; z) = ½ Σ log(1 + s²/σ²), with s the length of a column of W.
    ratio = torch.tensor([0.15, 0.1, 0.0], dtype=torch.float64) ** 2 / STD**2
    variance = ratio / (1 + ratio)
    assert ((report.variance_of_means - variance).abs() <= 4 * variance * math.sqrt(2 / n) + 1e-4).all()
    assert report.active.tolist() == [True, True, False]
    information = 0.5 * (1 + ratio).log().sum().item()
    found = report.mutual_information
    bias = math.exp(2 * information) / (2 * n)  # the finite set's estimate is low by at most about this
    assert information - bias - 4 * found.standard_error < found.mean < information + 4 * found.standard_error
    # The aggregated posterior is the prior: all of the KL is information.
    assert abs(report.marginal_kl.mean) < bias + 4 * report.marginal_kl.standard_error


def test_the_information_of_few_images_is_low_and_never_above_ln_n() -> None:
    oracle = linear_vae((0.5, 0.5, 0.5))
    exact = 1.5 * math.log(1 + 25)
    previous = 0.0
    for n in (4, 16, 64, 256, 1024):
        report = evaluate_latents(oracle.vae, oracle.images(n))
        assert report.information.max() <= math.log(n) + 1e-9
        assert previous < report.mutual_information.mean < exact
        previous = report.mutual_information.mean


def test_the_aggregated_posterior_is_the_images_mixture() -> None:
    g = seeds.generator(0, "codes")
    n = 300  # more than one block of rows
    means, log_stds = torch.randn(2, n, D, generator=g, dtype=torch.float64)
    own = seeds.draw(n, g)
    z = means + log_stds.exp() * seeds.noise(own, 0, (D,), torch.float64)
    q = torch.distributions.Normal(means, log_stds.exp())
    log_q = q.log_prob(z[:, None]).sum(-1)  # [i j]
    expected = log_q.diagonal() - (log_q.logsumexp(1) - math.log(n))
    torch.testing.assert_close(pointwise_information(means, log_stds, own), expected, rtol=1e-9, atol=1e-9)


def test_batch_size_changes_results_by_rounding_only_and_the_seed_changes_the_draws(inexact: Oracle) -> None:
    set_ = inexact.images(300)
    one, parts = (evaluate_latents(inexact.vae, set_, batch_size=size) for size in (300, 17))
    for name in ("means", "log_stds", "variance_of_means", "kl_per_dimension", "kl", "information"):
        torch.testing.assert_close(getattr(one, name), getattr(parts, name), rtol=1e-10, atol=1e-10)
    assert one.decoder_spread == pytest.approx(parts.decoder_spread, rel=1e-10)
    other = evaluate_latents(inexact.vae, set_, seed=1)
    assert not torch.isclose(other.information, one.information).all()
    torch.testing.assert_close(other.means, one.means)


def test_the_decoders_spread_is_the_variance_of_the_log_likelihood_over_the_prior() -> None:
    # log p(x|z) with a mean of z for one pixel: −(x − z)²/2 up to constants, whose variance over N(0, 1) is x² + ½.
    class OnePixel(nn.Module):
        def forward(self, z: Tensor) -> Tensor:
            return torch.cat([z[:, :1], z.new_zeros(len(z), 7)], 1).unflatten(1, (1, 2, 4))

    set_ = images(400)
    vae = VAE(Answers(0.0), OnePixel(), Normal(1.0))
    vae.encode(set_.images[:1])
    report = evaluate_latents(vae, set_)
    expected = (set_.images[:256, 0, 0, 0] ** 2 + 0.5).double()
    # A sample variance of 16 draws has a relative error of at most √((κ − 1)/16), with a kurtosis κ of at most 15.
    assert report.decoder_spread == pytest.approx(expected.mean().item(), rel=4 * math.sqrt(14 / 16 / 256))


@pytest.mark.parametrize(
    ("encoder", "gain", "beta", "words"),
    [
        (
            Answers(0.0),
            0.0,
            1.0,
            ("collapsed: 0 of 4 units are active, KL 0 nats", "decoder ignores z", "free bits"),
        ),
        (Answers(0.0), 0.0, 4.0, ("collapsed: 0 of 4", "decoder ignores z", "β=4 weighs the KL")),
        (Answers(0.0), 1.0, 4.0, ("collapsed: 0 of 4", "decoder listens to z", "whatever the image", "β=4")),
        (Answers(0.0, offset=2.0), 1.0, 1.0, ("collapsed: 0 of 4", "KL 8 nats", "every image the same code")),
        (Answers(torch.tensor([3.0, 0.0, 0.0, 0.0])), 1.0, 1.0, ("in part: 1 of 4 units is active", "other 3")),
        (Answers(torch.tensor([3.0, 3.0, 0.0, 0.0])), 1.0, 2.0, ("in part: 2 of 4 units are", "with 0 nats", "β=2")),
        (Answers(3.0), 1.0, 1.0, ("has not collapsed: 4 of 4",)),
    ],
)
def test_the_statement_says_whether_the_posterior_collapsed_and_why(
    encoder: nn.Module, gain: float, beta: float, words: tuple[str, ...]
) -> None:
    statement = measured(encoder, gain, beta).statement
    for word in words:
        assert word in statement
    assert ("β" in statement) == (beta > 1 and "β" in "".join(words))
    assert statement.endswith(".")


def test_a_unit_is_active_above_a_variance_of_a_hundredth() -> None:
    values = images().images.flatten(1)[:, :D]
    spread = values.std(0, correction=0)
    gains = torch.tensor([0.11, 0.09, 0.11, 0.09]) / spread  # standard deviations of the means: 0.11² > 0.01 > 0.09²
    report = measured(Answers(gains))
    torch.testing.assert_close(report.variance_of_means, (gains * spread).double() ** 2, rtol=1e-5, atol=0)
    assert report.active.tolist() == [True, False, True, False]


def test_a_prior_without_a_closed_form_has_no_kl_per_dimension_but_a_kl() -> None:
    prior = MixturePrior(3, D, seeds.generator(0, "prior"))
    vae = VAE(Answers(torch.tensor([3.0, 0.0, 0.0, 0.0])), Decodes(0.1), Normal(0.1), prior)
    report = evaluate_latents(vae, images())
    assert report.kl_per_dimension is None
    assert report.kl.shape == (N,)
    assert "the other 3 say nothing" in report.statement


def test_the_measurements_are_the_reports_numbers(inexact: Oracle) -> None:
    report = evaluate_latents(inexact.vae, inexact.images(30))
    found = {number.key: number for number in report.measurements()}
    assert json.loads(json.dumps([number.to_dict() for number in found.values()]))
    assert (found["active_units"].value, found["active_units"].note) == (report.active_units, "of 3") == (2, "of 3")
    assert report.kl_per_dimension is not None
    assert len(report.kl_per_dimension) == len(report.variance_of_means) == 3
    information, marginal = report.mutual_information, report.marginal_kl
    assert (found["mutual_information"].value, found["marginal_kl"].value) == (information.mean, marginal.mean)
    assert found["mutual_information"].standard_error == information.standard_error
    assert found["mutual_information"].note == "at most ln 30 = 3.4"
    assert found["marginal_kl"].standard_error == marginal.standard_error
    assert found["decoder_spread"].value == report.decoder_spread
    assert report.kl.double().mean().item() == pytest.approx(report.kl_per_dimension.sum().item(), rel=1e-9)


def test_the_model_comes_back_in_its_mode_without_gradients_and_torchs_generator_untouched(inexact: Oracle) -> None:
    before = torch.get_rng_state()
    inexact.vae.train()
    inexact.vae.decoder.eval()  # type: ignore[attr-defined]
    modes = [module.training for module in inexact.vae.modules()]

    def failing(x: Tensor, own: Tensor) -> Tensor:
        raise RuntimeError("stop")

    report = evaluate_latents(inexact.vae, inexact.images(5))
    with pytest.raises(RuntimeError, match="stop"):
        evaluate_latents(inexact.vae, inexact.images(5), prepare=failing)
    assert modes == [module.training for module in inexact.vae.modules()]
    assert not report.means.requires_grad
    assert torch.equal(before, torch.get_rng_state())


def test_too_few_images_and_an_impossible_batch_are_refused(exact: Oracle) -> None:
    with pytest.raises(UserError, match="at least 2 images, not 1"):
        evaluate_latents(exact.vae, exact.images(1))
    with pytest.raises(UserError, match="batch_size is 0"):
        evaluate_latents(exact.vae, exact.images(2), batch_size=0)


def test_latents_are_measured_in_eval_mode() -> None:
    class Drops(Answers):
        def __init__(self) -> None:
            super().__init__(3.0)
            self.dropout = nn.Dropout(0.5)

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return super().forward(self.dropout(x))

    torch.testing.assert_close(measured(Drops().train()).means, measured(Answers(3.0)).means, rtol=0, atol=0)
