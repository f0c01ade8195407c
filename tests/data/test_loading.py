"""Batches: the order, the share of each process, the seeds, taking up again within an epoch."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from epslab import seeds
from epslab.data import ImageSet
from epslab.data.loading import Loader, ShardedBatches


def numbered(n: int) -> ImageSet:
    """Image i is all i, and i is its label."""
    pixels = torch.arange(n, dtype=torch.uint8)[:, None, None, None].expand(n, 2, 3, 4).contiguous()
    return ImageSet(pixels, torch.arange(n), tuple(map(str, range(n))))


def test_a_shard_holds_a_finished_batch() -> None:
    images = numbered(20)
    loader = Loader(images, 7, seed=3)
    loader.batch_sampler.set_epoch(4)
    assert loader.examples.pixels.data_ptr() == images.pixels.data_ptr()
    shards = list(loader)
    assert [len(shard.batch.labels) for shard in shards] == [7, 7, 6]
    for indices, (batch, _, _) in zip(loader.batch_sampler, shards, strict=True):
        assert torch.equal(batch.images, images.images[indices])
        assert batch.images.dtype == torch.float32
        assert batch.images.is_contiguous(memory_format=torch.channels_last)
        assert torch.equal(batch.labels, indices)
        assert torch.equal(batch.seeds, seeds.of_indices(3, indices, "train", 4))


@given(
    length=st.integers(1, 60),
    batch_size=st.integers(1, 20),
    replicas=st.integers(1, 5),
    epoch=st.integers(0, 3),
    shuffle=st.booleans(),
)
def test_the_processes_shares_make_up_the_batch_of_one(
    length: int, batch_size: int, replicas: int, epoch: int, shuffle: bool
) -> None:
    def batches(replicas: int, rank: int) -> ShardedBatches:
        sampler = ShardedBatches(length, batch_size, seed=9, shuffle=shuffle, replicas=replicas, rank=rank)
        sampler.set_epoch(epoch)
        return sampler

    whole = [batch.tolist() for batch in batches(1, 0)]
    assert len(whole) == len(batches(1, 0)) == -(-length // batch_size)
    assert sorted(itertools.chain(*whole)) == list(range(length))
    shares = [batches(replicas, rank) for rank in range(replicas)]
    given = [list(share) for share in shares]
    for number, expected in enumerate(whole):
        assert shares[0].size(number) == len(expected)
        # Every process gets something to do; what counts is the batch, each example once.
        assert all(len(own[number]) for own in given)
        counted = [own[number][: share.valid(number)].tolist() for own, share in zip(given, shares, strict=True)]
        assert sorted(itertools.chain(*counted)) == sorted(expected)


def test_the_order_is_a_function_of_seed_and_epoch() -> None:
    def order(seed: int, epoch: int, shuffle: bool = True) -> list[int]:
        sampler = ShardedBatches(50, 50, seed=seed, shuffle=shuffle)
        sampler.set_epoch(epoch)
        return next(iter(sampler)).tolist()

    assert order(0, 1) == order(0, 1)
    assert order(0, 1) != order(0, 2)
    assert order(0, 1) != order(1, 1)
    assert order(0, 1, shuffle=False) == list(range(50))
    assert order(0, 1) == torch.randperm(50, generator=seeds.generator(0, "loader", 1)).tolist()


def test_a_loader_is_taken_up_again_where_it_stood() -> None:
    loader = Loader(numbered(23), 4, seed=1)
    assert len(loader) == 6
    loader.batch_sampler.set_epoch(2)
    whole = list(loader)
    assert [(shard.valid, shard.total) for shard in whole] == [(4, 4)] * 5 + [(3, 3)]
    for consumed in range(1, 6):
        iterator = iter(loader)
        for _ in range(consumed):
            next(iterator)
        assert loader.state_dict() == {"position": consumed}
        again = Loader(numbered(23), 4, seed=1)
        again.load_state_dict(loader.state_dict())
        again.batch_sampler.set_epoch(2)
        rest = list(again)
        assert len(rest) == 6 - consumed
        for shard, expected in zip(rest, whole[consumed:], strict=True):
            assert torch.equal(shard.batch.labels, expected.batch.labels)
            assert torch.equal(shard.batch.seeds, expected.batch.seeds)
            assert (shard.valid, shard.total) == (expected.valid, expected.total)
        # The epoch after is whole.
        assert len(list(again)) == 6
    # At the end of an epoch nothing is left of it: the next one begins.
    again.load_state_dict({"position": 6})
    assert len(list(again)) == 6


def test_example_seeds_are_of_the_epoch_in_training_and_fixed_in_validation() -> None:
    images = numbered(10)
    for training in (True, False):
        met = []
        for epoch in (0, 1):
            loader = Loader(images, 10, seed=5, training=training)
            loader.batch_sampler.set_epoch(epoch)
            (shard,) = loader
            met.append(shard.batch)
            names = ("train", epoch) if training else ("validation",)
            assert torch.equal(shard.batch.seeds, seeds.of_indices(5, shard.batch.labels, *names))
        assert torch.equal(met[0].seeds, met[1].seeds) == (not training)


@pytest.mark.parametrize("training", [True, False])
def test_loading_leaves_the_global_generator_alone(training: bool) -> None:
    before = torch.get_rng_state()
    list(Loader(numbered(10), 3, training=training))
    assert torch.equal(torch.get_rng_state(), before)
