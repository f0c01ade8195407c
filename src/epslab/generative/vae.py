"""The variational autoencoder: z ~ p(z), x ~ p(x given f_theta(z)), with q_phi(z given x) for the posterior.

Kingma & Welling (2014): the bound of eq. 3, estimated with the reparameterisation of eq. 10.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from epslab.errors import UserError
from epslab.generative.elbo import ElboTerms
from epslab.generative.posteriors import NormalPosterior, Posterior
from epslab.generative.priors import Mixture, Prior, StandardNormal
from epslab.nets.modes import evaluating
from epslab.probability.densities import wide
from epslab.probability.divergences import kl_monte_carlo
from epslab.seeds import draw, fork, noise, uniform
from epslab.types import Images, Latents, Likelihood, Observations, Seeds


def reparameterise(
    mean: Float[Tensor, "*shape"], std: Float[Tensor, "*shape"], generator: Generator | None = None
) -> Float[Tensor, "*shape"]:
    """Z = mu + sigma·eps with eps ~ N(0, I): a draw through which gradients reach mu and sigma.

    Kingma & Welling (2014), eq. 10 and section 2.4.
    """
    source = mean.device if generator is None else generator.device
    eps = torch.randn(mean.shape, generator=generator, dtype=mean.dtype, device=source)
    return mean + std * eps.to(mean.device)


class VAE(nn.Module):
    """A variational autoencoder with any networks, likelihood and prior.

    Args:
        encoder: Images or points to (mean, log standard deviation) of q(z given x), [n D] each.
        decoder: Latents [n D] to the likelihood's parameters, [n p h w], or [n d] for points.
        likelihood: What those parameters mean (``epslab.probability.likelihoods``).
        prior: p(z); N(0, I) if None.
        beta: Weight of the KL term in the training objective (Higgins et al., 2017); reported bounds have beta = 1.
        latent_dim: D. If None, it is known once images have been encoded; to sample before that, give it.
        posterior: The family of q(z given x); a diagonal normal if None (``epslab.generative.flows.posterior``).

    Raises:
        UserError: beta is negative, or latent_dim is below 1; when encoding, the encoder gives another number of latent
            dimensions.

    >>> from epslab.nets import PerceptronDecoder, PerceptronEncoder
    >>> from epslab.probability.likelihoods import Bernoulli
    >>> shape = (1, 8, 8)
    >>> vae = VAE(PerceptronEncoder(shape, 2), PerceptronDecoder(shape, 2), Bernoulli(), latent_dim=2)
    >>> vae.terms(torch.rand(5, *shape)).negative_elbo.shape, vae.sample(3).shape
    (torch.Size([5]), torch.Size([3, 1, 8, 8]))
    """

    def __init__(
        self,
        encoder: Callable[[Tensor], tuple[Tensor, Tensor]],
        decoder: Callable[[Tensor], Tensor],
        likelihood: Likelihood,
        prior: Prior | None = None,
        beta: float = 1.0,
        latent_dim: int | None = None,
        posterior: Posterior | None = None,
    ) -> None:
        super().__init__()
        if not beta >= 0:
            raise UserError(f"beta weighs the KL term and must be 0 or more, not {beta}.")
        if latent_dim is not None and latent_dim < 1:
            raise UserError(f"latent_dim is {latent_dim}, but a code needs at least 1 dimension.")
        self.encoder = encoder
        self.decoder = decoder
        self.likelihood = likelihood
        self.prior: Prior = StandardNormal() if prior is None else prior
        self.beta = beta
        self._latent_dim = latent_dim
        self.posterior: Posterior = NormalPosterior() if posterior is None else posterior

    @property
    def latent_dim(self) -> int:
        """D, as given or as found when images were first encoded.

        Raises:
            UserError: It was not given, and no images have been encoded yet.
        """
        if self._latent_dim is None:
            raise UserError(
                "The number of latent dimensions is not known yet: encode some images first, or build the VAE with"
                " latent_dim=…"
            )
        return self._latent_dim

    def encode(self, images: Observations) -> tuple[Latents, Latents]:
        """Mean and log standard deviation of q(z given x), [n D] each; of a flow's, before the flow."""
        mean, log_std = self.encoder(images)
        if self._latent_dim is None:
            self._latent_dim = mean.shape[1]
        if mean.shape[1] != self._latent_dim:
            raise UserError(
                f"The encoder gives {mean.shape[1]} latent dimensions, but the VAE has {self._latent_dim}: build both"
                " with the same latent_dim."
            )
        return mean, log_std

    def decode(self, z: Latents) -> Float[Tensor, "n *parameters"]:
        """The parameters of p(x given z)."""
        return self.decoder(z)

    def reconstruct(self, images: Observations) -> Observations:
        """E[x given z] at the posterior's mean (of a flow's, at what the flow makes of the mean before it)."""
        return self.likelihood.mean(self.decode(self.posterior.centre(*self.encode(images))))

    def sample(self, n: int, generator: Generator | None = None) -> Observations:
        """Images drawn from the model in three steps: z, parameters, **pixels** (a mean is not a sample)."""
        with torch.no_grad(), evaluating(self):
            own = draw(n, generator, self._like.device)
            return self.likelihood.sample(self.decode(self._latents(own)), seeds=fork(own, "pixels"))

    def sample_means(self, n: int, generator: Generator | None = None) -> Observations:
        """E[x given z] at draws of z; smoother than samples."""
        with torch.no_grad(), evaluating(self):
            return self.likelihood.mean(self.decode(self.sample_latents(n, generator)))

    def sample_latents(self, n: int, generator: Generator | None = None) -> Latents:
        """Draws of z from the prior, [n D]."""
        return self._latents(draw(n, generator, self._like.device))

    def terms(
        self, images: Observations, samples: int = 1, generator: Generator | None = None, seeds: Seeds | None = None
    ) -> ElboTerms:
        """The two terms of the negative ELBO, averaged over draws of z.

        The KL is the closed form if the prior has one, and otherwise the mean of log q − log p over the draws.

        Args:
            images: [n c h w], or points [n d].
            samples: Draws of z per image, ≥ 1.
            generator: Draws the examples' seeds if ``seeds`` is None.
            seeds: One seed per example; draw k is a function of the example's seed and k alone.

        Raises:
            UserError: samples < 1.
        """
        if samples < 1:
            raise UserError(f"An ELBO needs at least 1 sample of z per image, not {samples}.")
        if seeds is None:
            seeds = draw(len(images), generator, images.device)
        return self.terms_at(*self.encode(images), images, samples, seeds)

    def terms_at(self, mean: Latents, log_std: Latents, images: Observations, samples: int, seeds: Seeds) -> ElboTerms:
        """The two terms for a posterior that is already encoded."""
        z, log_q = self.posterior.draw(mean, log_std, samples, seeds)
        reconstruction = -self._log_likelihood(z, images).mean(0)
        prior = _fixed(self.prior)
        kl = prior.kl_per_dimension(mean, log_std) if self.posterior.normal else None
        if kl is None:
            return ElboTerms(reconstruction, kl_monte_carlo(log_q, prior.log_prob(z)))
        return ElboTerms(reconstruction, kl.sum(1))

    def kl_per_dimension(self, images: Observations) -> Float[Tensor, "n d"]:
        """KL(q(z_d given x) ‖ p(z_d)) in nats.

        Raises:
            UserError: The prior has no closed form, so its dimensions cannot be told apart.
        """
        return self.kl_per_dimension_at(*self.encode(images))

    def kl_per_dimension_at(self, mean: Latents, log_std: Latents) -> Float[Tensor, "n d"]:
        """The same for a posterior already encoded."""
        kl = self.prior.kl_per_dimension(mean, log_std) if self.posterior.normal else None
        if kl is None:
            law = f"to a {type(self.prior).__name__}" if self.posterior.normal else "of a posterior flow"
            raise UserError(f"The KL divergence {law} does not split into dimensions.")
        return kl

    def at(self, images: Observations) -> "VAEDraws":
        """The log-densities at these images; the encoder is called once for all draws."""
        return VAEDraws(self, images)

    def log_weights(
        self, images: Observations, samples: int, *, seeds: Seeds, first: int = 0
    ) -> Float[Tensor, "samples n"]:
        """Log p(x, z_k) − log q(z_k given x), z_k from q, for draws first..first+samples−1 (Burda et al., 2016)."""
        return self.at(images).log_weights(samples, seeds=seeds, first=first)

    def log_likelihoods(
        self, images: Observations, samples: int, *, seeds: Seeds, first: int = 0
    ) -> Float[Tensor, "samples n"]:
        """Log p(x given z_l), z_l from the prior, for draws first..first+samples−1."""
        return self.at(images).log_likelihoods(samples, seeds=seeds, first=first)

    @property
    def _like(self) -> Tensor:
        """A weight: on the device and in the type of all."""
        return next(self.parameters(), torch.empty(()))

    def _latents(self, seeds: Seeds) -> Latents:
        return self._from_prior(self.prior, seeds, 0, wide(self._like).dtype).to(self._like.dtype)

    def _from_prior(self, prior: Prior, seeds: Seeds, counter: int, dtype: torch.dtype) -> Latents:
        """One draw of z for each seed."""
        eps = noise(seeds, counter, (self.latent_dim,), dtype)
        return prior.place(uniform(seeds, counter, (), dtype), eps)

    def _log_likelihood(self, z: Float[Tensor, "samples n d"], images: Observations) -> Float[Tensor, "samples n"]:
        """Log p(x given z) for every draw of z, through the decoder in one batch."""
        repeated = images if len(z) == 1 else images.repeat(len(z), *[1] * (images.ndim - 1))
        return self.likelihood.log_prob(self.decode(z.flatten(0, 1).to(images.dtype)), repeated).view(z.shape[:2])


