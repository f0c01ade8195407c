"""``evaluate_likelihood`` on models whose ELBO and log p(x) are exact, and what it promises its caller."""

import json
import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psutil
import pytest
import torch
from linear_oracle import Oracle, linear_vae
from torch import Tensor, nn

from epslab import seeds
from epslab.data import ImageSet, bernoulli_draw
from epslab.errors import UserError
from epslab.evaluation import evaluate_likelihood, likelihood
from epslab.evaluation.progress import progress_bar
from epslab.generative.elbo import ElboTerms
from epslab.generative.vae import VAE
from epslab.nets import ConvDecoder, ConvEncoder
from epslab.probability.likelihoods import Bernoulli, Categorical

N = 300


def within(values: Tensor, expected: Tensor, bias: float = 0.0) -> bool:
    """Whether the mean difference is zero (or ``bias``) within four of its standard errors."""
    difference = values - expected
    return bool((difference.mean() - bias).abs() < 4 * difference.std() / math.sqrt(len(difference)))


def test_the_elbo_and_its_terms_are_the_closed_form_ones(inexact: Oracle) -> None:
    images = inexact.images(N)
    x = images.images.double()
    report = evaluate_likelihood(inexact.vae, images, samples=20)
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
    report = evaluate_likelihood(exact.vae, images, importance_samples=3)
    torch.testing.assert_close(report.per_example["importance_weighted"], log_p, rtol=0, atol=1e-8)


def test_weighted_bound_and_prior_monte_carlo_approach_log_p(inexact: Oracle) -> None:
    images = inexact.images(N)
    x = images.images.double()
    log_p = inexact.model.log_prob(x)
    report = evaluate_likelihood(inexact.vae, images, importance_samples=200, prior_samples=600)
    own = seeds.draw(N, seeds.generator(9, "bias"))
    for name, draws, log_ratios in (
        ("importance_weighted", 200, inexact.vae.log_weights(x, 200, seeds=own) - log_p),
        ("prior_monte_carlo", 600, inexact.vae.log_likelihoods(x, 600, seeds=own) - log_p),
    ):
        bias = -(log_ratios.detach().exp().var(0) / (2 * draws)).mean().item()  # of a logarithm, to first order
        assert within(report.per_example[name], log_p, bias)
    assert report.importance_weighted is not None
    assert report.importance_weighted.mean > report.elbo.mean + 0.1


