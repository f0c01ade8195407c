"""The two terms of the evidence lower bound."""

from typing import NamedTuple

from epslab.types import PerExample


class ElboTerms(NamedTuple):
    """The two terms of the negative ELBO, [n] each, in nats; both depend on q."""

    reconstruction: PerExample  #: −E_q log p(x given z)
    regularisation: PerExample  #: KL(q(z given x) ‖ p(z)), without beta

    @property
    def negative_elbo(self) -> PerExample:
        """−ELBO = reconstruction + KL ≥ −log p(x) in expectation."""
        return self.reconstruction + self.regularisation
