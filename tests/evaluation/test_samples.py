"""Samples beside held-out examples: each measure against what is known of it in closed form."""

import math
from math import comb

import pytest
import torch
from torch import Tensor, nn

from epslab.data import ImageSet, PointSet, load
from epslab.errors import UserError
from epslab.evaluation.samples import (
    ClassifierFeatures,
    coordinates,
    evaluate_samples,
    gaussian_per_class,
    nearest,
    pixels,
    with_noise,
)
from epslab.evaluation.samples.distances import frechet_distance, kernel_distance
from epslab.evaluation.samples.memorisation import Memorisation
from epslab.evaluation.samples.neighbourhoods import neighbourhoods
from epslab.evaluation.samples.report import MEASURES
from epslab.nets.small import small_cnn
from epslab.probability.distances import frechet
from epslab.seeds import generator


def normal(n: int, d: int, seed: int) -> Tensor:
    return torch.randn(n, d, generator=generator(seed, "samples"), dtype=torch.float64)


def within(values: list[float], expected: float) -> bool:
    """Whether the mean lies within 4 of its own standard errors of what is expected."""
    found = torch.tensor(values, dtype=torch.float64)
    return abs(found.mean().item() - expected) <= 4 * found.std().item() / math.sqrt(len(found))


@pytest.fixture(scope="module")
def digits() -> tuple[ImageSet, ImageSet]:
    return load("digits")[:400], load("digits", "test")[:120]


# Neighbourhoods


@pytest.mark.parametrize(("n", "m", "k"), [(40, 40, 5), (60, 25, 1), (20, 50, 3)])
def test_expectations_of_two_samples_of_one_law(n: int, m: int, k: int) -> None:
    """Naeem et al. (2020): coverage 1 − C(N−1, k)/C(N−1+M, k) and density 1, in any dimension."""
    found = [neighbourhoods(normal(n, 3, i), normal(m, 3, 1000 + i), k) for i in range(300)]
    assert within([one.coverage.mean().item() for one in found], 1 - comb(n - 1, k) / comb(n - 1 + m, k))
    assert within([one.density.mean().item() for one in found], 1.0)
    if n == m:
        assert within([(one.precision.mean() - one.recall.mean()).item() for one in found], 0.0)


def test_neighbourhoods_by_hand() -> None:
    """On a line, with the nearest neighbour: the balls of 0, 1, 5 reach 1, 1 and 4; those of 1.5, 2, 20: ½, ½, 18."""
    data, samples = torch.tensor([[0.0], [1.0], [5.0]]).double(), torch.tensor([[1.5], [2.0], [20.0]]).double()
    found = neighbourhoods(data, samples, 1)
    assert found.precision.tolist() == [1, 1, 0]
    assert found.density.tolist() == [2, 2, 0]
    assert found.recall.tolist() == [0, 1, 1]
    assert found.coverage.tolist() == [0, 1, 1]


def test_a_point_on_the_sphere_lies_in_the_ball() -> None:
    """Whatever rounding does: here by coordinates that no binary number holds, far from the origin."""
    line = torch.arange(30, dtype=torch.float64)[:, None] * 0.1 + 1000
    found = neighbourhoods(line, line + 0.1, 1)
    assert found.precision.tolist() == [1] * 30
    assert found.coverage.tolist() == [1] * 30


def test_precision_and_recall_tell_sharp_from_broad() -> None:
    data = normal(200, 2, 0)
    narrow, broad = neighbourhoods(data, 0.3 * normal(200, 2, 1), 3), neighbourhoods(data, 5 * normal(200, 2, 1), 3)
    assert narrow.precision.mean() > 0.95 > 0.6 > narrow.recall.mean()
    assert broad.recall.mean() > 0.95 > 0.6 > broad.precision.mean()


def test_one_sample_repeated_covers_one_place() -> None:
    """A collapsed model: every sample is the data's first point."""
    data = normal(100, 2, 0)
    found = neighbourhoods(data, data[:1].repeat(100, 1), 5)
    assert found.precision.mean() == 1
    assert found.recall.sum() == 1  # balls of radius 0 hold their centre alone
    assert found.coverage.mean() < 0.2


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    data, samples = normal(150, 4, 0), normal(90, 4, 1)
    whole = neighbourhoods(data, samples, 3)
    for name, size in (("neighbourhoods._ROWS", 7), ("search._ROWS", 11), ("search._CHUNK", 13)):
        monkeypatch.setattr(f"epslab.evaluation.samples.{name}", size)
    parts = neighbourhoods(data, samples, 3)
    for name in vars(whole):
        assert torch.equal(getattr(whole, name), getattr(parts, name))


