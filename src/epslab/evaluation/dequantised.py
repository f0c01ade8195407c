"""The likelihood of levels under a continuous density, by dequantisation."""

import math
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from epslab.errors import UserError
from epslab.evaluation.estimators import Estimated, Kind
from epslab.probability.bounds import OnDraws
from epslab.types import Images, Seeds


@runtime_checkable
class DequantisedModel(Protocol):
    """A density of images with noise: ``CouplingFlow``."""

    def log_weights(self, images: Images, samples: int, *, seeds: Seeds, first: int = 0) -> Float[Tensor, "samples n"]:
        """Log p(x_i)/(K^M·q(u_i given k)), u_i from q, for draws first..first+samples−1."""
        ...


@dataclass(frozen=True)
class Dequantised:
    """A lower bound of log P(k), k the levels of an image: log of the average of S weights (Ho et al., 2019).

        log (1/S) Σ_i p(x_i)/(K^M·q(u_i given k)),    x_i = (k + u_i)/K,    u_i ~ q

    S = 1 is the usual bound; its expectation never falls with S (Burda et al., 2016).

    Args:
        samples: S, draws of the noise per image, ≥ 1.

    Raises:
        UserError: samples < 1; when used, a model without ``log_weights``.
    """

    samples: int = 1
    kind: ClassVar[Kind] = "lower bound"
    stream: ClassVar[str] = "dequantisation"

    def __post_init__(self) -> None:
        """Check the number of draws."""
        if self.samples < 1:
            raise UserError(f"samples of Dequantised is {self.samples}, but must be at least 1.")

    @property
    def label(self) -> str:
        """The bound and its draws."""
        return "dequantisation bound" + (f", {self.samples:,} draws" if self.samples > 1 else "")

    @property
    def draws(self) -> int:
        """The samples."""
        return self.samples

    def __call__(self, model: object, images: Images, *, seeds: Seeds, on_draws: OnDraws) -> Estimated:
        """The bound of each image; one draw at a time, so that memory does not grow with their number."""
        if not isinstance(model, DequantisedModel):
            raise UserError(
                f"{type(model).__name__} has no method log_weights(images, samples, seeds=…, first=…), which the"
                " dequantisation bound needs: choose another estimator, such as Exact()."
            )
        total = None
        for i in range(self.samples):
            log_w = model.log_weights(images, 1, seeds=seeds, first=i)[0]
            total = log_w if total is None else total.logaddexp(log_w)
            on_draws(len(images))
        assert total is not None
        return Estimated(total - math.log(self.samples))
