import math

import pytest
import torch
from scipy import stats

from epslab import seeds
from epslab.errors import UserError

MASK = (1 << 64) - 1
GAMMA = 0x9E3779B97F4A7C15
N = 20_000


def mix(z: int) -> int:
    """SplitMix64's finaliser, as published, in Python's integers."""
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & MASK
    return z ^ (z >> 31)


def splitmix64(key: int, size: int) -> list[int]:
    return [mix(key + i * GAMMA & MASK) for i in range(1, size + 1)]


def signed(word: int) -> int:
    return word - (1 << 64) if word >> 63 else word


def assert_uncorrelated(a: torch.Tensor, b: torch.Tensor, errors: float = 4) -> None:
    """Correlation within ``errors`` standard errors of 0, for values and for their squares."""
    for x, y in ((a, b), (a.square(), b.square())):
        x, y = x.double() - x.double().mean(), y.double() - y.double().mean()
        correlation = (x * y).mean() / (x.square().mean() * y.square().mean()).sqrt()
        assert abs(correlation) < errors / math.sqrt(x.numel())


def test_the_reference_generator_itself_gives_the_published_numbers() -> None:
    # The first outputs for seed 1234567 (Vigna's splitmix64.c, as listed at Rosetta Code).
    assert splitmix64(1234567, 3) == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def test_the_words_are_splitmix64_of_the_mixed_seed_and_counter() -> None:
    for seed in (0, 1, -1, 42, 2**63 - 1, -(2**63)):
        for counter in (0, 1, 1000):
            key = mix(mix(seed & MASK) + counter & MASK)
            expected = [signed(word) for word in splitmix64(key, 5)]
            assert seeds._words(torch.tensor([seed]), counter, 5).tolist() == [expected]


def test_normal_and_uniform_numbers_are_box_muller_and_scaling_of_those_words() -> None:
    words = splitmix64(mix(mix(7) + 3), 4)
    radius = [math.sqrt(-2 * math.log(((word >> 32) + 0.5) / 2**32)) for word in words]
    angle = [2 * math.pi * (word & 0xFFFFFFFF) / 2**32 for word in words]
    expected = [r * math.cos(a) for r, a in zip(radius, angle, strict=True)]
    expected += [r * math.sin(a) for r, a in zip(radius, angle, strict=True)]
    for size in (7, 8):
        noise = seeds.noise(torch.tensor([7]), 3, (size,), torch.float64)
        torch.testing.assert_close(noise[0], torch.tensor(expected[:size], dtype=torch.float64), rtol=1e-9, atol=1e-9)

    words = splitmix64(mix(mix(~7 & MASK) + 3), 4)
    double = seeds.uniform(torch.tensor([7]), 3, (4,), torch.float64)
    assert double[0].tolist() == [(word >> 11) / 2**53 for word in words]
    halves = [half for word in words for half in (word & 0xFFFFFFFF, word >> 32)]
    single = seeds.uniform(torch.tensor([7]), 3, (7,))
    assert single[0].tolist() == [(half >> 8) / 2**24 for half in halves[:7]]


def test_no_more_words_are_made_than_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    words = seeds._words

    def noted(example_seeds: torch.Tensor, counter: int, size: int) -> torch.Tensor:
        sizes.append(size)
        return words(example_seeds, counter, size)

    monkeypatch.setattr(seeds, "_words", noted)
    for draw in (seeds.noise, seeds.uniform):
        for size in (6, 7):
            draw(torch.tensor([7]), 0, (size,))
    assert sizes == [3, 4, 3, 4]


def test_every_bit_of_the_words_is_fair() -> None:
    words = seeds._words(torch.arange(200), 0, 100)
    for bit in range(64):
        ones = int((words >> bit & 1).sum())
        assert abs(ones - N / 2) < 4.5 * math.sqrt(N / 4)  # 64 bits looked at