def test_results_depend_on_batch_size_and_chunk_by_rounding_only_and_on_the_seed(inexact: Oracle) -> None:
    images = inexact.images(40)

    def values(batch_size: int, chunk: int | None, seed: int = 0) -> dict[str, Tensor]:
        return dict(
            evaluate_likelihood(
                inexact.vae,
                images,
                samples=2,
                importance_samples=10,
                prior_samples=10,
                batch_size=batch_size,
                chunk=chunk,
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
    elbo = evaluate_likelihood(inexact.vae, twins, batch_size=2).per_example["elbo"]
    assert len(elbo.unique()) == 5


def test_standard_errors_are_the_spread_over_sets_of_images(inexact: Oracle) -> None:
    sets = 150
    images = inexact.images(sets * 40)
    estimates = [
        evaluate_likelihood(inexact.vae, images[i * 40 : (i + 1) * 40], seed=i, importance_samples=2)
        for i in range(sets)
    ]
    for quantity in ("elbo", "kl", "importance_weighted"):
        found = [getattr(report, quantity) for report in estimates]
        spread = torch.tensor([e.mean for e in found]).std().item()
        stated = torch.tensor([e.standard_error for e in found]).square().mean().sqrt().item()
        # The standard deviation of `sets` nearly normal means is known to 1/√(2·sets).
        assert spread == pytest.approx(stated, rel=4 / math.sqrt(2 * sets))


def test_bits_per_dim_divide_by_the_pixels_of_one_image_and_ln_2(inexact: Oracle) -> None:
    report = evaluate_likelihood(inexact.vae, inexact.images(N), importance_samples=2)
    bits = report.bits_per_dim()
    assert bits.mean == pytest.approx(-report.elbo.mean / (8 * math.log(2)), rel=1e-12)
    assert bits.standard_error == pytest.approx(report.elbo.standard_error / (8 * math.log(2)), rel=1e-12)
    assert report.importance_weighted is not None
    expected = -report.importance_weighted.mean / (8 * math.log(2))
    assert report.bits_per_dim("importance_weighted").mean == pytest.approx(expected, rel=1e-12)
    for missing in ("prior_monte_carlo", "kl"):
        with pytest.raises(UserError, match="measured: elbo, importance_weighted"):
            report.bits_per_dim(missing)


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
    report = evaluate_likelihood(vae, ImageSet(pixels, torch.zeros(5, dtype=torch.int64), ("any",)))
    assert report.elbo.mean == pytest.approx(-784 * math.log(16), rel=1e-6)
    assert report.bits_per_dim().mean == pytest.approx(4.0, rel=1e-6)
    assert report.kl.mean == 0.0
    # A KL of ½ in each of 20 latents is 10 nats in the bound, whatever β.
    paying = VAE(lambda x: (torch.ones(len(x), 20), torch.zeros(len(x), 20)), vae.decoder, Categorical(16), beta=7.0)
    shifted = evaluate_likelihood(paying, ImageSet(pixels, torch.zeros(5, dtype=torch.int64), ("any",)))
    assert report.elbo.mean - shifted.elbo.mean == pytest.approx(10.0, abs=1e-3)


def test_a_diverged_image_stays_visible(exact: Oracle) -> None:
    images = exact.images(10)

    class OneBad(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            mean, log_std = exact.vae.encoder(x)
            bad = (x == images.images[3].double()).flatten(1).all(1)
            return mean.masked_fill(bad[:, None], math.nan), log_std

    broken = VAE(OneBad(), exact.vae.decoder, exact.vae.likelihood)
    report = evaluate_likelihood(broken, images, importance_samples=4)
    assert report.per_example["elbo"].isnan().tolist() == [i == 3 for i in range(10)]
    assert math.isnan(report.elbo.mean)
    assert report.importance_weighted is not None
    assert math.isnan(report.importance_weighted.mean)


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
            evaluate_likelihood(vae, digits(), batch_size=8, prepare=prepare)
    else:
        evaluate_likelihood(vae, digits(), importance_samples=3, prior_samples=3)
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
    trained = evaluate_likelihood(vae.train(), digits()).per_example["elbo"]
    torch.testing.assert_close(trained, evaluate_likelihood(vae.eval(), digits()).per_example["elbo"], rtol=0, atol=0)


def test_results_hold_no_graph(exact: Oracle) -> None:
    report = evaluate_likelihood(exact.vae, exact.images(3), importance_samples=2, prior_samples=2)
    assert not any(values.requires_grad for values in report.per_example.values())


def test_prepare_sees_each_images_own_seed() -> None:
    vae = convolutional()
    seen: list[Tensor] = []

    def prepare(images: Tensor, own: Tensor) -> Tensor:
        drawn = bernoulli_draw(images, own)
        seen.append(drawn)
        return drawn

    one = evaluate_likelihood(vae, digits(), batch_size=20, prepare=prepare)
    parts = evaluate_likelihood(vae, digits(), batch_size=6, prepare=prepare)
    torch.testing.assert_close(torch.cat(seen[1:]), seen[0], rtol=0, atol=0)
    assert set(seen[0].unique().tolist()) == {0.0, 1.0}
    torch.testing.assert_close(one.per_example["elbo"], parts.per_example["elbo"])


@pytest.mark.parametrize("name", ["samples", "importance_samples", "prior_samples", "batch_size", "chunk"])
def test_counts_below_1_are_refused_before_anything_runs(name: str, exact: Oracle) -> None:
    with pytest.raises(UserError, match=f"{name} is 0, but must be at least 1"):
        evaluate_likelihood(exact.vae, exact.images(2), **{name: 0})  # type: ignore[arg-type]


def test_an_empty_set_is_refused(exact: Oracle) -> None:
    with pytest.raises(UserError, match="no images"):
        evaluate_likelihood(exact.vae, exact.images(2)[:0])


def test_the_bar_counts_every_draw(exact: Oracle, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[int] = []
    totals: list[int] = []

    @contextmanager
    def recorder(description: str, total: int, unit: str, shown: bool) -> Iterator[Callable[[int], None]]:
        totals.append(total)
        assert shown
        yield done.append

    monkeypatch.setattr(likelihood, "progress_bar", recorder)
    evaluate_likelihood(
        exact.vae, exact.images(10), samples=3, importance_samples=7, prior_samples=5, batch_size=4, progress=True
    )
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


def test_the_dictionary_is_json_and_holds_every_number(inexact: Oracle) -> None:
    report = evaluate_likelihood(inexact.vae, inexact.images(10), importance_samples=2)
    found = json.loads(json.dumps(report.to_dict()))
    assert found["images"] == 10
    assert found["importance_samples"] == 2
    assert found["prior_samples"] is None
    assert found["elbo"] == {"mean": report.elbo.mean, "standard_error": report.elbo.standard_error, "n": 10}
    assert found["bits_per_dim"]["mean"] == report.bits_per_dim().mean
    assert found["bits_per_dim_importance_weighted"]["mean"] == report.bits_per_dim("importance_weighted").mean
    assert "prior_monte_carlo" not in found
    assert report.prior_monte_carlo is None


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
    for draws in (400, 2000):
        model = Recorded(linear_vae())
        evaluate_likelihood(
            model, model.oracle.images(16), importance_samples=draws, prior_samples=draws, batch_size=16
        )
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
        evaluate_likelihood(vae, images, importance_samples=16)  # 8 draws of 256 images at once
        evaluate_likelihood(vae, images[:2], importance_samples=5000)  # 1024 draws of 2
    before, most = seen
    assert 5e7 < most - before < 1e9  # the lower bound: something was seen