# Nearest neighbours


def test_nearest_neighbours_are_those_of_all_distances() -> None:
    points, among = normal(50, 5, 0), normal(80, 5, 1)
    distance = torch.cdist(points, among, compute_mode="donot_use_mm_for_euclid_dist")
    found = nearest(points, among, 3)
    torch.testing.assert_close(found.distance, distance.sort(1).values[:, :3], rtol=1e-12, atol=0)
    assert torch.equal(found.index, distance.argsort(1)[:, :3])
    own = nearest(among, among, 2, own=True)
    distance = torch.cdist(among, among).fill_diagonal_(math.inf)
    assert torch.equal(own.index, distance.argsort(1)[:, :2])


def test_the_distance_to_a_copy_is_0_also_in_half_the_digits() -> None:
    images = 0.9 + 0.1 * torch.rand(40, 1, 28, 28, generator=generator(0, "images"))
    assert nearest(images, images).distance.max() == 0
    assert nearest(images, images).index.flatten().tolist() == list(range(40))


def test_copies_are_found_and_near_samples_are_none() -> None:
    train, held_out = normal(300, 8, 0), normal(100, 8, 1)
    fresh = Memorisation.of(normal(100, 8, 2), held_out, train)
    assert float(fresh.share) == 0
    assert not fresh.found
    half = torch.cat([normal(50, 8, 2), train[:50] + 0.01 * normal(50, 8, 3)])
    copied = Memorisation.of(half, held_out, train)
    assert float(copied.share) == 0.5
    assert copied.found
    assert copied.samples.index[50:, 0].tolist() == list(range(50))
    # Smooth samples: near everything, and copies of nothing.
    smooth = Memorisation.of(0.1 * normal(100, 8, 2), held_out, train)
    assert smooth.samples.distance.mean() < smooth.held_out.distance.mean()
    assert not smooth.found


# Distances


def test_the_frechet_distance_is_that_of_the_moments() -> None:
    x, y = normal(60, 4, 0) + 100, 100.5 + normal(50, 4, 1) @ torch.diag(torch.tensor([1.0, 2.0, 0.5, 0.0]).double())
    expected = float(frechet(x.mean(0), x.T.cov(), y.mean(0), y.T.cov()))
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-6)
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-6)


def test_the_frechet_distance_of_two_normal_laws() -> None:
    """Independent coordinates: d·(shift² + (1 − s)²)."""
    found = [frechet_distance(normal(4000, 2, i), 0.5 + 1.5 * normal(4000, 2, 100 + i)) for i in range(20)]
    bias = 2 * 2 / 4000 * (1 + 1.5**2)  # of the means' squared difference and the covariances', to first order
    assert abs(sum(found) / 20 - 2 * (0.25 + 0.25)) <= 4 * torch.tensor(found).std().item() / math.sqrt(20) + bias


def test_the_kernel_distance_of_two_normal_laws() -> None:
    """In one dimension (x·y + 1)³ compares the first three moments: Δm3² + 3 Δm2² + 3 Δm1²."""
    shift, s = 0.5, 1.2
    m1, m2, m3 = shift, shift**2 + s**2, shift**3 + 3 * shift * s**2
    expected = (m3 - 0) ** 2 + 3 * (m2 - 1) ** 2 + 3 * m1**2
    pairs = [(normal(100, 1, i), shift + s * normal(100, 1, 1000 + i)) for i in range(60)]
    found = [kernel_distance(x, y) for x, y in pairs]
    assert within([one.mean for one in found], expected)
    spread = torch.tensor([one.mean for one in found]).std().item()
    assert 0.7 < sum(one.standard_error for one in found) / len(found) / spread < 1.4
    null = [kernel_distance(normal(60, 1, i), normal(60, 1, 1000 + i)) for i in range(60)]
    assert within([one.mean for one in null], 0.0)
    spread = torch.tensor([one.mean for one in null]).std().item()
    assert 1 < sum(one.standard_error for one in null) / len(null) / spread < 2.5


def test_the_kernel_distance_leaves_out_a_point_with_itself() -> None:
    x, y = normal(30, 2, 0), 0.5 + normal(30, 2, 1)
    kernel = [(a @ b.T / 2 + 1) ** 3 for a, b in ((x, x), (y, y), (x, y))]
    within = sum((k.sum() - k.trace()).item() / (30 * 29) for k in kernel[:2])
    assert kernel_distance(x, y).mean == pytest.approx(within - 2 * kernel[2].mean().item(), rel=1e-9)


