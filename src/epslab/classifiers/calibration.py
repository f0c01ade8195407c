"""Calibration of a classifier: how often it is right at each confidence."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float64, Int, Int64
from torch import Tensor

from epslab.arrays import require_classes
from epslab.errors import UserError
from epslab.types import Logits


@dataclass(frozen=True, eq=False)
class Calibration:
    """The reliability curve over equal bins of confidence, and the expected calibration error.

    Args:
        error: The expected calibration error Σ_b count_b/n·|accuracy_b − confidence_b|, in [0, 1]; 0 if confidences are
            frequencies. It depends on the number of bins, so state that too.
        confidence: Mean confidence in each bin, [bins]; nan in an empty one.
        accuracy: Fraction of right predictions in each bin, [bins]; nan in an empty one.
        count: Predictions in each bin, [bins].
    """

    error: float
    confidence: Float64[Tensor, " bins"]
    accuracy: Float64[Tensor, " bins"]
    count: Int64[Tensor, " bins"]

    @property
    def bins(self) -> int:
        """The number of bins."""
        return len(self.count)

    def to_dict(self) -> dict[str, Any]:
        """``error``, ``bins``, and the curve as lists with None for the empty bins, for JSON."""
        filled = self.count > 0
        curve = {
            name: [value if full else None for value, full in zip(values.tolist(), filled.tolist(), strict=True)]
            for name, values in (("confidence", self.confidence), ("accuracy", self.accuracy))
        }
        return {"error": self.error, "bins": self.bins, **curve, "count": self.count.tolist()}


def calibration(logits: Logits, labels: Int[Tensor, " labels"], bins: int = 15) -> Calibration:
    """Calibration of the predicted class's softmax probability (Guo et al., 2017, eqs. 2–3), computed in float64.

    Bin b of B, from 0, holds the confidences in (b/B, (b+1)/B].

    Args:
        logits: Of n ≥ 1 examples.
        labels: Their classes.
        bins: Number of bins B ≥ 1.

    Raises:
        UserError: No examples, fewer than one bin, or labels that are not one per example, or not classes of the model.
    """
    if bins < 1:
        raise UserError(f"bins={bins}: calibration needs at least 1 bin.")
    if not len(logits) or len(labels) != len(logits):
        raise UserError(
            f"There are {len(logits)} examples and {len(labels)} labels; give one label each, at least one."
        )
    require_classes(labels, logits.shape[1])
    probabilities = logits.double().softmax(1)
    confidence, prediction = probabilities.max(1)
    right = (prediction == labels).double()
    edges = torch.linspace(0, 1, bins + 1, dtype=torch.float64, device=logits.device)
    index = (torch.bucketize(confidence, edges) - 1).clamp_(0, bins - 1)
    count = torch.bincount(index, minlength=bins)
    sums = [torch.bincount(index, weights, minlength=bins) for weights in (confidence, right)]
    error = (sums[1] - sums[0]).abs().sum() / len(logits)
    return Calibration(float(error), (sums[0] / count).cpu(), (sums[1] / count).cpu(), count.cpu())


def calibration_error(logits: Logits, labels: Int[Tensor, " labels"], bins: int = 15) -> float:
    """The expected calibration error alone; arguments and errors as for ``calibration``.

    >>> calibration_error(torch.zeros(4, 2), torch.tensor([0, 0, 1, 1]))  # half sure, half right
    0.0
    """
    return calibration(logits, labels, bins).error
