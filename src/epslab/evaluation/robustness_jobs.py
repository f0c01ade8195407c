"""The parts of an evaluation, each a function of a batch, and the walk through them that several processes share."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from epslab.evaluation.portions import Portion, TestSet
from epslab.evaluation.progress import Advance
from epslab.evaluation.robustness_store import Store
from epslab.runs import whole_percent
from epslab.training.surroundings import reseed

OnBatch = Callable[[str, int, int | None, bool], None]
"""Called when a batch is done.

It is given the job ("clean", "attacks/NAME", "sweep" or "checks/NAME"), the number of examples, how many of them the
model still gets right (None for a job that does not ask this), and whether the batch was computed now, rather than
before an interruption.
"""


@dataclass(frozen=True, eq=False)
class Job:
    """One part of an evaluation.

    Args:
        name: Of its results.
        indices: The examples it is for, ascending, on the CPU.
        work: Results of a batch, each with one row per example.
        whole: Give it all its examples in one batch.
        counts: Whether its results say which examples the model still gets right.
    """

    name: str
    indices: Int[Tensor, " n"]
    work: Callable[[Portion], Mapping[str, Tensor]]
    whole: bool = False
    counts: bool = True


Assigned = Sequence[tuple[Job, Sequence[Int[Tensor, " _"]]]]
"""Each job with the batches that one process does, given by their indices."""


def assigned(jobs: Sequence[Job], batch_size: int, rank: int, processes: int) -> Assigned:
    """What one process does; batch k of a job is the same whatever is done already."""
    own = []
    for number, job in enumerate(jobs):
        batches = torch.split(job.indices, len(job.indices) if job.whole else batch_size)
        own.append((job, batches[(rank - number) % processes :: processes]))
    return own


def walk(mine: Assigned, examples: TestSet, store: Store, advance: Advance, on_batch: OnBatch | None = None) -> None:
    """Do what is not yet done of these jobs, batch by batch.

    Before each batch, torch's global generator is set from the seed, the job and the batch: a model that draws from it
    repeats its answers when an evaluation is resumed.
    """
    for job, batches in mine:
        done = store.done(job.name, len(examples.labels))
        right = torch.zeros_like(done)
        if job.counts and done.any():
            rows = store.read(job.name)
            right[rows["indices"]] = rows["right"]
        for indices in batches:
            todo = indices[~done[indices]]
            if len(todo):
                reseed(examples.device, examples.seed, "robustness", job.name, int(todo[0]))
                results = job.work(examples.portion(todo))
                store.write(job.name, todo, results)
                if job.counts:
                    right[todo] = results["right"].cpu()
            count = int(right[indices].sum()) if job.counts else None
            right_so_far = "" if count is None else f", right {whole_percent(count / len(indices))}"
            advance(len(indices), f"{job.name}{right_so_far}")
            if on_batch is not None:
                on_batch(job.name, len(indices), count, len(todo) > 0)
