"""Whether a model repeats its training examples."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from epslab.classifiers.proportion import Proportion
from epslab.data import Examples
from epslab.evaluation.samples.search import Nearest, nearest

_RATIO = 3.0


@dataclass(frozen=True, eq=False)
class Memorisation:
    """How near samples lie to the training examples, and held-out examples beside them.

    A sample counts as a copy if it lies at least three times nearer to one training example than to any other (Yoon et
    al., 2023). That a sample is near says little alone: smooth images lie near everything.

    Args:
        samples: The two nearest training examples of each sample; distances by pixel values (coordinates of points).
        held_out: Those of each held-out example.
    """

    samples: Nearest
    held_out: Nearest

    @classmethod
    def of(cls, samples: Tensor, held_out: Tensor, train: Tensor | Examples) -> "Memorisation":
        """Search the training examples, [m …], of which there must be two or more."""
        return cls(nearest(samples, train, 2), nearest(held_out, train, 2))

    @property
    def copies(self) -> Bool[Tensor, " n"]:
        """Which samples are copies."""
        return are_copies(self.samples.distance)

    @property
    def share(self) -> Proportion:
        """The share of samples that are copies."""
        return Proportion.of(self.copies)

    @property
    def held_out_share(self) -> Proportion:
        """The share of held-out examples that would count as copies, though nobody copied them."""
        return Proportion.of(are_copies(self.held_out.distance))

    @property
    def found(self) -> bool:
        """Whether there are more copies among the samples than chance explains: the 95 % intervals lie apart."""
        return self.share.interval()[0] > self.held_out_share.interval()[1]


def are_copies(distance: Float[Tensor, "n 2"]) -> Bool[Tensor, " n"]:
    """Whether the nearest training example is at least three times nearer than the second nearest."""
    return torch.as_tensor(_RATIO * distance[:, 0] <= distance[:, 1])