@dataclass(frozen=True, eq=False)
class VAEDraws:
    """A VAE's log-densities at one batch of images: the posterior and the prior's components are computed once.

    Args:
        vae: The model.
        images: [n c h w], or points [n d].
    """

    vae: VAE
    images: Observations

    @cached_property
    def posterior(self) -> tuple[Latents, Latents]:
        """Mean and log standard deviation of q(z given x)."""
        return self.vae.encode(self.images)

    @cached_property
    def prior(self) -> Prior:
        """The prior, with its components computed."""
        return _fixed(self.vae.prior)

    def log_weights(self, samples: int, *, seeds: Seeds, first: int = 0) -> Float[Tensor, "samples n"]:
        """Log p(x, z_k) − log q(z_k given x), z_k from q, for draws first..first+samples−1."""
        z, log_q = self.vae.posterior.draw(*self.posterior, samples, seeds, first)
        return self.vae._log_likelihood(z, self.images) + self.prior.log_prob(z) - log_q

    def log_likelihoods(self, samples: int, *, seeds: Seeds, first: int = 0) -> Float[Tensor, "samples n"]:
        """Log p(x given z_l), z_l from the prior, for draws first..first+samples−1."""
        if self.vae._latent_dim is None:
            _ = self.posterior  # encoding tells the number of latent dimensions
        own, dtype = fork(seeds, "prior"), wide(self.images).dtype
        z = [self.vae._from_prior(self.prior, own, first + sample, dtype) for sample in range(samples)]
        return self.vae._log_likelihood(torch.stack(z), self.images)