def test_neighbouring_bits_are_independent() -> None:
    words = seeds._words(torch.arange(200), 0, 100).flatten()
    for bit in range(63):
        pairs = torch.bincount((words >> bit & 3).flatten(), minlength=4)
        assert stats.chisquare(pairs.numpy()).pvalue > 1e-4 / 63


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_noise_is_normal_across_positions_seeds_and_counters(dtype: torch.dtype) -> None:
    across_positions = seeds.noise(torch.tensor([3]), 0, (N,), dtype).flatten()
    across_seeds = seeds.noise(torch.arange(N), 0, (1,), dtype).flatten()
    across_counters = torch.cat([seeds.noise(torch.tensor([3]), k, (), dtype) for k in range(2000)])
    for values in (across_positions, across_seeds, across_counters):
        assert stats.kstest(values.double().numpy(), "norm").pvalue > 1e-3
        n = len(values)
        assert abs(values.mean()) < 4 / math.sqrt(n)
        assert abs(values.var() - 1) < 4 * math.sqrt(2 / n)
        assert abs((values**4).mean() - 3) < 4 * math.sqrt(96 / n)  # Var z⁴ = 105 − 9


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_uniform_is_uniform_across_positions_seeds_and_counters(dtype: torch.dtype) -> None:
    across_positions = seeds.uniform(torch.tensor([3]), 0, (N,), dtype).flatten()
    across_seeds = seeds.uniform(torch.arange(N), 0, (1,), dtype).flatten()
    across_counters = torch.cat([seeds.uniform(torch.tensor([3]), k, (), dtype) for k in range(2000)])
    for values in (across_positions, across_seeds, across_counters):
        assert values.min() >= 0.0
        assert values.max() < 1.0
        assert stats.kstest(values.double().numpy(), "uniform").pvalue > 1e-3


