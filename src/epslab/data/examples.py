"""What training needs of a data set, and how a set is split."""

import itertools
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from epslab import seeds
from epslab.errors import UserError
from epslab.types import Labels

Set = TypeVar("Set", bound="Divisible")


@runtime_checkable
class Examples(Protocol):
    """A set of examples that ``fit`` can train on: ``ImageSet``, ``PointSet``, or a class with these members."""

    def __len__(self) -> int:
        """The number of examples."""
        ...

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one example, e.g. (channels, height, width)."""
        ...

    @property
    def about(self) -> Mapping[str, object]:
        """Entries for a run's ``config.yaml``: plain values, by name."""
        ...

    def checksum(self) -> str:
        """A hash of the content: a run is only resumed on the same examples."""
        ...

    def to(self, device: torch.device | str) -> "Examples":
        """The same set on a device; its batches are then made there."""
        ...

    def batch(self, indices: Int[Tensor, " n"]) -> tuple[Float[Tensor, "n *shape"], Labels]:
        """The examples at these indices and their labels, on the set's device; labels are 0 where there are none."""
        ...


class Divisible(ABC):
    """``take`` and ``split``, for sets that can be indexed by a tensor."""

    @abstractmethod
    def __len__(self) -> int:
        """The number of examples."""

    @abstractmethod
    def __getitem__(self: Set, index: slice | Int[Tensor, " k"] | Bool[Tensor, " n"]) -> Set:
        """A part of the set."""

    def take(self: Set, n: int, seed: int) -> Set:
        """N different examples, drawn by the seed.

        Raises:
            UserError: n is not in 1..len.
        """
        if not 1 <= n <= len(self):
            raise UserError(f"{n} examples were asked for, but the set has {len(self)}: ask for 1..{len(self)}.")
        return self[self._shuffled(seed, "take")[:n]]

    def split(self: Set, lengths: Sequence[int], seed: int) -> tuple[Set, ...]:
        """Disjoint parts of these lengths, drawn by the seed; examples beyond their sum are left out.

        Raises:
            UserError: A length is negative, or the lengths sum to more than the set has.
        """
        if min(lengths, default=0) < 0 or sum(lengths) > len(self):
            raise UserError(
                f"Parts of {', '.join(map(str, lengths))} examples were asked for, but the set has {len(self)}:"
                " the lengths must be 0 or more and sum to no more than that."
            )
        order = self._shuffled(seed, "split")
        ends = itertools.accumulate(lengths)
        return tuple(self[order[end - length : end]] for length, end in zip(lengths, ends, strict=True))

    def _shuffled(self, seed: int, purpose: str) -> Int[Tensor, " n"]:
        return torch.randperm(len(self), generator=seeds.generator(seed, "data", purpose))


def bytes_of(tensor: Tensor) -> Any:
    """The content of a tensor as a buffer, for a hash."""
    return tensor.cpu().contiguous().numpy().data
