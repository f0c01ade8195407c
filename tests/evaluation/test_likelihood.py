"""``evaluate_likelihood`` on models whose ELBO and log p(x) are exact, and what it promises its caller."""

import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psutil
import pytest
import torch
from linear_oracle import SHAPE, Oracle, linear_vae
from torch import Tensor, nn

from epslab import seeds
from epslab.data import ImageSet, PointSet, bernoulli_draw
from epslab.errors import UserError
from epslab.evaluation import (
    Elbo,
    Exact,
    ImportanceWeighted,
    LikelihoodReport,
    PriorMonteCarlo,
    evaluate_likelihood,
    likelihood,
)
from epslab.evaluation.estimators import Estimated
from epslab.evaluation.progress import progress_bar
from epslab.generative import PCA, FactorAnalysis, LinearGaussian, ProbabilisticPCA
from epslab.generative.elbo import ElboTerms
from epslab.generative.vae import VAE
from epslab.nets import ConvDecoder, ConvEncoder
from epslab.probability.likelihoods import Bernoulli, Categorical

N = 300
ELBO = {"elbo": Elbo()}


def bounds(importance: int, prior: int | None = None, samples: int = 1, chunk: int | None = None) -> dict[str, object]:
    """The ELBO, the importance-weighted bound, and if asked for prior Monte Carlo."""
    chosen = {"elbo": Elbo(samples), "importance_weighted": ImportanceWeighted(importance, chunk)}
    return chosen if prior is None else {**chosen, "prior_monte_carlo": PriorMonteCarlo(prior, chunk)}


def within(values: Tensor, expected: Tensor, bias: float = 0.0) -> bool:
    """Whether the mean difference is zero (or ``bias``) within four of its standard errors."""
    difference = values - expected
    return bool((difference.mean() - bias).abs() < 4 * difference.std() / math.sqrt(len(difference)))


