"""The linear-Gaussian model, whose log p(x), posterior and bounds are known exactly.

z ~ N(0, I_D), x = W z + μ + noise, noise ~ N(0, diag(ψ)): then x ~ N(μ, W Wᵀ + diag(ψ)) and z given x is Gaussian too.
Probabilistic PCA and factor analysis are two ways to fit it (``epslab.generative.pca``).
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from epslab.errors import UserError
from epslab.generative.elbo import ElboTerms
from epslab.probability.densities import log_standard_normal
from epslab.seeds import fork, noise
from epslab.types import Latents, PerExample, Seeds

UNFITTED = (0,)
"""The image shape of a model that is not fitted."""
_LOG_2PI = math.log(2.0 * math.pi)


class Gaussian(NamedTuple):
    """A Gaussian over codes for each image, one covariance for all of them."""

    mean: Latents
    covariance: Float[Tensor, "d d"]


class LinearGaussian(nn.Module):
    """x = W z + μ + noise with z ~ N(0, I) and independent noise of variance ψ for each pixel (Bishop 2006, 12.2).

    Every density is exact, by the Woodbury identity and the determinant lemma: with M = I + Wᵀ Ψ⁻¹ W, a matrix of the
    latent dimension only,

        log|C| = log|M| + Σ log ψ,    z | x ~ N(m, M⁻¹),    m = M⁻¹ Wᵀ Ψ⁻¹ (x − μ).

    Images have any shape [n, *image_shape], in the dtype of the parameters; values are neither clipped nor rescaled, so
    samples can leave [0, 1].

    Args:
        weight: W [d D], d pixels and D latents.
        mean: μ [d].
        variance: ψ, positive: one for each pixel [d], or one for all.
        image_shape: The shape of one image, of d entries; (d,) if None.

    Raises:
        UserError: The shapes do not fit together, or a variance is not positive.

    >>> model = LinearGaussian(torch.tensor([[2.0], [1.0]]), torch.zeros(2), 0.5)
    >>> x = model.sample(3)
    >>> bool(torch.allclose(model.elbo(x), model.log_prob(x)))
    True
    """

    weight: Float[Tensor, "pixels latents"]
    mean: Float[Tensor, " pixels"]
    variance: Float[Tensor, " pixels"]

    def __init__(
        self,
        weight: Float[Tensor, "pixels latents"],
        mean: Float[Tensor, " a"],
        variance: Float[Tensor, " b"] | float,
        image_shape: tuple[int, ...] | None = None,
    ) -> None:
        super().__init__()
        variance = torch.full_like(mean, variance) if isinstance(variance, float) else variance
        shape = (len(weight),) if image_shape is None else tuple(image_shape)
        if not len(mean) == len(variance) == math.prod(shape) == len(weight):
            raise UserError(
                f"weight {list(weight.shape)}, mean {list(mean.shape)}, variance {list(variance.shape)} and image_shape"
                f" {shape} speak of different numbers of pixels: all must have as many as weight has rows."
            )
        if not bool((variance > 0).all()):
            raise UserError(
                f"The noise variance must be positive for every pixel; the least given is {variance.min()}."
            )
        self.image_shape = shape
        self.register_buffer("weight", weight.detach().clone())
        self.register_buffer("mean", mean.detach().clone())
        self.register_buffer("variance", variance.detach().clone())

    @property
    def latent_dim(self) -> int:
        """D, the number of latents."""
        return self.weight.shape[1]

    def sample(self, n: int, generator: Generator | None = None) -> Float[Tensor, "n *shape"]:
        """Draw x n times: z from the prior, its mean, and the pixels' noise."""
        like = self.mean
        z = torch.randn(n, self.latent_dim, generator=generator, dtype=like.dtype, device=like.device)
        eps = torch.randn(n, len(like), generator=generator, dtype=like.dtype, device=like.device)
        return self.decode(z) + unflatten(eps * self.variance.sqrt(), self.image_shape)

    def decode(self, z: Latents) -> Float[Tensor, "n *shape"]:
        """The mean image E[x given z] = W z + μ."""
        return unflatten(z @ self.weight.T + self.mean, self.image_shape)

    def posterior(self, images: Float[Tensor, "n *shape"]) -> Gaussian:
        """The exact p(z given x): means [n D], and the covariance M⁻¹ [D D], the same for every image."""
        cholesky = self._cholesky()
        b = self._residual(images) / self.variance @ self.weight
        return Gaussian(torch.cholesky_solve(b.T, cholesky).T, torch.cholesky_inverse(cholesky))

    def encode(self, images: Float[Tensor, "n *shape"]) -> tuple[Latents, Latents]:
        """The posterior's means and the logarithms of its marginal standard deviations, both [n D].

        After ``fit`` of probabilistic PCA or factor analysis the posterior covariance is diagonal: this is all of it.
        """
        mean, covariance = self.posterior(images)
        return mean, (0.5 * covariance.diagonal().log()).expand_as(mean)

    def reconstruct(self, images: Float[Tensor, "n *shape"]) -> Float[Tensor, "n *shape"]:
        """E[x' given z] at the posterior mean of z: shrunk towards μ, where PCA projects."""
        return self.decode(self.posterior(images).mean)

    def log_prob(self, images: Float[Tensor, "n *shape"]) -> PerExample:
        """Log p(x), exact, in nats, [n]."""
        residual = self._residual(images)
        cholesky = self._cholesky()
        m = torch.cholesky_solve((residual / self.variance @ self.weight).T, cholesky).T
        # rᵀ C⁻¹ r as the least ‖r − W z‖²_Ψ + ‖z‖²: a sum of squares, where the usual difference cancels as ψ → 0.
        distance = ((residual - m @ self.weight.T) ** 2 / self.variance).sum(1) + (m**2).sum(1)
        log_determinant = 2.0 * cholesky.diagonal().log().sum() + self.variance.log().sum()
        return -0.5 * (distance + log_determinant + len(self.mean) * _LOG_2PI)

    def elbo(self, images: Float[Tensor, "n *shape"], proposal: Gaussian | None = None) -> PerExample:
        """The evidence lower bound log p(x) − KL(q‖p(z given x)) of a Gaussian q, exact, in nats, [n].

        Args:
            images: Images x.
            proposal: q(z given x); the exact posterior, whose bound is log p(x), if None.
        """
        log_p = self.log_prob(images)
        if proposal is None:
            return log_p
        posterior = self.posterior(images)
        cholesky = self._cholesky()
        precision = cholesky @ cholesky.T
        gap = proposal.mean - posterior.mean
        divergence = (
            (precision * proposal.covariance).sum()
            + (gap @ cholesky).square().sum(1)
            - self.latent_dim
            - torch.logdet(precision)
            - torch.logdet(proposal.covariance)
        )
        return log_p - 0.5 * divergence

    def terms(
        self,
        images: Float[Tensor, "n *shape"],
        samples: int = 1,
        generator: Generator | None = None,
        seeds: Seeds | None = None,
    ) -> ElboTerms:
        """The two terms of the negative ELBO with the exact posterior for q, both in closed form, in nats, [n].

            −E_q log p(x|z) = −log p(x|m) + ½ tr(Wᵀ Ψ⁻¹ W M⁻¹),    KL = ½ (tr M⁻¹ + ‖m‖² − D + log|M|)

        Their sum is −log p(x). Nothing is drawn: ``samples``, ``generator`` and ``seeds`` change nothing.
        """
        mean, covariance = self.posterior(images)
        scatter = self.weight.T @ (self.weight / self.variance[:, None])
        reconstruction = 0.5 * (scatter * covariance).sum() - self._log_likelihood(images, mean[None])[0]
        kl = 0.5 * (covariance.trace() - self.latent_dim - torch.logdet(covariance) + mean.square().sum(1))
        return ElboTerms(reconstruction, kl)

    def log_weights(
        self,
        images: Float[Tensor, "n *shape"],
        samples: int,
        *,
        seeds: Seeds,
        first: int = 0,
        proposal: Gaussian | None = None,
    ) -> Float[Tensor, "samples n"]:
        """Log p(x, z_k) − log q(z_k given x) for draws first..first+samples−1 from q, in nats.

        Args:
            images: Images x.
            samples: Number of draws for each image.
            seeds: One seed per image: draw k is a function of the seed and k.
            first: Number of the first draw.
            proposal: q(z given x); the exact posterior, for which every weight equals log p(x), if None.
        """
        mean, covariance = self.posterior(images) if proposal is None else proposal
        cholesky = torch.linalg.cholesky(covariance)
        eps = self._draws(samples, seeds, first)
        z = mean + eps @ cholesky.T
        log_q: Tensor = log_standard_normal(eps) - cholesky.diagonal().log().sum()
        log_joint: Tensor = self._log_likelihood(images, z) + log_standard_normal(z)
        return log_joint - log_q

    def log_likelihoods(
        self, images: Float[Tensor, "n *shape"], samples: int, *, seeds: Seeds, first: int = 0
    ) -> Float[Tensor, "samples n"]:
        """Log p(x given z_l) for draws first..first+samples−1 of z from the prior, in nats; arguments as above."""
        return self._log_likelihood(images, self._draws(samples, fork(seeds, "prior"), first))

    def _keep(
        self,
        images: Float[Tensor, "n *shape"],
        weight: Float[Tensor, "pixels latents"],
        mean: Float[Tensor, " pixels"],
        variance: Float[Tensor, " pixels"],
    ) -> None:
        """Take parameters fitted to these images, in the images' dtype."""
        self.image_shape = tuple(images.shape[1:])
        self.weight, self.mean, self.variance = (
            part.to(images.dtype).clone(memory_format=torch.contiguous_format) for part in (weight, mean, variance)
        )

    def _draws(self, samples: int, seeds: Seeds, first: int) -> Float[Tensor, "samples n d"]:
        """Standard normal codes; draw k uses counter k."""
        counters = range(first, first + samples)
        return torch.stack([noise(seeds, k, (self.latent_dim,), self.mean.dtype) for k in counters])

    def _log_likelihood(
        self, images: Float[Tensor, "n *shape"], z: Float[Tensor, "samples n d"]
    ) -> Float[Tensor, "samples n"]:
        """Log p(x given z), summed over pixels."""
        residual = self._residual(images) - z @ self.weight.T
        return -0.5 * ((residual**2 / self.variance).sum(-1) + (self.variance.log() + _LOG_2PI).sum())

    def _cholesky(self) -> Float[Tensor, "d d"]:
        """The Cholesky factor of the posterior's precision M = I + Wᵀ Ψ⁻¹ W."""
        identity = torch.eye(self.latent_dim, dtype=self.weight.dtype, device=self.weight.device)
        factor: Tensor = torch.linalg.cholesky(identity + self.weight.T @ (self.weight / self.variance[:, None]))
        return factor

    def _residual(self, images: Float[Tensor, "n *shape"]) -> Float[Tensor, "n pixels"]:
        """The images minus μ, flattened.

        Raises:
            UserError: The images are not of the model's shape.
        """
        return flatten(images, self.image_shape) - self.mean


def flatten(images: Float[Tensor, "n *shape"], image_shape: tuple[int, ...]) -> Float[Tensor, "n pixels"]:
    """Images as rows.

    Raises:
        UserError: An image is not of ``image_shape``, or there is no shape because the model is not fitted.
    """
    _require_fitted(image_shape)
    if tuple(images.shape[1:]) != image_shape:
        raise UserError(f"The images have shape {tuple(images.shape[1:])}, but the model is one of {image_shape}.")
    return images.flatten(1)


def unflatten(rows: Float[Tensor, "n pixels"], image_shape: tuple[int, ...]) -> Float[Tensor, "n *shape"]:
    """Rows as images.

    Raises:
        UserError: There is no shape because the model is not fitted.
    """
    _require_fitted(image_shape)
    return rows.reshape(len(rows), *image_shape)


def _require_fitted(image_shape: tuple[int, ...]) -> None:
    """Refuse a model that knows no images yet."""
    if image_shape == UNFITTED:
        raise UserError("The model is not fitted yet: call .fit(images) first.")
