"""How likely a latent-variable model finds images: the ELBO, the importance-weighted bound, prior Monte Carlo.

Every number is per image, in nats, summed over dimensions; means over images come with their standard errors, and
bits/dim are made only in the report. Noise belongs to the image (``epslab.seeds``): batch size and chunk change results
by rounding only.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from epslab import seeds as noise
from epslab.data import ImageSet
from epslab.errors import UserError
from epslab.evaluation.batches import Prepare, as_found, batches
from epslab.evaluation.estimate import Estimate
from epslab.evaluation.progress import progress_bar
from epslab.generative.elbo import ElboTerms
from epslab.probability.bounds import bits_per_dim, importance_weighted, prior_monte_carlo
from epslab.types import Images, ImageShape, LatentVariableModel, PerExample, Seeds


@runtime_checkable
class VariationalModel(LatentVariableModel, Protocol):
    """A latent-variable model with an ELBO: ``epslab.generative.vae.VAE``, or anything with these methods."""

    def terms(
        self, images: Images, samples: int = 1, generator: Generator | None = None, seeds: Seeds | None = None
    ) -> ElboTerms:
        """The negative ELBO's two terms, averaged over draws of z, [n] each."""
        ...


@dataclass(frozen=True, eq=False)
class LikelihoodReport:
    """What ``evaluate_likelihood`` measured; as attributes, means over images in nats with their standard errors.

    Standard errors are over images and hold the Monte Carlo noise of each image's value too.

    Args:
        per_example: ``elbo`` (β = 1, no free bits), ``reconstruction`` (−E_q log p(x given z)), ``kl``, and where asked
            for ``importance_weighted`` and ``prior_monte_carlo``: nats, [n] each, on the CPU.
        image_shape: Channels, height, width.
        samples: Draws of z an image for the ELBO.
        importance_samples: K of the importance-weighted bound, or None.
        prior_samples: L of prior Monte Carlo, or None.
    """

    per_example: Mapping[str, PerExample]
    image_shape: ImageShape
    samples: int
    importance_samples: int | None = None
    prior_samples: int | None = None

    @property
    def elbo(self) -> Estimate:
        """The evidence lower bound, nats; higher is better."""
        return Estimate.of(self.per_example["elbo"])

    @property
    def reconstruction(self) -> Estimate:
        """−E_q log p(x given z), nats; the ELBO's distortion."""
        return Estimate.of(self.per_example["reconstruction"])

    @property
    def kl(self) -> Estimate:
        """KL(q(z given x)‖p(z)), nats; the ELBO's rate."""
        return Estimate.of(self.per_example["kl"])

    @property
    def importance_weighted(self) -> Estimate | None:
        """The bound of K draws, nats, between the ELBO and log p(x) in expectation; None if not asked for."""
        return self._optional("importance_weighted")

    @property
    def prior_monte_carlo(self) -> Estimate | None:
        """Log p(x) by simple Monte Carlo, nats; None if not asked for."""
        return self._optional("prior_monte_carlo")

    def bits_per_dim(self, bound: str = "elbo") -> Estimate:
        """−bound/(c·h·w·ln 2): lower is better.

        Args:
            bound: "elbo", "importance_weighted" or "prior_monte_carlo".

        Raises:
            UserError: That bound was not measured.
        """
        measured = [name for name in self.per_example if name not in ("reconstruction", "kl")]
        if bound not in measured:
            raise UserError(f"There is no bound '{bound}' in this report; measured: {', '.join(measured)}.")
        return Estimate.of(bits_per_dim(-self.per_example[bound].double(), self.image_shape))

    def to_dict(self) -> dict[str, Any]:
        """Settings and estimates by name, for JSON: nats, and ``bits_per_dim`` (of the ELBO; others with a suffix)."""
        result: dict[str, Any] = {
            "images": len(self.per_example["elbo"]),
            "samples": self.samples,
            "importance_samples": self.importance_samples,
            "prior_samples": self.prior_samples,
        }
        result |= {name: Estimate.of(values).to_dict() for name, values in self.per_example.items()}
        result["bits_per_dim"] = self.bits_per_dim().to_dict()
        for bound in ("importance_weighted", "prior_monte_carlo"):
            if bound in self.per_example:
                result[f"bits_per_dim_{bound}"] = self.bits_per_dim(bound).to_dict()
        return result

    def _optional(self, name: str) -> Estimate | None:
        return Estimate.of(self.per_example[name]) if name in self.per_example else None