def test_many_samples_are_compared_block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("epslab.evaluation.samples.distances._WHOLE", 50)
    monkeypatch.setattr("epslab.evaluation.samples.distances._BLOCK", 20)
    found = [kernel_distance(normal(95, 1, i), 0.5 + normal(110, 1, 1000 + i)) for i in range(100)]
    m3 = 0.125 + 1.5
    assert within([one.mean for one in found], m3**2 + 3 * 0.25**2 + 3 * 0.25)
    assert found[0].n == 5


def test_distances_leave_torch_s_generator_alone() -> None:
    before = torch.get_rng_state()
    first = kernel_distance(normal(50, 2, 0), normal(50, 2, 1))
    assert torch.equal(before, torch.get_rng_state())
    assert first == kernel_distance(normal(50, 2, 0), normal(50, 2, 1))


# Yardsticks


def test_the_gaussian_per_class_has_each_class_s_moments() -> None:
    base = normal(600, 2, 0).float()
    labels = (torch.arange(600) % 3 == 0).long()
    points = torch.where(labels[:, None] == 1, base @ torch.tensor([[1.0, 0.9], [0.0, 0.5]]) + 4, 0.3 * base)
    drawn = gaussian_per_class(PointSet(points, labels), 20_000, generator(0, "draws"))
    own = drawn.sum(1) > 3  # the classes lie far apart
    assert own.float().mean().item() == pytest.approx(1 / 3, abs=4 * math.sqrt(2 / 9 / 20_000))
    for mask, label in ((own, 1), (~own, 0)):
        truth, found = points[labels == label], drawn[mask]
        error = truth.std(0) / math.sqrt(len(found))
        assert ((found.mean(0) - truth.mean(0)).abs() < 4 * error).all()
        # The standard error of a covariance of normal variables: √((c_ii c_jj + c_ij²)/n).
        c = truth.T.cov()
        spread = ((c.diag()[:, None] * c.diag() + c.square()) / len(found)).sqrt()
        assert ((found.T.cov() - c).abs() < 4 * spread).all()


def test_yardsticks_of_images_are_images(digits: tuple[ImageSet, ImageSet]) -> None:
    train, _ = digits
    drawn = gaussian_per_class(train, 50, generator(0, "draws"))
    noisy = with_noise(train.images[:50], 0.2, generator(0, "noise"))
    for images in (drawn, noisy):
        assert images.shape == (50, 1, 8, 8)
        assert images.min() == 0
        assert images.max() == 1
    inside = (train.images[:50] > 0.4) & (train.images[:50] < 0.6)
    change = (noisy - train.images[:50])[inside]
    assert change.std().item() == pytest.approx(0.2, abs=4 * 0.2 / math.sqrt(2 * len(change)) + 0.02)


# Everything together


def test_training_examples_are_the_best_sampler_there_is(digits: tuple[ImageSet, ImageSet]) -> None:
    train, test = digits
    report = evaluate_samples(torch.rand(120, 1, 8, 8), test, pixels, train=train)
    real, model = report.entries["real data"], report.entries["samples"]
    for key, (_, better) in MEASURES.items():
        best = min if better == "lower" else max
        assert best((real, model), key=lambda entry: entry[key].mean) is real, key
    assert report.statements[0] == "The samples are no better than those of a Gaussian per class by any measure."
    assert "the model" in str(report)
    assert "features of pixels, 64 for each of the images" in report.table().note
    assert "<h1>120 samples beside 120 held-out images</h1>" in report.to_html()


def test_a_model_that_repeats_its_training_images_is_noticed(digits: tuple[ImageSet, ImageSet]) -> None:
    train, test = digits
    report = evaluate_samples(train.images[:120], test, pixels, train=train)
    (told,) = report.statements
    assert "better than those of a Gaussian per class" in told
    (warning,) = report.warnings
    assert warning.startswith("The model repeats training images: 100.0 % of samples")
    fresh = evaluate_samples(test.images, test, pixels, train=train)
    assert not fresh.warnings
    assert fresh.statements[1].startswith("No sign of memorised training images: ")


