"""Batches as slices of one tensor, in an order that a seed and the epoch decide.

Every process of a distributed run sees its share of the same global batches: process r of w takes examples r, r+w,
r+2w, … of each, so the union over processes is exactly the batch one process would see, also the last, shorter one.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from epslab import seeds
from epslab.data.examples import Examples
from epslab.types import Batch


class Shard(NamedTuple):
    """One process's part of a global batch.

    A process without an example in a short last batch gets one all the same, and ``valid`` = 0, so that all processes
    take every step together.
    """

    batch: Batch  #: this process's examples
    valid: int  #: how many of them count, from the front
    total: int  #: examples in the global batch


class Slices(Dataset[Batch]):
    """Examples with a seed for each, whose batches are slices: ``__getitems__(indices)`` returns a finished ``Batch``.

    Args:
        examples: The set; it is moved to ``device`` once, as it is stored (images as uint8).
        seed: Of the run. Example i has the seed ``seeds.of_indices(seed, i, *names)``.
        device: Where the batches are made.
    """

    def __init__(self, examples: Examples, seed: int, device: torch.device | str = "cpu") -> None:
        self.examples = examples.to(device)
        self.device = torch.device(device)
        self.seed = seed
        self.seeds = torch.empty(0, dtype=torch.int64)

    def set_names(self, *names: str | int) -> None:
        """Give every example its seed of this name, e.g. ``("train", epoch)``."""
        self.seeds = seeds.of_indices(self.seed, torch.arange(len(self)), *names).to(self.device)

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index: int) -> Batch:
        return self.__getitems__(torch.tensor([index]))

    def __getitems__(self, indices: Int[Tensor, " n"]) -> Batch:
        """The examples at ``indices``, as one batch."""
        indices = indices.to(self.device, non_blocking=True)
        return Batch(*self.examples.batch(indices), self.seeds[indices])


class ShardedBatches(Sampler[Int[Tensor, " n"]]):
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
    """A torch ``DataLoader`` over slices that knows where it stands, so that it can be taken up again within an epoch.

    Iterating gives ``Shard``s. It works in the process itself: a slice of a tensor is faster than any worker.

    Args:
        examples: The set.
        batch_size: Examples in a global batch, over all processes.
        seed: Decides order and example seeds.
        training: Shuffled, example seeds of the name ("train", epoch); else in order, of the name ("validation",).
        device: Where the set lives.
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
        self.slices = Slices(examples, seed, device)
        self.batch_sampler = ShardedBatches(
            len(examples), batch_size, seed=seed, shuffle=training, replicas=replicas, rank=rank
        )
        self.training = training
        self.position = 0  # batches of the epoch already given
        self._loader: DataLoader[Batch] = DataLoader(
            self.slices,
            batch_sampler=self.batch_sampler,  # type: ignore[arg-type]  # torch's stubs know lists, not tensors, of indices
            collate_fn=_identity,
            # Its own generator: torch's loaders otherwise draw a worker seed from the global one.
            generator=seeds.generator(seed, "workers"),
        )

    def __len__(self) -> int:
        return len(self.batch_sampler)

    def __iter__(self) -> Iterator[Shard]:
        sampler = self.batch_sampler
        self.slices.set_names(*(("train", sampler.epoch) if self.training else ("validation",)))
        self.position = sampler.first
        for batch in self._loader:
            sampler.first = 0
            number = self.position
            self.position += 1
            yield Shard(batch, sampler.valid(number), sampler.size(number))

    def state_dict(self) -> dict[str, int]:
        """How many of the epoch's batches have been given."""
        return {"position": self.position}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Let the next iteration begin after the batches already given."""
        self.batch_sampler.first = state["position"] % len(self)


def _identity(batch: Any) -> Any:
    return batch