def test_the_halves_of_a_word_are_a_fair_square() -> None:
    pairs = seeds.uniform(torch.arange(100), 5, (N // 100, 2)).flatten(0, 1)
    cells = (pairs * 10).long()
    counts = torch.bincount(cells[:, 0] * 10 + cells[:, 1], minlength=100)
    assert stats.chisquare(counts.numpy()).pvalue > 1e-3


@pytest.mark.parametrize("draw", [seeds.noise, seeds.uniform])
def test_counters_seeds_and_positions_are_independent(draw: object) -> None:
    base = torch.arange(100)
    here = draw(base, 0, (200,))
    assert_uncorrelated(here, draw(base, 1, (200,)))  # the next counter
    assert_uncorrelated(here, draw(base + 100, 0, (200,)))  # other seeds
    assert_uncorrelated(here[:-1], here[1:])  # the neighbouring example
    assert_uncorrelated(here[:, :-1], here[:, 1:])  # the neighbouring position
    assert_uncorrelated(here[:, :100], here[:, 100:])  # cosine and sine of one word
    assert_uncorrelated(draw(base, 1, (200,))[:-1], here[1:])  # seed and counter do not merely add
    assert not torch.isin(draw(base, 1, (200,), torch.float64), draw(base + 1, 0, (200,), torch.float64)).any()


def test_uniform_and_normal_noise_at_one_counter_are_independent() -> None:
    base = torch.arange(100)
    assert_uncorrelated(seeds.noise(base, 0, (200,)), seeds.uniform(base, 0, (200,)))


@pytest.mark.parametrize("draw", [seeds.noise, seeds.uniform])
def test_an_example_meets_the_same_noise_alone_in_a_batch_and_in_any_order(draw: object) -> None:
    example_seeds = seeds.draw(33, torch.Generator().manual_seed(0))
    batch = draw(example_seeds, 2, (3, 5, 7))
    order = torch.randperm(33, generator=torch.Generator().manual_seed(1))
    assert torch.equal(draw(example_seeds[order], 2, (3, 5, 7)), batch[order])
    for i in (0, 17, 32):
        assert torch.equal(draw(example_seeds[i : i + 1], 2, (3, 5, 7))[0], batch[i])


@pytest.mark.parametrize("draw", [seeds.noise, seeds.uniform])
def test_drawing_is_stateless_and_changes_nothing(draw: object) -> None:
    example_seeds = torch.tensor([5, -6])
    state = torch.get_rng_state()
    first = draw(example_seeds, 0, (4,))
    assert torch.equal(draw(example_seeds, 0, (4,)), first)
    assert example_seeds.tolist() == [5, -6]
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(), (1,), (3,), (2, 3, 5)])
def test_any_shape_and_floating_type_can_be_had(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    noise = seeds.noise(torch.arange(1000), 0, shape, dtype)
    uniform = seeds.uniform(torch.arange(1000), 0, shape, dtype)
    assert noise.shape == uniform.shape == (1000, *shape)
    assert noise.dtype == uniform.dtype == dtype
    assert noise.isfinite().all()
    assert noise.double().std() > 0.9
    assert uniform.max() < 1
    assert uniform.min() >= 0


def test_the_extreme_words_give_finite_noise_within_the_stated_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    extremes = torch.tensor([[0, -1, 1 << 32, -(1 << 63), (1 << 63) - 1, 0xFFFFFFFF]])
    monkeypatch.setattr(seeds, "_words", lambda *_: extremes.clone())
    for dtype in (torch.float32, torch.float64):
        noise = seeds.noise(torch.tensor([0]), 0, (12,), dtype)
        assert noise.isfinite().all()
        torch.testing.assert_close(noise.abs().max().double().item(), math.sqrt(2 * math.log(2**33)), rtol=1e-6, atol=0)


def test_streams_differ_by_seed_name_and_order_of_names() -> None:
    made = [
        seeds.stream(seed, *names)
        for seed in (0, 1)
        for names in ((), ("loader",), ("loader", 1), (1, "loader"), ("noise",), ("loader", 11), ("loader1",))
    ]
    assert len(set(made)) == len(made)
    assert all(0 <= value < 2**63 for value in made)
    assert seeds.stream(0, "loader") == seeds.stream(0, "loader")


def test_a_stream_stays_the_same_from_version_to_version() -> None:
    """Else a run that a later version goes on with would draw other noise; the hash is b2sum's of "0/loader/3"."""
    loader = int.from_bytes(bytes.fromhex("af7ade5bfcfb469a"), "little")
    assert seeds.stream(0, "loader", 3) == loader >> 1
    assert seeds.of_indices(0, torch.tensor([5]), "loader", 3).item() == signed(mix(5 * GAMMA + (loader >> 1) & MASK))
    assert seeds.fork(torch.tensor([5]), "loader", 3).item() == signed(mix(5 ^ (loader >> 1)))


def test_named_generators_give_unrelated_streams_that_can_be_had_again() -> None:
    def numbers(*names: str | int) -> torch.Tensor:
        return torch.randn(N, generator=seeds.generator(*names))

    assert torch.equal(numbers(0, "loader"), numbers(0, "loader"))
    assert_uncorrelated(numbers(0, "loader"), numbers(0, "noise"))
    assert_uncorrelated(numbers(0, "loader"), numbers(1, "loader"))


def test_seeded_code_follows_its_stream_and_gives_the_global_one_back() -> None:
    state = torch.get_rng_state()
    with seeds.seeded(0, "weights"):
        first = torch.randn(3)

    def fail() -> None:
        assert torch.equal(torch.randn(3), first)
        raise RuntimeError("inside")

    with pytest.raises(RuntimeError, match="inside"), seeds.seeded(0, "weights"):
        fail()
    with seeds.seeded(1, "weights"):
        assert not torch.equal(torch.randn(3), first)
    assert torch.equal(torch.get_rng_state(), state)


def test_drawn_seeds_cover_all_64_bits_and_follow_the_generator() -> None:
    drawn = seeds.draw(N, torch.Generator().manual_seed(0))
    assert torch.equal(drawn, seeds.draw(N, torch.Generator().manual_seed(0)))
    assert drawn.dtype == torch.int64
    assert len(drawn.unique()) == N
    for bit in range(64):
        assert abs(int((drawn >> bit & 1).sum()) - N / 2) < 4.5 * math.sqrt(N / 4)


def test_without_a_generator_seeds_come_from_torchs_default_one_which_moves_on() -> None:
    with seeds.seeded(0, "draw"):
        first, second = seeds.draw(5), seeds.draw(5)
    with seeds.seeded(0, "draw"):
        assert torch.equal(seeds.draw(5), first)
    assert not torch.isin(first, second).any()


def test_seeds_of_indices_belong_to_seed_names_and_index_alone() -> None:
    all_of_them = seeds.of_indices(0, torch.arange(1000), "train", 3)
    some = torch.tensor([999, 4, 4, 0])
    assert torch.equal(seeds.of_indices(0, some, "train", 3), all_of_them[some])
    assert torch.equal(seeds.of_indices(0, some.to(torch.int32), "train", 3), all_of_them[some])
    assert some.tolist() == [999, 4, 4, 0]
    others = [
        seeds.of_indices(1, torch.arange(1000), "train", 3),
        seeds.of_indices(0, torch.arange(1000), "train", 4),
        seeds.of_indices(0, torch.arange(1000), "validation"),
        seeds.fork(all_of_them, "prior"),
    ]
    together = torch.cat([all_of_them, *others])
    assert len(together.unique()) == len(together)
    here = seeds.noise(all_of_them, 0, (20,))
    for other in others:
        assert_uncorrelated(here, seeds.noise(other, 0, (20,)))


def test_forked_seeds_belong_to_the_example_and_the_names() -> None:
    base = torch.tensor([1, 2, 3])
    assert torch.equal(seeds.fork(base, "prior")[1:], seeds.fork(base[1:], "prior"))
    assert not torch.isin(seeds.fork(base, "prior"), seeds.fork(base, "posterior")).any()
    assert base.tolist() == [1, 2, 3]


def test_forks_of_any_different_names_are_different_and_uncorrelated() -> None:
    """All names count, in their order, with their boundaries: a stream of the same first name is another stream."""
    base = seeds.draw(500, seeds.generator(0, "fork"))
    names = [("a",), ("b",), ("a", "b"), ("a", "c"), ("b", "a"), ("a", 0), ("a", 1), ("a", 1, 0), ("ab",), ("a", 10)]
    forked = [seeds.fork(base, *name) for name in names]
    together = torch.cat([base, *forked])
    assert len(together.unique()) == len(together)
    drawn = [seeds.noise(one, 0, (20,)) for one in (base, *forked)]
    spread = 4.5  # standard errors: 55 pairs, each by values and by squares
    for i, a in enumerate(drawn):
        for b in drawn[:i]:
            assert_uncorrelated(a, b, spread)


def test_a_fork_of_a_fork_is_another_stream_than_either() -> None:
    base = seeds.draw(2000, seeds.generator(0, "fork"))
    one, other = seeds.fork(seeds.fork(base, "a"), "b"), seeds.fork(seeds.fork(base, "b"), "a")
    together = torch.cat([base, one, other, seeds.fork(base, "a", "b")])
    assert len(together.unique()) == len(together)
    assert_uncorrelated(seeds.noise(one, 0, (10,)), seeds.noise(other, 0, (10,)))


@pytest.mark.parametrize(
    "make", [seeds.stream, lambda *names: int(seeds.of_indices(names[0], torch.arange(1), *names[1:]))]
)
def test_every_name_of_a_stream_counts(make: object) -> None:
    names = [
        (0,),
        (0, "a"),
        (0, "b"),
        (0, "a", "b"),
        (0, "a", "c"),
        (0, "a", 0),
        (0, "a", 1),
        (1, "a", 1),
        (0, "b", "a"),
    ]
    assert len({make(*name) for name in names}) == len(names)


def test_no_seeds_give_no_noise_and_fewer_are_refused() -> None:
    none = seeds.draw(0)
    for make in (seeds.noise, seeds.uniform):
        for shape in ((), (1,), (2, 3)):
            assert make(none, 0, shape).shape == (0, *shape)
    with pytest.raises(UserError, match="is -1, but must be 0 or more"):
        seeds.draw(-1)
