import math

import pytest
import torch
from torch import Tensor

from epslab import seeds
from epslab.errors import UserError
from epslab.probability.bounds import LATENTS_PER_PASS, bits_per_dim, importance_weighted, prior_monte_carlo
from epslab.seeds import noise as draw_noise

ESTIMATES = [importance_weighted, prior_monte_carlo]
each = pytest.mark.parametrize("estimate", ESTIMATES)


class Weights:
    """A model whose log-weights are given, or else noise of seed and draw; it writes down what it is asked for."""

    def __init__(self, values: list[float] | None = None, scale: float = 3.0, offset: float = 0.0) -> None:
        self.values, self.scale, self.offset = values, scale, offset
        self.parameter = torch.zeros((), requires_grad=True)
        self.asked: list[tuple[int, int]] = []

    def log_weights(self, images: Tensor, samples: int, *, seeds: Tensor, first: int = 0) -> Tensor:
        self.asked.append((first, samples))
        counters = range(first, first + samples)
        if self.values is None:
            made = torch.stack([draw_noise(seeds, k, (), torch.float64) for k in counters])
            return self.offset + self.scale * made + self.parameter
        return torch.tensor([self.values[k] for k in counters])[:, None].expand(-1, len(images)) + self.parameter

    log_likelihoods = log_weights


IMAGES = torch.zeros(3, 1, 2, 2, dtype=torch.float64)
SEEDS = torch.tensor([1, 2, 3])


@each
def test_weights_are_averaged_before_the_logarithm(estimate: object) -> None:
    # Weights 1 and 3: log 2. The mean of the logarithms is 0.549, their mean weighted by the weights 0.824.
    result = estimate(Weights([0.0, math.log(3)]), IMAGES, 2, seeds=SEEDS)
    torch.testing.assert_close(result, torch.full((3,), math.log(2), dtype=torch.float64), rtol=1e-7, atol=0)


@each
@pytest.mark.parametrize("chunk", [1, 3, 7, 100, 1000])
def test_the_chunk_changes_nothing_and_every_draw_is_used_once(estimate: object, chunk: int) -> None:
    model = Weights()
    result = estimate(model, IMAGES, 100, seeds=SEEDS, chunk=chunk)
    torch.testing.assert_close(result, estimate(Weights(), IMAGES, 100, seeds=SEEDS), rtol=1e-13, atol=1e-13)
    assert [k for first, count in model.asked for k in range(first, first + count)] == list(range(100))
    assert max(count for _, count in model.asked) <= chunk


@each
def test_many_small_passes_add_up_without_rounding(estimate: object) -> None:
    """All weights are 1, so log (1/K) Σ w is exactly 0: a sum kept in float32 drifts to 1e-5."""
    images, own = IMAGES[:1].float(), SEEDS[:1]
    result = estimate(Weights([0.0] * 20_000), images, 20_000, seeds=own, chunk=1)
    assert abs(result.item()) < 1e-7


@each
def test_draws_are_told_as_they_are_made(estimate: object) -> None:
    told: list[int] = []
    estimate(Weights(), IMAGES, 10, seeds=SEEDS, chunk=4, on_draws=told.append)
    assert told == [12, 12, 6]


class Prepared(Weights):
    """A model that does the work all draws share once, when it is given its images."""

    def at(self, images: Tensor) -> "Prepared":
        self.images = images
        return self

    def log_weights(self, samples: int, *, seeds: Tensor, first: int = 0) -> Tensor:  # type: ignore[override]
        return super().log_weights(self.images, samples, seeds=seeds, first=first)

    log_likelihoods = log_weights  # type: ignore[assignment]


@each
def test_a_model_that_can_encode_once_is_asked_to(estimate: object) -> None:
    torch.testing.assert_close(
        estimate(Prepared(), IMAGES, 50, seeds=SEEDS, chunk=7), estimate(Weights(), IMAGES, 50, seeds=SEEDS)
    )


@each
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_images_get_their_estimate_in_float32(estimate: object, dtype: torch.dtype) -> None:
    result = estimate(Weights(offset=-1234.5), IMAGES.to(dtype), 10, seeds=SEEDS)
    expected = estimate(Weights(offset=-1234.5), IMAGES.float(), 10, seeds=SEEDS)
    assert result.dtype == torch.float32
    assert torch.equal(result, expected)


@each
def test_no_images_give_no_estimates(estimate: object) -> None:
    assert estimate(Weights(), IMAGES[:0], 5, seeds=SEEDS[:0]).shape == (0,)


@each
def test_by_default_a_pass_holds_a_bounded_number_of_latents(estimate: object) -> None:
    for n in (20, 100, 3000):
        model = Weights()
        samples = 3 * LATENTS_PER_PASS // n + 2
        estimate(model, torch.zeros(n, 1, 1, 1), samples, seeds=torch.arange(n))
        largest = max(count for _, count in model.asked)
        assert largest == max(1, LATENTS_PER_PASS // n)
        assert sum(count for _, count in model.asked) == samples


@each
def test_an_example_gets_the_same_estimate_alone_as_among_others(estimate: object) -> None:
    together = estimate(Weights(), IMAGES, 10, seeds=SEEDS)
    alone = torch.cat([estimate(Weights(), IMAGES[:1], 10, seeds=SEEDS[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(together, alone, rtol=1e-13, atol=0)
    assert len(together.unique()) == 3


@each
@pytest.mark.parametrize("offset", [-1e5, 1e5])
def test_weights_far_beyond_the_range_of_exp_are_averaged(estimate: object, offset: float) -> None:
    near = estimate(Weights(), IMAGES, 50, seeds=SEEDS)
    far = estimate(Weights(offset=offset), IMAGES, 50, seeds=SEEDS, chunk=7)
    torch.testing.assert_close(far, near + offset, rtol=1e-12, atol=0)


@each
def test_a_weight_of_zero_counts_and_a_nan_stays_visible(estimate: object) -> None:
    half = estimate(Weights([0.0, -math.inf]), IMAGES, 2, seeds=SEEDS, chunk=1)
    torch.testing.assert_close(half, torch.full((3,), -math.log(2), dtype=torch.float64))
    assert (estimate(Weights([-math.inf] * 2), IMAGES, 2, seeds=SEEDS, chunk=1) == -math.inf).all()
    for chunk in (1, 3):
        assert estimate(Weights([0.0, math.nan, 0.0]), IMAGES, 3, seeds=SEEDS, chunk=chunk).isnan().all()


@each
def test_seeds_come_from_the_generator_where_none_are_given(estimate: object) -> None:
    first, second, other = (estimate(Weights(), IMAGES, 5, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    given = seeds.draw(3, torch.Generator().manual_seed(0))
    assert torch.equal(estimate(Weights(), IMAGES, 5, seeds=given), first)


@each
def test_no_gradient_is_kept_and_the_images_type_is_returned(estimate: object) -> None:
    assert not estimate(Weights(), IMAGES, 5, seeds=SEEDS).requires_grad
    assert estimate(Weights(), IMAGES.float(), 5, seeds=SEEDS).dtype == torch.float32


@each
def test_fewer_than_one_sample_or_draw_a_pass_is_refused_before_any_work(estimate: object) -> None:
    model = Weights()
    with pytest.raises(UserError, match="samples is 0"):
        estimate(model, IMAGES, 0)
    with pytest.raises(UserError, match="chunk is 0"):
        estimate(model, IMAGES, 1, chunk=0)
    assert not model.asked


def test_a_shape_with_the_batch_in_it_is_refused() -> None:
    with pytest.raises(UserError, match="batch"):
        bits_per_dim(torch.zeros(128), (128, 1, 28, 28))
