"""Affine coupling: one part of an example stays and says how the other part is scaled and shifted."""

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from epslab.generative.flows.bijection import Values
from epslab.probability.densities import wide
from epslab.types import PerExample

_LIMIT = 2.0  # of the log-scale


@runtime_checkable
class Split(Protocol):
    """How an example falls into the part that stays, a, and the part that changes, b; the channels of both."""

    kept: int
    changed: int

    def apart(self, x: Values) -> tuple[Values, Values]:
        """A and b."""
        ...

    def together(self, a: Values, b: Values) -> Values:
        """The example again."""
        ...

    def own(self, values: Values) -> Values:
        """Of the values that a net gives for b, those that belong to it; 0 elsewhere."""
        ...


class Halves:
    """The first channels (or coordinates) stay, the others change.

    Args:
        channels: c ≥ 2; the first c//2 stay.
    """

    def __init__(self, channels: int) -> None:
        self.kept = channels // 2
        self.changed = channels - self.kept

    def apart(self, x: Values) -> tuple[Values, Values]:
        """A and b."""
        return x[:, : self.kept], x[:, self.kept :]

    def together(self, a: Values, b: Values) -> Values:
        """The example again."""
        return torch.cat([a, b], dim=1)

    def own(self, values: Values) -> Values:
        """All."""
        return values


class Checkerboard:
    """Every second pixel stays (Dinh et al., 2017, figure 3): for images whose sides cannot be halved.

    Args:
        channels: c; all channels of a pixel stay or change together.
        parity: 0 or 1: which pixels stay.
    """

    def __init__(self, channels: int, parity: int) -> None:
        self.kept = self.changed = channels
        self.parity = parity

    def apart(self, x: Values) -> tuple[Values, Values]:
        """The pixels that stay and those that change, each with 0 in place of the others."""
        stays = self._stays(x)
        return x * stays, x * (1 - stays)

    def together(self, a: Values, b: Values) -> Values:
        """The example again."""
        return a + b

    def own(self, values: Values) -> Values:
        """The values at the pixels that change."""
        return values * (1 - self._stays(values))

    def _stays(self, x: Values) -> Float[Tensor, "h w"]:
        rows, columns = (torch.arange(side, device=x.device) for side in x.shape[2:])
        return ((rows[:, None] + columns + self.parity + 1) % 2).to(x.dtype)


class AffineCoupling(nn.Module):
    """b' = b·exp(s(a)) + t(a), a' = a (Dinh et al., 2017, eq. 7 and 8).

        log|det ∂(a', b')/∂(a, b)| = Σ s(a)

    The map is inverted without inverting the net. |s| < 2, by a hyperbolic tangent, so that no scale runs away.

    Args:
        split: What stays and what changes.
        net: a, and after it the context's channels if there is one, to [n, 2·changed, …]: t, then s before the limit. A
            net that gives zeros makes the coupling the identity.

    >>> from epslab.nets import perceptron
    >>> coupling = AffineCoupling(Halves(2), perceptron([1, 8, 2]))
    >>> x = torch.randn(5, 2)
    >>> z, log_det = coupling(x)
    >>> torch.allclose(coupling.inverse(z), x, atol=1e-5)
    True
    """

    def __init__(self, split: Split, net: nn.Module) -> None:
        super().__init__()
        self.split = split
        self.net = net

    def forward(self, x: Values, context: Values | None = None) -> tuple[Values, PerExample]:
        """Z = (a, b') and the log-determinant; s and t may depend on a context, too."""
        a, b = self.split.apart(x)
        t, s = self._shift_and_log_scale(a, context)
        return self.split.together(a, b * s.exp() + t), s.flatten(1).sum(1)

    def inverse(self, z: Values, context: Values | None = None) -> Values:
        """X = (a, (b' − t(a))·exp(−s(a)))."""
        a, b = self.split.apart(z)
        t, s = self._shift_and_log_scale(a, context)
        return self.split.together(a, (b - t) * (-s).exp())

    def _shift_and_log_scale(self, a: Values, context: Values | None) -> tuple[Values, Values]:
        given = a if context is None else torch.cat([a, context.to(a.dtype)], dim=1)
        # The net may compute in half precision; the flow does not.
        t, s = wide(self.net(given.to(next(self.net.parameters()).dtype))).chunk(2, dim=1)
        return self.split.own(t), self.split.own(_LIMIT * torch.tanh(s / _LIMIT))
