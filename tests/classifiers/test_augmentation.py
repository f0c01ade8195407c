"""Augmentation against a loop over examples: flips along the width, crops of a padded image, each example its own."""

import math

import pytest
import torch
from torch import Tensor

from epslab import seeds
from epslab.classifiers import Augmentation
from epslab.errors import UserError


def images(n: int = 40, c: int = 3, h: int = 5, w: int = 7) -> Tensor:
    return torch.rand(n, c, h, w, generator=seeds.generator(0, "images")) + 0.01  # no pixel is the padding's 0


def own(n: int = 40) -> Tensor:
    return seeds.of_indices(0, torch.arange(n), "augmentation")


def slowly(image: Tensor, flipped: bool, top: int, left: int, pad: int) -> Tensor:
    """One image [c h w], pixel by pixel: first the crop out of the padded image, then the mirror."""
    h, w = image.shape[1:]
    result = torch.zeros_like(image)
    for i in range(h):
        for j in range(w):
            row, column = i + top - pad, (w - 1 - j if flipped else j) + left - pad
            if 0 <= row < h and 0 <= column < w:
                result[:, i, j] = image[:, row, column]
    return result


def ways(image: Tensor, flip: bool, pad: int) -> dict[tuple[bool, int, int], Tensor]:
    """Every image that may come out, by what was done."""
    return {
        (flipped, top, left): slowly(image, flipped, top, left, pad)
        for flipped in ((False, True) if flip else (False,))
        for top in range(2 * pad + 1)
        for left in range(2 * pad + 1)
    }


def what_happened(before: Tensor, after: Tensor, flip: bool, pad: int) -> list[tuple[bool, int, int]]:
    """For each example the one way that leads from the image to what came out."""
    happened = []
    for image, result in zip(before, after, strict=True):
        found = [way for way, expected in ways(image, flip, pad).items() if torch.equal(result, expected)]
        assert len(found) == 1
        happened += found
    return happened


@pytest.mark.parametrize(("flip", "pad"), [(True, 2), (False, 2), (True, 0), (False, 1), (False, 0)])
def test_every_image_is_exactly_one_of_the_slow_loops(flip: bool, pad: int) -> None:
    x = images()
    happened = what_happened(x, Augmentation(flip, pad)(x, own()), flip, pad)
    if flip:
        assert {flipped for flipped, *_ in happened} == {False, True}
    if pad:
        # Not one shift for all, and not the same along both axes.
        assert len({top for _, top, _ in happened}) == len({left for *_, left in happened}) == 2 * pad + 1
        assert any(top != left for _, top, left in happened)


def test_a_flip_mirrors_left_and_right_and_never_top_and_bottom() -> None:
    image = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]]).expand(64, 1, 2, 2)
    found = {tuple(x.flatten().tolist()) for x in Augmentation(pad=0)(image, own(64))}
    assert found == {(1.0, 2.0, 3.0, 4.0), (2.0, 1.0, 4.0, 3.0)}


def test_every_shift_and_both_sides_are_equally_likely() -> None:
    n, pad = 6000, 1
    x = torch.arange(1.0, 10.0).view(1, 1, 3, 3).expand(n, 1, 3, 3)
    after = Augmentation(pad=pad)(x, own(n)).flatten(1)
    expected = torch.stack([way.flatten() for way in ways(x[0], True, pad).values()])
    counts = (after[:, None] == expected).all(2).sum(0)
    assert counts.sum() == n
    p = 1 / len(expected)
    assert ((counts - n * p).abs() <= 4 * math.sqrt(n * p * (1 - p))).all()


def test_what_happens_to_an_example_depends_on_its_seed_alone() -> None:
    augment, x, s = Augmentation(), images(h=9, w=9), own()
    whole = augment(x, s)
    order = torch.randperm(len(x), generator=seeds.generator(1, "order"))
    assert torch.equal(augment(x[order], s[order]), whole[order])
    assert torch.equal(torch.cat([augment(x[i : i + 1], s[i : i + 1]) for i in range(len(x))]), whole)
    assert torch.equal(augment(x.contiguous(memory_format=torch.channels_last), s), whole)
    assert not torch.equal(augment(x, s + 1), whole)


def test_images_seeds_and_torchs_generator_stay_as_they_were() -> None:
    x, s, state = images(), own(), torch.get_rng_state()
    kept_x, kept_s = x.clone(), s.clone()
    result = Augmentation(flip=False, pad=0)(x, s)
    assert torch.equal(result, x)
    result.zero_()
    assert torch.equal(x, kept_x)
    assert torch.equal(s, kept_s)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_dtype_is_kept_and_memory_is_channels_last(dtype: torch.dtype) -> None:
    result = Augmentation()(images().to(dtype), own())
    assert result.dtype == dtype
    assert result.is_contiguous(memory_format=torch.channels_last)


def test_a_pad_wider_than_the_image_and_one_pixel_work() -> None:
    x = images(h=1, w=1)
    result = Augmentation(pad=3)(x, own())
    assert (result == x).flatten(1).all(1).any() or (result == 0).all()
    assert ((result == x) | (result == 0)).all()


def test_settings_compare_and_a_negative_pad_is_refused() -> None:
    assert Augmentation(True, 4) == Augmentation()
    assert Augmentation(False, 4) != Augmentation()
    with pytest.raises(UserError, match="pad=-1"):
        Augmentation(pad=-1)
