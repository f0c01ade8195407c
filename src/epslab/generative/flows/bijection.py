"""What a flow is made of: maps that can be undone, and whose change of volume is known."""

from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from epslab.types import PerExample

Values = Float[Tensor, "n ..."]
"""Points [n d] or images [n c h w], in float32 or wider."""


@runtime_checkable
class Bijection(Protocol):
    """An invertible map z = f(x) of each example, with the logarithm of |det ∂f/∂x|.

    If z has the density p(z), x has the density (Rezende & Mohamed, 2015, eq. 5)

        log p(x) = log p(z) + log|det ∂f/∂x|.
    """

    def __call__(self, x: Values) -> tuple[Values, PerExample]:
        """Z = f(x) and log|det ∂f/∂x| in nats, [n]."""
        ...

    def inverse(self, z: Values) -> Values:
        """X = f⁻¹(z)."""
        ...