@torch.no_grad()
def evaluate_likelihood(
    model: VariationalModel,
    images: ImageSet,
    *,
    samples: int = 1,
    importance_samples: int | None = None,
    prior_samples: int | None = None,
    batch_size: int = 256,
    seed: int = 0,
    chunk: int | None = None,
    progress: bool = False,
    prepare: Prepare | None = None,
) -> LikelihoodReport:
    """Measure a model on images, in eval mode; it is left as it was, and torch's own generators are not touched.

    Args:
        model: Gives the ELBO's terms and the log-weights at its own draws.
        images: The images, used in the model's dtype and on its device.
        samples: Draws of z an image for the ELBO, ≥ 1.
        importance_samples: K ≥ 1 of the importance-weighted bound; not measured if None.
        prior_samples: L ≥ 1 of prior Monte Carlo; not measured if None.
        batch_size: Images at a time.
        seed: Of the noise; image i's own is a function of the seed and i.
        chunk: Draws of a batch in one pass through the decoder for the last two; a good number if None. Memory grows
            with it, and not with K or L.
        progress: Show a bar with the draws done, their rate and the time left.
        prepare: What is done to each batch first.

    Raises:
        UserError: A count below 1, or no images.
    """
    counts = {
        "samples": samples,
        "importance_samples": importance_samples,
        "prior_samples": prior_samples,
        "batch_size": batch_size,
        "chunk": chunk,
    }
    for name, count in counts.items():
        if count is not None and count < 1:
            raise UserError(f"{name} is {count}, but must be at least 1.")
    if len(images) == 0:
        raise UserError("There are no images to evaluate: give a set of at least one.")

    draws = samples + (importance_samples or 0) + (prior_samples or 0)
    parts: dict[str, list[Tensor]] = {}
    with as_found(model), progress_bar("evaluating", len(images) * draws, "draws", progress) as advance:
        counted = _Counted(model, advance)
        for x, indices in batches(model, images, batch_size, seed, prepare):
            own = {
                name: noise.of_indices(seed, indices, "evaluation", name) for name in ("elbo", "importance", "prior")
            }
            terms = model.terms(x, samples, seeds=own["elbo"])
            advance(len(x) * samples)
            values = {
                "elbo": -terms.reconstruction - terms.regularisation,
                "reconstruction": terms.reconstruction,
                "kl": terms.regularisation,
            }
            if importance_samples is not None:
                values["importance_weighted"] = importance_weighted(
                    counted, x, importance_samples, seeds=own["importance"], chunk=chunk
                )
            if prior_samples is not None:
                values["prior_monte_carlo"] = prior_monte_carlo(
                    counted, x, prior_samples, seeds=own["prior"], chunk=chunk
                )
            for name, value in values.items():
                parts.setdefault(name, []).append(value.cpu())
    per_example = {name: torch.cat(values) for name, values in parts.items()}
    return LikelihoodReport(per_example, images.image_shape, samples, importance_samples, prior_samples)


@dataclass(frozen=True)
class _Counted:
    """A model that reports its draws as it makes them."""

    model: LatentVariableModel
    advance: Callable[[int], None]

    def log_weights(self, images: Images, samples: int, *, seeds: Seeds, first: int = 0) -> Float[Tensor, "samples n"]:
        values = self.model.log_weights(images, samples, seeds=seeds, first=first)
        self.advance(values.numel())
        return values

    def log_likelihoods(
        self, images: Images, samples: int, *, seeds: Seeds, first: int = 0
    ) -> Float[Tensor, "samples n"]:
        values = self.model.log_likelihoods(images, samples, seeds=seeds, first=first)
        self.advance(values.numel())
        return values
