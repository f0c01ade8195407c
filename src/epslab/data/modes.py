"""Where a distribution has its modes, for sets of points whose law is known."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from epslab.errors import UserError


@dataclass(frozen=True, eq=False)
class Modes:
    """The modes of an equal mixture of round normals: (1/k) Σ_i N(centre_i, std² I).

    >>> modes = Modes(torch.tensor([[0.0, 0.0], [4.0, 0.0]]), std=0.5)
    >>> len(modes), modes.within(3.0)
    (2, 0.9888910034617577)

    Args:
        centres: [k d], floating-point, k ≥ 1.
        std: Standard deviation of every mode in every coordinate, > 0, in the unit of the points.

    Raises:
        UserError: The centres are no such tensor, or the standard deviation is not positive.
    """

    centres: Tensor
    std: float

    def __post_init__(self) -> None:
        """Check centres and standard deviation."""
        if not self.centres.is_floating_point() or self.centres.ndim != 2 or not len(self.centres):
            raise UserError(
                f"Centres are {self.centres.dtype} {list(self.centres.shape)}; modes have floating-point centres"
                " [k d], one per row."
            )
        if not self.std > 0:
            raise UserError(f"The modes' standard deviation is {self.std}, but must be more than 0.")

    def __len__(self) -> int:
        """The number of modes, k."""
        return len(self.centres)

    def within(self, deviations: float) -> float:
        """The mass of a mode within this number of standard deviations of its centre.

        It is the share of good samples that a perfect sampler reaches: 98.9 % for 3 deviations on the plane.
        """
        return chi_squared(self.centres.shape[1], deviations)

    def nearest(self, points: Float[Tensor, "n d"]) -> tuple[Tensor, Tensor]:
        """The distance of each point to its nearest centre [n], in the points' unit, and that centre's number [n]."""
        # Distances by differences: by matrix products, those to a near centre would be rounding errors.
        distance = torch.cdist(points, self.centres.to(points), compute_mode="donot_use_mm_for_euclid_dist")
        found = distance.min(dim=1)
        return found.values, found.indices


def chi_squared(d: int, deviations: float) -> float:
    """P(χ²_d ≤ deviations²): the mass of a standard normal in d dimensions within this distance of its mean."""
    half = torch.tensor([d / 2, deviations**2 / 2], dtype=torch.float64)
    return float(torch.special.gammainc(half[0], half[1]))
