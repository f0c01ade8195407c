"""The training objective of a coupling flow: the negative bound on log P(k), or −log p(x) of points."""

from dataclasses import dataclass

from epslab.generative.flows.coupling_flow import CouplingFlow
from epslab.probability.bounds import bits_per_dim
from epslab.runs import Column
from epslab.types import Batch, PerExample, Progress


@dataclass(frozen=True)
class FlowObjective:
    """−log p per example in nats: of the image's levels, by the dequantisation bound; of points, exactly.

    Each entry is a curve: ``loss``, what is minimised, and for images ``bits_per_dim``, the same in bits per pixel.

    >>> sorted(FlowObjective(CouplingFlow((2,))).columns)
    ['loss']

    Args:
        flow: The model.
    """

    flow: CouplingFlow

    @property
    def columns(self) -> dict[str, Column]:
        """What the entries are; the bound once, in bits/dim."""
        if self.flow.of_images:
            return {"bits_per_dim": Column("Dequantisation bound", "bits/dim", better="lower")}
        return {"loss": Column("Negative log-likelihood", "nats", better="lower")}

    def __call__(self, batch: Batch, progress: Progress) -> dict[str, PerExample]:
        """The loss of each example, and its bits/dim."""
        loss = -self.flow.bound(batch.examples, seeds=batch.seeds)
        if not self.flow.of_images:
            return {"loss": loss}
        return {"loss": loss, "bits_per_dim": bits_per_dim(loss.detach(), self.flow.shape)}
