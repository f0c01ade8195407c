import pytest
import torch

from epslab import seeds
from epslab.data import ImageSet, bernoulli_draw, binarise, load
from epslab.errors import UserError


@pytest.fixture(scope="module")
def levels():
    """5,000 images [1 16 16] that each hold all 256 intensities."""
    pixels = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16).expand(5000, 1, 16, 16).contiguous()
    return ImageSet(pixels, torch.zeros(5000, dtype=torch.long), ("a",))


def test_threshold_is_exactly_one_half(levels):
    binary = binarise(levels[:2], "threshold")
    assert binary.pixels.dtype == torch.uint8
    assert torch.equal(binary.pixels, (levels[:2].images >= 0.5).to(torch.uint8) * 255)
    # 127/255 < ½ < 128/255
    assert binary.pixels[0].flatten()[[0, 127, 128, 255]].tolist() == [0, 0, 255, 255]


def test_static_draw_has_the_intensities_as_probabilities(levels):
    drawn = binarise(levels, "static", seed=1)
    assert set(drawn.pixels.unique().tolist()) == {0, 255}
    frequency = (drawn.pixels == 255).double().mean(0).flatten()
    p = torch.arange(256, dtype=torch.float64) / 255
    standard_error = (p * (1 - p) / len(levels)).sqrt()
    # 256 comparisons at once: 4.5 standard errors for each, 4 for their mean.
    assert ((frequency - p).abs() <= 4.5 * standard_error).all()
    assert (frequency - p).mean().abs() <= 4 * standard_error.square().sum().sqrt() / 256
    assert frequency[0] == 0
    assert frequency[255] == 1


def test_static_draw_is_reproducible_and_seeded(levels):
    part = levels[:50]
    assert torch.equal(binarise(part, "static", seed=1).pixels, binarise(part, "static", seed=1).pixels)
    assert not torch.equal(binarise(part, "static", seed=1).pixels, binarise(part, "static", seed=2).pixels)
    # Images of one set are drawn apart from each other, and alike whatever the set's length.
    drawn = binarise(part, "static", seed=1).pixels
    assert not torch.equal(drawn[0], drawn[1])
    assert torch.equal(drawn, binarise(levels, "static", seed=1).pixels[:50])


def test_every_image_of_a_long_set_has_its_own_noise(levels):
    # Beyond the images that are drawn at once, too: all images are alike here, so equal draws mean equal noise.
    drawn = binarise(levels, "static", seed=1).pixels
    assert len(drawn.flatten(1).unique(dim=0)) == len(levels)
    for index in (0, 4095, 4096, 4097, 4999):
        own = seeds.of_indices(1, torch.tensor([index]), "binarise")
        assert torch.equal(drawn[index : index + 1], (bernoulli_draw(levels[:1].images, own) * 255).to(torch.uint8))


def test_labels_and_classes_stay():
    digits = load("digits", "test")
    for how in ("threshold", "static"):
        binary = binarise(digits, how)
        assert torch.equal(binary.labels, digits.labels)
        assert binary.classes == digits.classes


def test_dynamic_draws_differ_by_epoch_and_replay(levels):
    images = levels[:20].images
    epochs = [seeds.of_indices(0, torch.arange(20), "train", epoch) for epoch in (0, 1)]
    first, second = (bernoulli_draw(images, s) for s in epochs)
    assert set(first.unique().tolist()) == {0.0, 1.0}
    assert first.dtype == images.dtype
    assert not torch.equal(first, second)
    assert torch.equal(first, bernoulli_draw(images, epochs[0]))
    # An image's draw does not depend on its batch.
    assert torch.equal(first[7:8], bernoulli_draw(images[7:8], epochs[0][7:8]))


def test_other_binarisations_are_refused(levels):
    with pytest.raises(UserError, match="Did you mean 'static'"):
        binarise(levels, "statik")
    with pytest.raises(UserError, match="fresh draw every epoch"):
        binarise(levels, "dynamic")
