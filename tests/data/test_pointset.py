"""Sets of points: what is refused, cutting into parts, checksums, and that training's loader takes them."""

import pytest
import torch

from epslab import seeds
from epslab.data import Examples, ImageSet, Modes, PointSet, toys
from epslab.data.loading import Loader
from epslab.errors import UserError


def make(n: int = 10, labels: bool = True) -> PointSet:
    points = torch.stack([torch.arange(n) * 1.0, torch.arange(n) * -0.5], 1)
    return PointSet(points, torch.arange(n) % 3 if labels else None)


def members(part: PointSet) -> list[int]:
    return part.points[:, 0].long().tolist()


def test_both_kinds_of_set_satisfy_the_protocol() -> None:
    images = ImageSet(torch.zeros(2, 1, 3, 4, dtype=torch.uint8), torch.zeros(2, dtype=torch.int64), ("a",))
    for examples, shape in ((make(), (2,)), (images, (1, 3, 4))):
        assert isinstance(examples, Examples)
        assert examples.shape == shape
    assert not isinstance(torch.zeros(3, 2), Examples)
    assert images.about == {"image_shape": [1, 3, 4], "classes": ["a"]}
    assert make().about == {"shape": [2]}


@pytest.mark.parametrize(
    ("points", "labels", "says"),
    [
        (torch.zeros(3, 2, dtype=torch.int64), None, r"int64 \[3, 2\]; a point set holds floating-point \[n d\]"),
        (torch.zeros(3), None, r"float32 \[3\]"),
        (torch.zeros(3, 2, 1), None, r"\[3, 2, 1\]"),
        (torch.tensor([[0.0, float("nan")]]), None, "NaN or infinite"),
        (torch.tensor([[0.0, float("inf")]]), None, "NaN or infinite"),
        (torch.zeros(3, 2), torch.zeros(3), r"float32 \[3\] for 3 points; give int64 \[3\]"),
        (torch.zeros(3, 2), torch.zeros(2, dtype=torch.int64), r"int64 \[2\] for 3 points"),
        (torch.zeros(3, 2), torch.zeros(3, 1, dtype=torch.int64), r"int64 \[3, 1\]"),
        (torch.zeros(3, 2), torch.tensor([0, -1, 2]), "the smallest is -1"),
    ],
)
def test_what_does_not_belong_together_is_refused(points: torch.Tensor, labels: object, says: str) -> None:
    with pytest.raises(UserError, match=says):
        PointSet(points, labels)  # type: ignore[arg-type]


def test_modes_of_other_points_are_refused() -> None:
    with pytest.raises(UserError, match="The points have 2 coordinates, but the modes' centres 3"):
        PointSet(torch.zeros(4, 2), modes=Modes(torch.zeros(1, 3), 1.0))


@pytest.mark.parametrize("labels", [True, False])
def test_parts(labels: bool) -> None:
    whole = make(labels=labels)
    assert len(whole) == 10
    assert members(whole[2:5]) == [2, 3, 4]
    assert whole[2:5].points.data_ptr() == whole.points[2:].data_ptr()
    a, b = whole.split([6, 3], seed=3)
    assert (len(a), len(b)) == (6, 3)
    assert len(set(members(a)) | set(members(b))) == 9
    assert members(whole.split([6, 3], seed=3)[0]) == members(a) != members(whole.split([6, 3], seed=4)[0])
    assert sorted(members(whole.take(10, 0))) == list(range(10))
    for part in (a, b, whole.take(4, 1), whole[whole.points[:, 0] > 4]):
        assert (part.labels.tolist() == [i % 3 for i in members(part)]) if labels else part.labels is None
    with pytest.raises(UserError, match="the set has 10"):
        whole.split([6, 5], 0)


def test_checksum_is_of_the_content() -> None:
    whole = make()
    same = PointSet(whole.points.clone(), whole.labels.clone())
    assert whole.checksum() == same.checksum()
    # The values of one byte string: only type, shape or the presence of labels tell them apart.
    others = [
        make(labels=False),
        whole[:9],
        whole[torch.arange(9, -1, -1)],
        PointSet(whole.points.double(), whole.labels),
        PointSet(whole.points.view(5, 4)),
        PointSet(whole.points, whole.labels.flip(0)),
        whole[:0],
        make(labels=False)[:0],
    ]
    assert len({whole.checksum(), *(other.checksum() for other in others)}) == 1 + len(others)
    turned = PointSet(whole.points.T.contiguous().T, whole.labels)
    assert turned.checksum() == whole.checksum()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_batches_are_float32_with_labels_and_seeds(dtype: torch.dtype) -> None:
    whole = PointSet(make(7).points.to(dtype), make(7).labels)
    loader = Loader(whole, 3, seed=5)
    met = torch.cat([shard.batch.examples for shard in loader])
    order = torch.randperm(7, generator=seeds.generator(5, "loader", 0))
    assert met.dtype == torch.float32
    assert torch.equal(met, make(7).points[order])
    assert torch.cat([shard.batch.labels for shard in loader]).tolist() == [i % 3 for i in order.tolist()]
    assert torch.equal(torch.cat([s.batch.seeds for s in loader]), seeds.of_indices(5, order, "train", 0))
    bare = next(iter(Loader(make(7, labels=False), 3, seed=5)))
    assert bare.batch.labels.tolist() == [0, 0, 0]
    assert bare.batch.labels.dtype == torch.int64


def test_toys_can_be_wrapped() -> None:
    for toy in (toys.gaussian_ring, toys.gaussian_grid, toys.swiss_roll, toys.two_moons):
        assert PointSet(toy(20)).shape == (2,)
