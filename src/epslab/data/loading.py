"""Batches as slices of one tensor, in an order given by a seed and the epoch.

Every process of a distributed run sees its share of the same global batches: process r of w takes examples r, r+w,
r+2w, … of each, so the union over processes is exactly the batch one process would see, also the last, shorter one.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor

from epslab import seeds
from epslab.data.examples import Examples
from epslab.types import Batch


class Shard(NamedTuple):
    """One process's part of a global batch.

    All processes take every step together: one without an example in a short last batch gets an example with
    ``valid`` = 0.
    """

    batch: Batch  #: this process's examples
    valid: int  #: how many of them count, from the front
    total: int  #: examples in the global batch


class ShardedBatches:
    """The indices of this process's part of each global batch of an epoch.

    Args:
        length: Examples in the set.
        batch_size: Examples in a global batch, over all processes.
        seed: With the epoch it decides the order, a permutation drawn without replacement.
        shuffle: False: the order of the set.
        replicas: Number of processes.
        rank: Which of them this is.
    """

    def __init__(
        self, length: int, batch_size: int, *, seed: int = 0, shuffle: bool = True, replicas: int = 1, rank: int = 0
    ) -> None:
        self.length = length
        self.batch_size = batch_size
        self.seed = seed
        self.shuffle = shuffle
        self.replicas = replicas
        self.rank = rank
        self.epoch = 0
        self.first = 0  # the first batch to give: more than 0 once, after a resume within an epoch

    @property
    def sampler(self) -> "ShardedBatches":
        """Itself: where Lightning looks for ``set_epoch``."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of this epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return -(-self.length // self.batch_size)

    def size(self, batch: int) -> int:
        """Examples in global batch number ``batch``."""
        return min(self.batch_size, self.length - batch * self.batch_size)

    def valid(self, batch: int) -> int:
        """Examples of it that belong to this process."""
        return len(range(self.rank, self.size(batch), self.replicas))

    def __iter__(self) -> Iterator[Int[Tensor, " n"]]:
        if self.shuffle:
            order = torch.randperm(self.length, generator=seeds.generator(self.seed, "loader", self.epoch))
        else:
            order = torch.arange(self.length)
        for batch in range(self.first, len(self)):
            start = batch * self.batch_size
            own = order[start + self.rank : start + self.batch_size : self.replicas]
            yield own if len(own) else order[start : start + 1]


class Loader:
    """Batches of a set, with a seed for each example; it can be resumed within an epoch.

    Iterating gives ``Shard``s, made in this process: a slice of a tensor is faster than any worker.

    Args:
        examples: The set; it is moved to ``device`` once, as it is stored (images as uint8).
        batch_size: Examples in a global batch, over all processes.
        seed: Decides order and example seeds: example i has the seed ``seeds.of_indices(seed, i, *names)``.
        training: Shuffled, with seeds of the names ("train", epoch); else in order, with those of ("validation",).
        device: Where the batches are made.
        replicas: Number of processes.
        rank: Which of them this is.
    """

    def __init__(
        self,
        examples: Examples,
        batch_size: int,
        *,
        seed: int = 0,
        training: bool = True,
        device: torch.device | str = "cpu",
        replicas: int = 1,
        rank: int = 0,
    ) -> None:
        self.examples = examples.to(device)
        self.batch_sampler = ShardedBatches(
            len(examples), batch_size, seed=seed, shuffle=training, replicas=replicas, rank=rank
        )
        self.seed = seed
        self.training = training
        self.device = torch.device(device)
        self.position = 0  # batches of the epoch already given

    def __len__(self) -> int:
        return len(self.batch_sampler)

    def __iter__(self) -> Iterator[Shard]:
        names = ("train", self.batch_sampler.epoch) if self.training else ("validation",)
        own = seeds.of_indices(self.seed, torch.arange(self.batch_sampler.length), *names).to(self.device)
        self.position = self.batch_sampler.first
        for indices in self.batch_sampler:
            self.batch_sampler.first = 0
            number = self.position
            self.position += 1
            indices = indices.to(self.device, non_blocking=True)
            batch = Batch(*self.examples.batch(indices), own[indices])
            yield Shard(batch, self.batch_sampler.valid(number), self.batch_sampler.size(number))

    def state_dict(self) -> dict[str, int]:
        """How many of the epoch's batches have been given."""
        return {"position": self.position}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Let the next iteration begin after the batches already given."""
        self.batch_sampler.first = state["position"] % len(self)
