"""What an attack raises: functions of logits [n classes] and labels [n], one number per example."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from epslab.errors import UserError
from epslab.types import Labels, Logits, PerExample

LogitLoss = Callable[[Logits, Labels], PerExample]
"""Greater where the model is further from the label; differentiable in the logits."""


def cross_entropy(logits: Logits, labels: Labels) -> PerExample:
    """−log softmax(z)_y, nats."""
    return F.cross_entropy(_wide(logits), labels, reduction="none")


def margin(logits: Logits, labels: Labels) -> PerExample:
    """max_{j≠y} z_j − z_y: positive where the model is wrong (Carlini & Wagner, 2017, f_6 with κ = ∞)."""
    z = _wide(logits)
    z_y = z.gather(1, labels[:, None])
    return (z.scatter(1, labels[:, None], -torch.inf).amax(1, keepdim=True) - z_y).squeeze(1)


def dlr(logits: Logits, labels: Labels) -> PerExample:
    """Difference of logits ratio, (max_{j≠y} z_j − z_y)/(z_π1 − z_π3) (Croce & Hein, 2020, eq. 6).

    It does not change when all logits are scaled or shifted, so large logits cannot hide its gradient. With two classes
    there is no third largest logit, and the ratio is the margin.
    """
    if logits.shape[1] < 3:
        return margin(logits, labels)
    top = _wide(logits).topk(3, dim=1).values
    return margin(logits, labels) / (top[:, 0] - top[:, 2] + _TINY)


def targeted_dlr(logits: Logits, labels: Labels, targets: Labels) -> PerExample:
    """(z_t − z_y)/(z_π1 − (z_π3 + z_π4)/2) (Croce & Hein, 2020, eq. 7).

    With three classes the denominator is z_π1 − z_π3; with two the ratio is the difference z_t − z_y.
    """
    z = _wide(logits)
    difference = (z.gather(1, targets[:, None]) - z.gather(1, labels[:, None])).squeeze(1)
    if z.shape[1] < 3:
        return difference
    top = z.topk(min(4, z.shape[1]), dim=1).values
    return difference / (top[:, 0] - top[:, 2:].mean(1) + _TINY)


def require_per_example(value: object, n: int) -> None:
    """Refuse what an objective gave for n examples unless it is one number each; the values are not looked at.

    Raises:
        UserError: It is something else, e.g. the mean over the batch.
    """
    if not isinstance(value, Tensor) or value.shape != (n,):
        given = f"a tensor {list(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
        raise UserError(
            f"The objective gives {given} for {n} examples, but must give one number each, [n]: cross_entropy of"
            " epslab.attacks does; torch's needs reduction='none'."
        )


_TINY = 1e-12


def _wide(logits: Logits) -> Logits:
    """Half-precision logits in single precision."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))
