"""The parts of an evaluation, each a function of a batch, and the walk through them that several processes share."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from epslab.evaluation.progress import Advance
from epslab.evaluation.robustness_store import Store
from epslab.seeds import of_indices
from epslab.training.surroundings import reseed
from epslab.types import Images, Labels, Pixels, Seeds

_GRID = 1e-3
"""A pixel is one of 8 bits when 255·x is within this of an integer: float32 rounding is 1e-5, half precision 0.06."""


class Portion(NamedTuple):
    """Some examples, in the model's dtype and on its device."""

    indices: Int[Tensor, " n"]  #: which examples of the set they are, on the CPU
    images: Images
    labels: Labels
    levels: Pixels  #: the images as given, rounded to 8 bits
    eight_bit: Bool[Tensor, " n"]  #: whether that rounding changed nothing but the last digits
    seeds: Seeds  #: what a model that draws is asked with

    def part(self, index: Int[Tensor, " k"]) -> "Portion":
        """The examples at these places of the portion."""
        return Portion(self.indices[index.cpu()], *(field[index] for field in self[1:]))


@runtime_checkable
class OnBatch(Protocol):
    """Who wants to know of every batch as it is done."""

    def __call__(self, job: str, examples: int, right: int | None, fresh: bool) -> None:
        """A batch of a job is done.

        Args:
            job: "clean", "attacks/NAME", "sweep" or "checks/NAME".
            examples: How many.
            right: How many of them the model still gets right; None where that is not the question.
            fresh: Whether it was computed now, not by an earlier start.
        """
        ...


@dataclass(frozen=True, eq=False)
class TestSet:
    """The set that is evaluated (and no test for pytest).

    Args:
        images: In [0, 1], on any device.
        labels: The true classes.
        device: The model's.
        dtype: The model's.
        seed: Of the model's own noise.
    """

    __test__: ClassVar[bool] = False

    images: Images
    labels: Labels
    device: torch.device
    dtype: torch.dtype
    seed: int = 0

    def portion(self, indices: Int[Tensor, " n"]) -> Portion:
        """The examples with these indices."""
        x = self.images[indices.to(self.images.device)].detach()
        scaled = x.double() * 255
        levels = scaled.round()
        eight_bit = (scaled - levels).abs().flatten(1).amax(1) < _GRID
        return Portion(
            indices,
            x.to(self.device, self.dtype),
            self.labels[indices.to(self.labels.device)].to(self.device, torch.int64),
            levels.to(self.device, torch.uint8),
            eight_bit.to(self.device),
            of_indices(self.seed, indices, "robustness", "model").to(self.device),
        )


@dataclass(frozen=True, eq=False)
class Job:
    """One part of an evaluation.

    Args:
        name: Of its results.
        indices: The examples it is for, ascending, on the CPU.
        work: Results of a batch, each with one row an example.
        whole: Give it all its examples in one batch.
    """

    name: str
    indices: Int[Tensor, " n"]
    work: Callable[[Portion], Mapping[str, Tensor]]
    whole: bool = False

    def batches(self, batch_size: int) -> Sequence[Int[Tensor, " k"]]:
        """The indices in batches."""
        size = len(self.indices) if self.whole else batch_size
        return [self.indices[first : first + size] for first in range(0, len(self.indices), size)]


def walk(
    jobs: Sequence[Job],
    examples: TestSet,
    store: Store,
    *,
    batch_size: int,
    seed: int,
    rank: int,
    processes: int,
    advance: Advance,
    on_batch: OnBatch | None = None,
) -> None:
    """Do what is not yet done of this process's share, batch by batch.

    Batch k of a job is the same whatever is done already, and belongs to one process alone. Before each, torch's global
    generator is set from the seed, the job and the batch, so that a model that draws from it repeats its answers when
    an evaluation is resumed.
    """
    for number, job in enumerate(jobs):
        done = store.done(job.name, len(examples.labels))
        stood = _stood(store, job.name, done) if on_batch is not None else None
        for place, indices in enumerate(job.batches(batch_size)):
            if (place + number) % processes != rank:
                continue
            todo = indices[~done[indices]]
            if not len(todo):
                advance(len(indices), job.name)
                if on_batch is not None:
                    on_batch(job.name, len(indices), None if stood is None else int(stood[indices].sum()), False)
            else:
                reseed(examples.device, seed, "robustness", job.name, int(todo[0]))
                results = job.work(examples.portion(todo))
                store.write(job.name, todo, results)
                right = results.get("right")
                advance(len(indices), job.name if right is None else f"{job.name}, right {right.float().mean():.0%}")
                if on_batch is not None:
                    before = 0 if stood is None else int(stood[indices].sum())
                    on_batch(job.name, len(indices), None if right is None else before + int(right.sum()), True)


def _stood(store: Store, job: str, done: Bool[Tensor, " n"]) -> Bool[Tensor, " n"] | None:
    """Of the examples done earlier those the model got right; None where that is not what the job asks."""
    rows = store.read(job) if done.any() else {}
    if "right" not in rows:
        return None
    stood = torch.zeros_like(done)
    stood[rows["indices"]] = rows["right"]
    return stood


def workload(jobs: Sequence[Job], batch_size: int, rank: int, processes: int) -> int:
    """The number of examples, over all jobs, that are this process's."""
    return sum(
        len(indices)
        for number, job in enumerate(jobs)
        for place, indices in enumerate(job.batches(batch_size))
        if (place + number) % processes == rank
    )
