"""How log p(x) is measured: exactly, by a lower bound, or by an estimate.

An estimator gives log p(x) of each image in nats, [n], with the parts it consists of. Its noise is a function of the
examples' seeds, so batch size and chunk change values by rounding only.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal, NamedTuple, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Generator, Tensor

from epslab.errors import UserError
from epslab.generative.elbo import ElboTerms
from epslab.probability.bounds import OnDraws, importance_weighted, prior_monte_carlo
from epslab.types import LatentVariableModel, Observations, PerExample, Seeds

Kind = Literal["exact", "lower bound", "estimate"]
"""What a value is to log p(x): equal; below it in expectation; near it, on either side."""


@runtime_checkable
class VariationalModel(Protocol):
    """A model with an evidence lower bound: ``VAE``, ``LinearGaussian``."""

    def terms(
        self, images: Observations, samples: int = 1, generator: Generator | None = None, seeds: Seeds | None = None
    ) -> ElboTerms:
        """The two terms of the negative ELBO, averaged over draws of z, [n] each."""
        ...


@runtime_checkable
class DensityModel(Protocol):
    """A model whose log p(x) is known: ``LinearGaussian``, ``ProbabilisticPCA``, ``FactorAnalysis``."""

    def log_prob(self, images: Float[Tensor, "n *shape"]) -> PerExample:
        """Log p(x) in nats, [n]."""
        ...


class Estimated(NamedTuple):
    """Values of log p(x) and what they consist of."""

    log_p: PerExample  #: nats
    parts: Mapping[str, PerExample] = {}  #: nats, by name


@runtime_checkable
class Estimator(Protocol):
    """What ``evaluate_likelihood`` is given."""

    @property
    def label(self) -> str:
        """What is measured, in words."""
        ...

    @property
    def kind(self) -> Kind:
        """What a value is to log p(x)."""
        ...

    @property
    def stream(self) -> str:
        """Name of the noise: estimators of one name use the same draws."""
        ...

    @property
    def draws(self) -> int:
        """Draws per image, for the progress bar; 1 if there are none."""
        ...

    def __call__(
        self, model: object, images: Float[Tensor, "n *shape"], *, seeds: Seeds, on_draws: OnDraws
    ) -> Estimated:
        """Log p(x) of these images; calls ``on_draws`` with the number of draws just made, for all images together."""
        ...


@dataclass(frozen=True)
class Elbo:
    """The evidence lower bound, with beta = 1 and no free bits; Kingma & Welling (2014), eq. 3.

        log p(x) ≥ E_q log p(x given z) − KL(q(z given x) ‖ p(z))

    Its parts are ``reconstruction`` = −E_q log p(x given z) and ``kl``.

    Args:
        samples: Draws of z per image, ≥ 1.

    Raises:
        UserError: samples < 1; when used, a model without ``terms``.
    """

    samples: int = 1
    kind: ClassVar[Kind] = "lower bound"
    stream: ClassVar[str] = "elbo"
    label: ClassVar[str] = "ELBO"

    def __post_init__(self) -> None:
        """Check the number of draws."""
        _at_least_one(self, samples=self.samples)

    @property
    def draws(self) -> int:
        """The samples."""
        return self.samples

    def __call__(
        self, model: object, images: Float[Tensor, "n *shape"], *, seeds: Seeds, on_draws: OnDraws
    ) -> Estimated:
        """The bound of each image."""
        if not isinstance(model, VariationalModel):
            raise _lacks(model, "the ELBO", "terms(images, samples, generator, seeds)")
        reconstruction, kl = model.terms(images, self.samples, seeds=seeds)
        on_draws(len(images) * self.samples)
        return Estimated(-reconstruction - kl, {"reconstruction": reconstruction, "kl": kl})


@dataclass(frozen=True)
class _Draws:
    """What the two averages of weights share.

    Args:
        samples: Draws per image, ≥ 1.
        chunk: Draws of a batch in one pass through the decoder; None: a good number. Memory grows with it, and not with
            ``samples``.

    Raises:
        UserError: samples or chunk < 1; when used, a model without the log-densities.
    """

    samples: int
    chunk: int | None = field(default=None, compare=False)
    kind: ClassVar[Kind] = "lower bound"

    def __post_init__(self) -> None:
        """Check the counts."""
        _at_least_one(self, samples=self.samples, chunk=1 if self.chunk is None else self.chunk)

    @property
    def draws(self) -> int:
        """The samples."""
        return self.samples


class ImportanceWeighted(_Draws):
    """The bound log (1/K) Σ_k p(x, z_k)/q(z_k given x) of Burda et al. (2016), eq. 8.

    Its expectation never falls with K and never exceeds log p(x). For its arguments, K = ``samples`` and ``chunk``, see
    ``epslab.probability.bounds.importance_weighted``.
    """

    stream: ClassVar[str] = "importance"

    @property
    def label(self) -> str:
        """The bound and its K."""
        return f"importance-weighted bound, K={self.samples:,}"

    def __call__(
        self, model: object, images: Float[Tensor, "n *shape"], *, seeds: Seeds, on_draws: OnDraws
    ) -> Estimated:
        """The bound of each image."""
        if not isinstance(model, LatentVariableModel):
            raise _lacks(model, "the importance-weighted bound", "log_weights(images, samples, seeds=…, first=…)")
        return Estimated(
            importance_weighted(model, images, self.samples, seeds=seeds, chunk=self.chunk, on_draws=on_draws)
        )


class PriorMonteCarlo(_Draws):
    """Log (1/L) Σ_l p(x given z_l), z_l from the prior: below log p(x) in expectation, far below for many latents.

    For its arguments, L = ``samples`` and ``chunk``, see ``epslab.probability.bounds.prior_monte_carlo``.
    """

    stream: ClassVar[str] = "prior"

    @property
    def label(self) -> str:
        """The estimate and its L."""
        return f"prior Monte Carlo, L={self.samples:,}"

    def __call__(
        self, model: object, images: Float[Tensor, "n *shape"], *, seeds: Seeds, on_draws: OnDraws
    ) -> Estimated:
        """The estimate of each image."""
        if not isinstance(model, LatentVariableModel):
            raise _lacks(model, "prior Monte Carlo", "log_likelihoods(images, samples, seeds=…, first=…)")
        return Estimated(
            prior_monte_carlo(model, images, self.samples, seeds=seeds, chunk=self.chunk, on_draws=on_draws)
        )


@dataclass(frozen=True)
class Exact:
    """The model's own log p(x).

    Raises:
        UserError: When used, a model without ``log_prob``.
    """

    kind: ClassVar[Kind] = "exact"
    stream: ClassVar[str] = "exact"
    label: ClassVar[str] = "log p(x)"
    draws: ClassVar[int] = 1

    def __call__(
        self, model: object, images: Float[Tensor, "n *shape"], *, seeds: Seeds, on_draws: OnDraws
    ) -> Estimated:
        """Log p(x) of each image."""
        if not isinstance(model, DensityModel):
            raise _lacks(model, "an exact likelihood", "log_prob(images)")
        log_p = model.log_prob(images)
        on_draws(len(images))
        return Estimated(log_p)


def _at_least_one(estimator: object, **counts: int) -> None:
    for name, count in counts.items():
        if count < 1:
            raise UserError(f"{name} of {type(estimator).__name__} is {count}, but must be at least 1.")


def _lacks(model: object, wanted: str, method: str) -> UserError:
    return UserError(
        f"{type(model).__name__} has no method {method}, which {wanted} needs: choose another estimator, such as"
        " Elbo(), ImportanceWeighted(50) or Exact()."
    )
