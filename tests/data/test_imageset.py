import dataclasses

import pytest
import torch

from epslab.data import ImageSet
from epslab.data.imageset import stratified
from epslab.errors import UserError


def make(n=10, classes=3):
    # Every image is its index, so that parts can be traced back.
    pixels = torch.arange(n, dtype=torch.uint8).view(n, 1, 1, 1).expand(n, 3, 2, 4).contiguous()
    return ImageSet(pixels, torch.arange(n) % classes, tuple("abcdef"[:classes]))


def members(image_set):
    return image_set.pixels[:, 0, 0, 0].tolist()


def test_images_are_pixels_over_255():
    whole = ImageSet(torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16), torch.zeros(1, dtype=torch.long), ("a",))
    assert whole.images.dtype == torch.float32
    assert whole.images.flatten().tolist() == (torch.arange(256, dtype=torch.float64) / 255).float().tolist()


def test_shape_length_and_frozen():
    whole = make()
    assert whole.image_shape == (3, 2, 4)
    assert len(whole) == 10
    with pytest.raises(dataclasses.FrozenInstanceError):
        whole.labels = whole.labels


@pytest.mark.parametrize(
    ("pixels", "labels", "classes", "says"),
    [
        (torch.rand(2, 1, 2, 2), torch.zeros(2, dtype=torch.long), ("a",), "float32"),
        (torch.zeros(2, 2, 2, dtype=torch.uint8), torch.zeros(2, dtype=torch.long), ("a",), r"\[2, 2, 2\]"),
        (torch.zeros(2, 1, 2, 2, dtype=torch.uint8), torch.zeros(2), ("a",), "int64"),
        (torch.zeros(2, 1, 2, 2, dtype=torch.uint8), torch.zeros(2, 1, dtype=torch.long), ("a",), "int64"),
        (torch.zeros(2, 1, 2, 2, dtype=torch.uint8), torch.zeros(3, dtype=torch.long), ("a",), "2 images and 3 labels"),
        (torch.zeros(2, 1, 2, 2, dtype=torch.uint8), torch.tensor([0, 1]), ("a",), r"0\.\.0"),
        (torch.zeros(2, 1, 2, 2, dtype=torch.uint8), torch.tensor([0, -1]), ("a",), "-1"),
    ],
)
def test_what_does_not_belong_together_is_refused(pixels, labels, classes, says):
    with pytest.raises(UserError, match=says):
        ImageSet(pixels, labels, classes)


def test_slices_share_memory_and_tensors_copy():
    whole = make()
    part = whole[2:5]
    assert members(part) == [2, 3, 4]
    assert part.pixels.data_ptr() == whole.pixels[2:].data_ptr()
    assert part.classes == whole.classes
    picked = whole[torch.tensor([7, 1])]
    assert members(picked) == [7, 1]
    assert picked.labels.tolist() == [1, 1]
    assert members(whole[whole.labels == 0]) == [0, 3, 6, 9]
    assert len(whole[3:3]) == 0


def test_take_draws_different_images_by_the_seed():
    whole = make()
    assert members(whole.take(4, 0)) == members(whole.take(4, 0))
    assert members(whole.take(10, 0)) != members(whole.take(10, 1))
    assert sorted(members(whole.take(10, 0))) == list(range(10))
    for n in (0, 11):
        with pytest.raises(UserError, match=r"1\.\.10"):
            whole.take(n, 0)


def test_parts_of_a_split_are_disjoint_and_seeded():
    whole = make()
    a, b, c = whole.split([5, 3, 0], 3)
    assert (len(a), len(b), len(c)) == (5, 3, 0)
    assert len(set(members(a)) | set(members(b))) == 8
    assert members(whole.split([5, 3, 0], 3)[0]) == members(a)
    assert members(whole.split([5, 3, 0], 4)[0]) != members(a)
    assert a.labels.tolist() == [i % 3 for i in members(a)]


@pytest.mark.parametrize("lengths", [[6, 5], [-1, 3]])
def test_a_split_that_does_not_fit_is_refused(lengths):
    with pytest.raises(UserError, match="the set has 10"):
        make().split(lengths, 0)


def test_checksum_is_of_the_content():
    whole = make()
    same = ImageSet(whole.pixels.clone(), whole.labels.clone(), whole.classes)
    assert whole.checksum() == same.checksum()
    assert whole.checksum().startswith("sha256:")
    assert len(whole.checksum()) == 7 + 64
    others = [
        whole[:9],
        whole[torch.arange(9, -1, -1)],
        ImageSet(whole.pixels.view(10, 3, 4, 2), whole.labels, whole.classes),
        ImageSet(whole.pixels, whole.labels.flip(0), whole.classes),
        ImageSet(whole.pixels, whole.labels, ("x", "y", "z")),
        whole[:0],
    ]
    assert len({whole.checksum(), *(other.checksum() for other in others)}) == 1 + len(others)


def test_checksum_of_a_view_that_is_not_contiguous():
    whole = make()
    turned = ImageSet(whole.pixels.transpose(2, 3), whole.labels, whole.classes)
    assert turned.checksum() == ImageSet(turned.pixels.contiguous(), whole.labels, whole.classes).checksum()


def test_stratified_shares():
    labels = torch.tensor([0] * 50 + [1] * 30 + [2] * 21)
    kept, held_out = stratified(labels, 20, torch.Generator().manual_seed(0))
    # Shares 9.90, 5.94, 4.16: floors 9, 5, 4, and the two largest remainders.
    assert torch.bincount(labels[held_out]).tolist() == [10, 6, 4]
    assert torch.cat([kept, held_out]).sort().values.tolist() == list(range(101))
    assert kept.tolist() == sorted(kept.tolist())
    again = stratified(labels, 20, torch.Generator().manual_seed(1))[1]
    assert again.tolist() != held_out.tolist()