def test_numbers_of_a_run_name_the_features(digits: tuple[ImageSet, ImageSet]) -> None:
    train, test = digits
    features = ClassifierFeatures(small_cnn((1, 8, 8), width=4), "small-cnn abc")
    found = {one.key: one for one in evaluate_samples(test.images, test, features, train=train).measurements()}
    assert list(found) == [*MEASURES, "nearest_training", "copies"]
    assert [key for key, one in found.items() if one.headline] == ["kernel_distance"]
    assert all(found[key].note == "features of small-cnn abc, 120 samples" for key in MEASURES)
    assert not any("FID" in one.name + one.note for one in found.values())
    assert found["coverage"].value == 1
    assert found["frechet_distance"].value == pytest.approx(0, abs=1e-8)


def test_the_same_seed_gives_the_same_numbers_whatever_the_batches(digits: tuple[ImageSet, ImageSet]) -> None:
    train, test = digits
    features = ClassifierFeatures(small_cnn((1, 8, 8), width=4), "net")
    state = torch.get_rng_state()
    samples = with_noise(train.images[:120], 0.3, generator(0, "noise"))
    first, again = (
        evaluate_samples(samples, test, features, train=train, batch_size=size).entries for size in (120, 7)
    )
    assert torch.equal(state, torch.get_rng_state())
    for name, entry in first.items():
        for key in MEASURES:
            assert again[name][key].mean == pytest.approx(entry[key].mean, rel=1e-4, abs=1e-6)


def test_points_are_compared_by_their_coordinates() -> None:
    train, test = PointSet(normal(300, 2, 0)), PointSet(normal(100, 2, 1))
    report = evaluate_samples(normal(100, 2, 2).float(), test, coordinates, train=train)
    assert report.title == "100 samples beside 100 held-out points"
    assert abs(report["coverage"].mean - report.expected_coverage) < 0.15


# Features


def test_features_are_what_the_last_layer_sees() -> None:
    net = small_cnn((3, 9, 7), width=4).train()
    features, images = ClassifierFeatures(net, "net"), torch.rand(5, 3, 9, 7)
    seen = net.eval()[:-2](images)
    assert features(images).shape == (5, 8 * 2 * 2)
    torch.testing.assert_close(features(images), nn.functional.adaptive_avg_pool2d(seen, 2).flatten(1))
    plain = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    torch.testing.assert_close(
        ClassifierFeatures(plain, "plain")(torch.ones(2, 1, 2, 2)), plain[:3](torch.ones(2, 1, 2, 2))
    )
    assert not plain[3]._forward_pre_hooks


def test_an_extractor_comes_back_as_it_was(digits: tuple[ImageSet, ImageSet]) -> None:
    net = small_cnn((1, 8, 8), width=4).train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    evaluate_samples(torch.rand(20, 1, 8, 8), digits[1], ClassifierFeatures(net, "net"))
    assert net.training
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())


# Refusals


def test_what_cannot_be_compared_is_refused(digits: tuple[ImageSet, ImageSet]) -> None:
    train, test = digits
    with pytest.raises(UserError, match=r"shape \[1, 9, 9\] and the held-out examples \[1, 8, 8\]"):
        evaluate_samples(torch.rand(20, 1, 9, 9), test, pixels)
    with pytest.raises(UserError, match=r"There are 5 samples and 120 held-out examples.* need 6 of each"):
        evaluate_samples(torch.rand(5, 1, 8, 8), test, pixels)
    with pytest.raises(UserError, match="1 of 20 samples are NaN or infinite"):
        evaluate_samples(torch.rand(20, 1, 8, 8).index_fill_(0, torch.tensor([3]), math.nan), test, pixels)
    with pytest.raises(UserError, match="There are 30 training examples and 40 samples"):
        evaluate_samples(torch.rand(40, 1, 8, 8), test, pixels, train=train[:30])
    with pytest.raises(UserError, match=r"features of 120 examples are \[120, 1, 8, 8\], but must be \[120, d\]"):
        evaluate_samples(torch.rand(20, 1, 8, 8), test, lambda images: images)
    with pytest.raises(UserError, match="gives features that are NaN or infinite"):
        evaluate_samples(torch.rand(20, 1, 8, 8), test, lambda images: images.flatten(1) / 0)
    with pytest.raises(UserError, match="neighbours is 0, but must be 1 or more"):
        evaluate_samples(torch.rand(20, 1, 8, 8), test, pixels, neighbours=0)
    with pytest.raises(UserError, match="Flatten has no linear layer"):
        ClassifierFeatures(nn.Flatten(), "nothing")