def _fixed(prior: Prior) -> Prior:
    return prior.fixed() if isinstance(prior, Mixture) else prior


def manifold(vae: VAE, grid_size: int = 20) -> Images:
    """Means of p(x given z) on the grid of normal quantiles (i + ½)/n, for two latent dimensions.

    Args:
        vae: A model with a standard normal prior over two dimensions.
        grid_size: n, the images along each side.

    Returns:
        [n² c h w], row by row: z_1 grows along a row, z_2 from row to row.

    >>> from epslab.nets import PerceptronDecoder, PerceptronEncoder
    >>> from epslab.probability.likelihoods import Bernoulli
    >>> vae = VAE(PerceptronEncoder((1, 8, 8), 2), PerceptronDecoder((1, 8, 8), 2), Bernoulli(), latent_dim=2)
    >>> manifold(vae, grid_size=5).shape
    torch.Size([25, 1, 8, 8])

    Raises:
        UserError: The model has another number of latent dimensions.
    """
    if vae.latent_dim != 2:
        raise UserError(f"A manifold is drawn over 2 latent dimensions; this model has {vae.latent_dim}.")
    like = next(vae.parameters(), torch.empty(()))
    steps = torch.arange(grid_size, dtype=torch.float64).add_(0.5).div_(grid_size)
    quantiles = torch.special.ndtri(steps).to(like)
    z_2, z_1 = torch.meshgrid(quantiles, quantiles, indexing="ij")
    with torch.no_grad(), evaluating(vae):
        return vae.likelihood.mean(vae.decode(torch.stack([z_1.flatten(), z_2.flatten()], dim=1)))