def test_the_elbo_and_its_terms_are_the_closed_form_ones(inexact: Oracle) -> None:
    images = inexact.images(N)
    x = images.images.double()
    report = evaluate_likelihood(inexact.vae, images, {"elbo": Elbo(20)})
    found = report.per_example
    assert {values.shape for values in found.values()} == {(N,)}
    torch.testing.assert_close(found["kl"], inexact.kl(x).sum(1), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(found["elbo"], -found["reconstruction"] - found["kl"], rtol=0, atol=1e-12)
    assert within(found["elbo"], inexact.elbo(x))
    assert within(found["reconstruction"], -inexact.elbo(x) - inexact.kl(x).sum(1))
    gap = (inexact.model.log_prob(x) - inexact.elbo(x)).mean()
    assert gap > 0.1  # so that agreeing with the ELBO is not agreeing with log p


def test_with_the_exact_posterior_the_weighted_bound_is_log_p_for_every_image(exact: Oracle) -> None:
    images = exact.images(N)
    log_p = exact.model.log_prob(images.images.double())
    report = evaluate_likelihood(exact.vae, images, bounds(3))
    torch.testing.assert_close(report.per_example["importance_weighted"], log_p, rtol=0, atol=1e-8)


def test_weighted_bound_and_prior_monte_carlo_approach_log_p(inexact: Oracle) -> None:
    images = inexact.images(N)
    x = images.images.double()
    log_p = inexact.model.log_prob(x)
    report = evaluate_likelihood(inexact.vae, images, bounds(200, 600))
    own = seeds.draw(N, seeds.generator(9, "bias"))
    for name, draws, log_ratios in (
        ("importance_weighted", 200, inexact.vae.log_weights(x, 200, seeds=own) - log_p),
        ("prior_monte_carlo", 600, inexact.vae.log_likelihoods(x, 600, seeds=own) - log_p),
    ):
        bias = -(log_ratios.detach().exp().var(0) / (2 * draws)).mean().item()  # of a logarithm, to first order
        assert within(report.per_example[name], log_p, bias)
    assert report["importance_weighted"].mean > report["elbo"].mean + 0.1


def test_results_depend_on_batch_size_and_chunk_by_rounding_only_and_on_the_seed(inexact: Oracle) -> None:
    images = inexact.images(40)

    def values(batch_size: int, chunk: int | None, seed: int = 0) -> dict[str, Tensor]:
        return dict(
            evaluate_likelihood(
                inexact.vae,
                images,
                bounds(10, 10, samples=2, chunk=chunk),
                batch_size=batch_size,
                seed=seed,
            ).per_example
        )

    reference = values(256, None)
    for batch_size, chunk in ((7, 3), (1, None), (40, 1)):
        torch.testing.assert_close(values(batch_size, chunk), reference, rtol=1e-10, atol=1e-10)
    other = values(256, None, seed=1)
    for name in ("elbo", "importance_weighted", "prior_monte_carlo"):
        assert not torch.isclose(other[name], reference[name]).any()


def test_images_alike_get_noise_of_their_own(inexact: Oracle) -> None:
    one = inexact.images(1)
    twins = ImageSet(one.pixels.repeat(5, 1, 1, 1), one.labels.repeat(5), one.classes)
    elbo = evaluate_likelihood(inexact.vae, twins, ELBO, batch_size=2).per_example["elbo"]
    assert len(elbo.unique()) == 5


def test_standard_errors_are_the_spread_over_sets_of_images(inexact: Oracle) -> None:
    sets = 150
    images = inexact.images(sets * 40)
    estimates = [
        evaluate_likelihood(inexact.vae, images[i * 40 : (i + 1) * 40], bounds(2), seed=i) for i in range(sets)
    ]
    for quantity in ("elbo", "kl", "importance_weighted"):
        found = [report.part("kl") if quantity == "kl" else report[quantity] for report in estimates]
        spread = torch.tensor([e.mean for e in found]).std().item()
        stated = torch.tensor([e.standard_error for e in found]).square().mean().sqrt().item()
        # The standard deviation of `sets` nearly normal means is known to 1/√(2·sets).
        assert spread == pytest.approx(stated, rel=4 / math.sqrt(2 * sets))


def test_bits_per_dim_divide_by_the_pixels_of_one_image_and_ln_2(inexact: Oracle) -> None:
    report = evaluate_likelihood(inexact.vae, inexact.images(N), bounds(2))
    bits = report.bits_per_dim()
    assert bits.mean == pytest.approx(-report["elbo"].mean / (8 * math.log(2)), rel=1e-12)
    assert bits.standard_error == pytest.approx(report["elbo"].standard_error / (8 * math.log(2)), rel=1e-12)
    expected = -report["importance_weighted"].mean / (8 * math.log(2))
    assert report.bits_per_dim("importance_weighted").mean == pytest.approx(expected, rel=1e-12)
    for missing in ("prior_monte_carlo", "kl"):
        with pytest.raises(UserError, match="measured: elbo, importance_weighted"):
            report.bits_per_dim(missing)
        with pytest.raises(UserError, match="measured: elbo, importance_weighted"):
            report[missing]


class Silent(nn.Module):
    """N(0, I) for every image, or zeros for every code: networks that say nothing."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor] | Tensor:
        zeros = torch.zeros(len(x), *self.shape)
        return (zeros, zeros) if len(self.shape) == 1 else zeros


def test_sixteen_equally_likely_levels_on_28_by_28_are_4_bits_and_beta_is_not_in_the_report() -> None:
    vae = VAE(Silent(20), Silent(16, 28, 28), Categorical(16), beta=7.0)
    pixels = torch.randint(0, 256, (5, 1, 28, 28), generator=seeds.generator(0, "p")).to(torch.uint8)
    report = evaluate_likelihood(vae, ImageSet(pixels, torch.zeros(5, dtype=torch.int64), ("any",)), ELBO)
    assert report["elbo"].mean == pytest.approx(-784 * math.log(16), rel=1e-6)
    assert report.bits_per_dim().mean == pytest.approx(4.0, rel=1e-6)
    assert report.part("kl").mean == 0.0
    # A KL of ½ in each of 20 latents is 10 nats in the bound, whatever β.
    paying = VAE(lambda x: (torch.ones(len(x), 20), torch.zeros(len(x), 20)), vae.decoder, Categorical(16), beta=7.0)
    shifted = evaluate_likelihood(paying, ImageSet(pixels, torch.zeros(5, dtype=torch.int64), ("any",)), ELBO)
    assert report["elbo"].mean - shifted["elbo"].mean == pytest.approx(10.0, abs=1e-3)


def test_a_diverged_image_stays_visible(exact: Oracle) -> None:
    images = exact.images(10)

    class OneBad(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            mean, log_std = exact.vae.encoder(x)
            bad = (x == images.images[3].double()).flatten(1).all(1)
            return mean.masked_fill(bad[:, None], math.nan), log_std

    broken = VAE(OneBad(), exact.vae.decoder, exact.vae.likelihood)
    report = evaluate_likelihood(broken, images, bounds(4))
    assert report.per_example["elbo"].isnan().tolist() == [i == 3 for i in range(10)]
    assert math.isnan(report["elbo"].mean)
    assert math.isnan(report["importance_weighted"].mean)


class FailsError(RuntimeError):
    """What the model raises half way."""


def convolutional(side: int = 8, width: int = 4) -> VAE:
    """A VAE with all a caller could find changed: BatchNorm, dropout, frozen parameters, gradients."""
    shape = (1, side, side)
    with seeds.seeded(0, "weights"):
        encoder = ConvEncoder(shape, 3, width)
        decoder = nn.Sequential(ConvDecoder(shape, 3, width, 1), nn.BatchNorm2d(1), nn.Dropout(0.5))
    return VAE(encoder, decoder, Bernoulli())


def digits(n: int = 20, side: int = 8) -> ImageSet:
    pixels = torch.randint(0, 256, (n, 1, side, side), generator=seeds.generator(1, "p")).to(torch.uint8)
    return ImageSet(pixels, torch.zeros(n, dtype=torch.int64), ("any",))


@pytest.mark.parametrize("fails", [False, True])
def test_the_model_comes_back_as_it_was(fails: bool) -> None:
    vae = convolutional()
    vae.train()
    vae.decoder[0].eval()  # type: ignore[index]
    next(vae.encoder.parameters()).requires_grad_(False)  # type: ignore[attr-defined]
    vae.terms(digits().images).negative_elbo.mean().backward()
    modes = [module.training for module in vae.modules()]
    state = {name: value.clone() for name, value in vae.state_dict().items()}
    parameters = [(p.requires_grad, None if p.grad is None else p.grad.clone()) for p in vae.parameters()]
    generator = torch.get_rng_state()
    if fails:
        calls = iter(range(100))

        def prepare(images: Tensor, own: Tensor) -> Tensor:
            if next(calls) == 1:
                raise FailsError
            return images

        with pytest.raises(FailsError):
            evaluate_likelihood(vae, digits(), ELBO, batch_size=8, prepare=prepare)
    else:
        evaluate_likelihood(vae, digits(), bounds(3, 3))
    assert modes == [module.training for module in vae.modules()]
    assert all(torch.equal(value, state[name]) for name, value in vae.state_dict().items())
    for p, (requires_grad, grad) in zip(vae.parameters(), parameters, strict=True):
        assert p.requires_grad == requires_grad
        assert (p.grad is None) == (grad is None)
        assert grad is None or torch.equal(p.grad, grad)
    assert torch.equal(torch.get_rng_state(), generator)
    assert torch.is_grad_enabled()


def test_evaluation_is_in_eval_mode_whatever_mode_the_model_is_in() -> None:
    vae = convolutional()
    trained = evaluate_likelihood(vae.train(), digits(), ELBO).per_example["elbo"]
    torch.testing.assert_close(
        trained, evaluate_likelihood(vae.eval(), digits(), ELBO).per_example["elbo"], rtol=0, atol=0
    )


def test_results_hold_no_graph(exact: Oracle) -> None:
    report = evaluate_likelihood(exact.vae, exact.images(3), bounds(2, 2))
    assert not any(values.requires_grad for values in report.per_example.values())


def test_prepare_sees_each_images_own_seed() -> None:
    vae = convolutional()
    seen: list[Tensor] = []

    def prepare(images: Tensor, own: Tensor) -> Tensor:
        drawn = bernoulli_draw(images, own)
        seen.append(drawn)
        return drawn

    one = evaluate_likelihood(vae, digits(), ELBO, batch_size=20, prepare=prepare)
    parts = evaluate_likelihood(vae, digits(), ELBO, batch_size=6, prepare=prepare)
    torch.testing.assert_close(torch.cat(seen[1:]), seen[0], rtol=0, atol=0)
    assert set(seen[0].unique().tolist()) == {0.0, 1.0}
    torch.testing.assert_close(one.per_example["elbo"], parts.per_example["elbo"])


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Elbo(0), "samples of Elbo is 0"),
        (lambda: ImportanceWeighted(0), "samples of ImportanceWeighted is 0"),
        (lambda: ImportanceWeighted(1, chunk=0), "chunk of ImportanceWeighted is 0"),
        (lambda: PriorMonteCarlo(-1), "samples of PriorMonteCarlo is -1"),
    ],
)
def test_counts_below_1_are_refused_before_anything_runs(make: Callable[[], object], sentence: str) -> None:
    with pytest.raises(UserError, match=f"{sentence}, but must be at least 1"):
        make()


def test_an_impossible_batch_and_no_estimators_are_refused(exact: Oracle) -> None:
    with pytest.raises(UserError, match="batch_size is 0, but must be at least 1"):
        evaluate_likelihood(exact.vae, exact.images(2), ELBO, batch_size=0)
    with pytest.raises(UserError, match="There are no estimators"):
        evaluate_likelihood(exact.vae, exact.images(2), {})


@pytest.mark.parametrize(
    ("estimator", "sentence"),
    [
        (Elbo(), "PCA has no method terms.*, which the ELBO needs"),
        (ImportanceWeighted(2), "PCA has no method log_weights.*, which the importance-weighted bound needs"),
        (PriorMonteCarlo(2), "PCA has no method log_likelihoods.*, which prior Monte Carlo needs"),
        (Exact(), "PCA has no method log_prob.*, which an exact likelihood needs"),
    ],
)
def test_a_model_without_what_an_estimator_needs_is_told_so(estimator: object, sentence: str, exact: Oracle) -> None:
    images = exact.images(5)
    with pytest.raises(UserError, match=sentence):
        evaluate_likelihood(PCA(2).fit(images.images), images, {"any": estimator})


def linear_models(images: Tensor) -> list[LinearGaussian]:
    general = LinearGaussian(
        torch.randn(8, 3, generator=seeds.generator(3, "W"), dtype=torch.float64),
        torch.full((8,), 0.5, dtype=torch.float64),
        torch.linspace(0.5, 2.0, 8, dtype=torch.float64),
        SHAPE,
    )
    return [general, ProbabilisticPCA(2).fit(images), FactorAnalysis(2, least_variance=1e-4).fit(images)]


@pytest.mark.parametrize("which", [0, 1, 2], ids=["linear-Gaussian", "probabilistic PCA", "factor analysis"])
def test_linear_models_are_measured_exactly_beside_their_bounds(which: int, exact: Oracle) -> None:
    """With the exact posterior every bound is log p(x); the ELBO's parts are those of torch's normals."""
    images = exact.images(40)
    x = images.images.double()
    model = linear_models(x)[which]
    report = evaluate_likelihood(model, images, {"exact": Exact(), **bounds(5, 400)}, batch_size=16)
    law = torch.distributions.MultivariateNormal(model.mean, model.weight @ model.weight.T + model.variance.diag())
    found = report.per_example
    torch.testing.assert_close(found["exact"], law.log_prob(x.flatten(1)), rtol=1e-8, atol=1e-8)
    for bound in ("elbo", "importance_weighted"):
        torch.testing.assert_close(found[bound], found["exact"], rtol=1e-8, atol=1e-8)
    q = torch.distributions.MultivariateNormal(*model.posterior(x))
    p = torch.distributions.MultivariateNormal(torch.zeros_like(q.mean[0]), torch.eye(model.latent_dim).double())
    torch.testing.assert_close(found["kl"], torch.distributions.kl_divergence(q, p), rtol=1e-8, atol=1e-8)
    assert [report.kind(name) for name in report.entries] == ["exact", "lower bound", "lower bound", "lower bound"]
    assert report["prior_monte_carlo"].mean < report["exact"].mean + 4 * report["prior_monte_carlo"].standard_error


def test_several_estimators_of_one_kind_share_their_draws_and_keep_their_parts_apart(inexact: Oracle) -> None:
    images = inexact.images(10)
    chosen = {"one": Elbo(1), "two": Elbo(2), "iw-1": ImportanceWeighted(1), "iw-2": ImportanceWeighted(2)}
    report = evaluate_likelihood(inexact.vae, images, chosen)
    found = report.per_example
    assert list(found) == ["one", "reconstruction", "kl", "two", "two_reconstruction", "two_kl", "iw-1", "iw-2"]
    # log ½(w_1 + w_2) ≥ log w_1 − log 2: the first draw is the same.
    assert (found["iw-2"] >= found["iw-1"] - math.log(2) - 1e-9).all()
    assert torch.equal(found["kl"], found["two_kl"])
    assert not torch.equal(found["reconstruction"], found["two_reconstruction"])
    assert report.part("kl", "two").mean == report.part("kl").mean
    assert report.part("reconstruction", "two").mean == found["two_reconstruction"].mean().item()
    with pytest.raises(UserError, match="no part 'rate' in this report; measured: kl, reconstruction"):
        report.part("rate")
    with pytest.raises(UserError, match="no part 'kl' in this report; measured: none"):
        report.part("kl", "iw-1")


def test_an_estimator_from_outside_is_as_good_as_ours(exact: Oracle) -> None:
    class Halves:
        label, kind, stream, draws = "half of it", "estimate", "halves", 3

        def __call__(
            self, model: object, images: Tensor, *, seeds: Tensor, on_draws: Callable[[int], None]
        ) -> Estimated:
            on_draws(3 * len(images))
            return Estimated(images.flatten(1).sum(1) / 2, {"noise": seeds.double()})

    images = exact.images(5)
    report = evaluate_likelihood(object(), images, {"halves": Halves()}, batch_size=2)
    torch.testing.assert_close(report.per_example["halves"], images.images.flatten(1).sum(1) / 2)
    assert len(report.per_example["noise"].unique()) == 5
    assert report.measurements()[1].note == "estimate"


def test_measurements_say_what_they_are(inexact: Oracle) -> None:
    report: LikelihoodReport = evaluate_likelihood(inexact.vae, inexact.images(10), bounds(2))
    found = {one.key: one for one in report.measurements()}
    assert list(found) == [
        "bits_per_dim", "bits_per_dim_importance_weighted", "elbo", "reconstruction", "kl", "importance_weighted"
    ]  # fmt: skip
    assert [key for key, one in found.items() if one.headline] == ["bits_per_dim"]
    bits, iw, kl = found["bits_per_dim"], found["importance_weighted"], found["kl"]
    assert (bits.name, bits.unit, bits.better, bits.note) == ("bits/dim, ELBO", "bits/dim", "lower", "upper bound")
    assert (bits.value, bits.standard_error) == (report.bits_per_dim().mean, report.bits_per_dim().standard_error)
    assert (iw.name, iw.unit, iw.better) == ("importance-weighted bound, K=2", "nats", "higher")
    assert (iw.note, iw.value) == ("lower bound", report["importance_weighted"].mean)
    assert (kl.name, kl.better, kl.note) == ("KL from posterior to prior", None, "")
    fitted = ProbabilisticPCA(2).fit(inexact.images(10).images.double())
    exact = evaluate_likelihood(fitted, inexact.images(10), {"exact": Exact()}).measurements()
    assert [(one.key, one.note) for one in exact] == [("bits_per_dim", "exact"), ("exact", "exact")]


def test_an_empty_set_is_refused(exact: Oracle) -> None:
    with pytest.raises(UserError, match="no images"):
        evaluate_likelihood(exact.vae, exact.images(2)[:0], ELBO)


def test_the_bar_counts_every_draw(exact: Oracle, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[int] = []
    totals: list[int] = []

    @contextmanager
    def recorder(description: str, total: int, unit: str, shown: bool) -> Iterator[Callable[[int], None]]:
        totals.append(total)
        assert shown
        yield done.append

    monkeypatch.setattr(likelihood, "progress_bar", recorder)
    evaluate_likelihood(exact.vae, exact.images(10), bounds(7, 5, samples=3), batch_size=4, progress=True)
    assert totals == [sum(done)] == [10 * (3 + 7 + 5)]
    assert len(done) >= 9


def test_the_bar_shows_rate_and_time_left_on_standard_error_only_if_asked(capsys: pytest.CaptureFixture[str]) -> None:
    for shown in (True, False):
        with progress_bar("measuring", 10, "draws", shown) as advance:
            advance(10)
        captured = capsys.readouterr()
        assert captured.out == ""
        assert ("measuring" in captured.err) == shown
        assert ("draws/s" in captured.err) == shown
        assert ("10/10" in captured.err) == shown


def test_the_measurements_hold_every_number(inexact: Oracle) -> None:
    report = evaluate_likelihood(inexact.vae, inexact.images(10), bounds(2))
    found = {one.key: one for one in report.measurements()}
    assert (found["elbo"].value, found["elbo"].standard_error) == (report["elbo"].mean, report["elbo"].standard_error)
    assert {found[name].note for name in ("elbo", "importance_weighted")} == {"lower bound"}
    assert found["bits_per_dim"].value == report.bits_per_dim().mean
    assert found["bits_per_dim_importance_weighted"].value == report.bits_per_dim("importance_weighted").mean
    assert "prior_monte_carlo" not in found


class Recorded:
    """A model that is no module, and notes how much is asked of it at once."""

    def __init__(self, oracle: Oracle) -> None:
        self.oracle = oracle
        self.most = 0

    def terms(
        self, images: Tensor, samples: int = 1, generator: torch.Generator | None = None, seeds: Tensor | None = None
    ) -> ElboTerms:
        return self.oracle.vae.terms(images.double(), samples, generator, seeds)

    def log_weights(self, images: Tensor, samples: int, *, seeds: Tensor, first: int = 0) -> Tensor:
        self.most = max(self.most, samples * len(images))
        return self.oracle.vae.log_weights(images.double(), samples, seeds=seeds, first=first)

    def log_likelihoods(self, images: Tensor, samples: int, *, seeds: Tensor, first: int = 0) -> Tensor:
        self.most = max(self.most, samples * len(images))
        return self.oracle.vae.log_likelihoods(images.double(), samples, seeds=seeds, first=first)


def test_what_is_decoded_at_once_does_not_grow_with_the_number_of_draws() -> None:
    most = []
    for draws in (200, 800):
        model = Recorded(linear_vae())
        evaluate_likelihood(model, model.oracle.images(16), bounds(draws, draws), batch_size=16)
        most.append(model.most)
    assert most[0] == most[1] <= 2048


@contextmanager
def peak_resident() -> Iterator[list[int]]:
    """The process's resident bytes on entering and, at the end, the most seen since, by looking every 5 ms."""
    process = psutil.Process()
    seen = [process.memory_info().rss]
    done = threading.Event()

    def watch() -> None:
        most = seen[0]
        while not done.wait(0.005):
            most = max(most, process.memory_info().rss)
        seen.append(most)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()


@pytest.mark.full
def test_five_thousand_draws_on_28_by_28_add_less_than_a_gigabyte() -> None:
    with seeds.seeded(0, "weights"):
        vae = VAE(ConvEncoder((1, 28, 28), 20, 32), ConvDecoder((1, 28, 28), 20, 32, 16), Categorical(16))
    images = digits(256, 28)
    with peak_resident() as seen:
        evaluate_likelihood(vae, images, bounds(16))  # 8 draws of 256 images at once
        evaluate_likelihood(vae, images[:2], bounds(5000))  # 1024 draws of 2
    before, most = seen
    assert 5e7 < most - before < 1e9  # the lower bound: something was seen


def test_points_on_the_plane_have_likelihoods_too() -> None:
    points = torch.randn(50, 2, generator=seeds.generator(0, "points"))
    model = ProbabilisticPCA(1).fit(points)
    report = evaluate_likelihood(model, PointSet(points), {"exact": Exact(), "elbo": Elbo()}, batch_size=16)
    torch.testing.assert_close(report.per_example["exact"], model.log_prob(points))
    torch.testing.assert_close(report.per_example["elbo"], model.log_prob(points))
    assert report.bits_per_dim().mean == pytest.approx(-report["exact"].mean / (2 * math.log(2)), rel=1e-9)
