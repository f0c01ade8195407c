"""A mean that knows its standard error."""

import math
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from epslab.runs import with_error


@dataclass(frozen=True)
class Estimate:
    """The mean of n values with the standard error of that mean.

    Args:
        mean: The mean, in the values' unit.
        standard_error: Standard deviation of the values divided by √n, same unit; nan for a single value.
        n: Number of values.
    """

    mean: float
    standard_error: float
    n: int

    @classmethod
    def of(cls, values: Float[Tensor, " n"]) -> "Estimate":
        """The mean of independent values, summed in float64. A nan or an infinity among them stays visible."""
        values = values.double()
        n = len(values)
        error = values.std().item() / math.sqrt(n) if n > 1 else math.nan
        return cls(values.mean().item(), error, n)

    def scaled(self, factor: float) -> "Estimate":
        """The estimate in another unit."""
        return Estimate(self.mean * factor, self.standard_error * abs(factor), self.n)

    def __str__(self) -> str:
        """``98.34 ± 0.21``: to the error's second digit."""
        return with_error(self.mean, self.standard_error)
