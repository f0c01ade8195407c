"""The variational autoencoder: z ~ p(z), x ~ p(x given f_theta(z)), with q_phi(z given x) for the posterior.

Kingma & Welling (2014): the bound of eq. 3, estimated with the reparameterisation of eq. 10.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from epslab import seeds as noise_seeds
from epslab.errors import UserError
from epslab.generative.priors import Prior, StandardNormal
from epslab.nets.modes import evaluating
from epslab.probability.densities import log_normal
from epslab.types import Images, Latents, Likelihood, PerExample, Seeds


class ElboTerms(NamedTuple):
    """The two terms of the negative ELBO, per example, in nats: both depend on q."""

    reconstruction: PerExample  #: −E_q log p(x given z)
    regularisation: PerExample  #: KL(q(z given x) ‖ p(z)), without beta

    @property
    def negative_elbo(self) -> PerExample:
        """−ELBO = reconstruction + KL ≥ −log p(x) in expectation."""
        return self.reconstruction + self.regularisation


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
        encoder: Images to (mean, log standard deviation) of q(z given x), [n D] each.
        decoder: Latents [n D] to the likelihood's parameters, [n p h w].
        likelihood: What those parameters mean (``epslab.probability.likelihoods``).
        prior: p(z); N(0, I) if None.
        beta: Weight of the KL term in the training objective (Higgins et al., 2017); reported bounds have beta = 1.

    Raises:
        UserError: beta is negative.
    """

    def __init__(
        self,
        encoder: Callable[[Tensor], tuple[Tensor, Tensor]],
        decoder: Callable[[Tensor], Tensor],
        likelihood: Likelihood,
        prior: Prior | None = None,
        beta: float = 1.0,
    ) -> None:
        super().__init__()
        if not beta >= 0:
            raise UserError(f"beta weighs the KL term and must be 0 or more, not {beta}.")
        self.encoder = encoder
        self.decoder = decoder
        self.likelihood = likelihood
        self.prior: Prior = StandardNormal() if prior is None else prior
        self.beta = beta
        self._latent_dim: int | None = None

    @property
    def latent_dim(self) -> int:
        """D, as last seen in use; before that, the input width of the decoder's first linear layer."""
        if self._latent_dim is None and isinstance(self.decoder, nn.Module):
            linear = next((layer for layer in self.decoder.modules() if isinstance(layer, nn.Linear)), None)
            self._latent_dim = None if linear is None else linear.in_features
        if self._latent_dim is None:
            raise UserError("The number of latent dimensions is not known yet: encode some images first.")
        return self._latent_dim

    def encode(self, images: Images) -> tuple[Latents, Latents]:
        """Mean and log standard deviation of q(z given x), [n D] each."""
        mean, log_std = self.encoder(images)
        self._latent_dim = mean.shape[1]
        return mean, log_std

    def decode(self, z: Latents) -> Float[Tensor, "n p h w"]:
        """The parameters of p(x given z)."""
        return self.decoder(z)

    def reconstruct(self, images: Images) -> Images:
        """E[x given z] at the posterior's mean: what the code keeps of each image."""
        return self.likelihood.mean(self.decode(self.encode(images)[0]))

    def sample(self, n: int, generator: Generator | None = None) -> Images:
        """Images drawn from the model in its three steps: z, parameters, **pixels** (a mean is not a sample)."""
        with torch.no_grad(), evaluating(self):
            return self.likelihood.sample(self.decode(self.sample_latents(n, generator)), generator)

    def sample_means(self, n: int, generator: Generator | None = None) -> Images:
        """E[x given z] at draws of z: smoother than what the model says images look like."""
        with torch.no_grad(), evaluating(self):
            return self.likelihood.mean(self.decode(self.sample_latents(n, generator)))

    def sample_latents(self, n: int, generator: Generator | None = None) -> Latents:
        """Draws of z from the prior, [n D]."""
        like = next(self.parameters(), torch.empty(()))
        example_seeds = noise_seeds.draw(n, generator, like.device)
        return self._from_prior(example_seeds, 0, like.dtype)

    def terms(
        self, images: Images, samples: int = 1, generator: Generator | None = None, seeds: Seeds | None = None
    ) -> ElboTerms:
        """The negative ELBO's two terms, averaged over draws of z; the KL in closed form where the prior has one.

        Args:
            images: [n c h w].
            samples: Draws of z an image, ≥ 1.
            generator: Source of the per-example seeds where ``seeds`` is None.
            seeds: One seed an example; draw k is a function of the example's seed and k alone.

        Raises:
            UserError: samples < 1.
        """
        if samples < 1:
            raise UserError(f"An ELBO needs at least 1 sample of z an image, not {samples}.")
        if seeds is None:
            seeds = noise_seeds.draw(len(images), generator, images.device)
        return self.terms_at(*self.encode(images), images, samples, seeds)

    def terms_at(self, mean: Latents, log_std: Latents, images: Images, samples: int, seeds: Seeds) -> ElboTerms:
        """The two terms for a posterior already encoded: what ``terms`` returns for the encoder's own."""
        z = self._from_posterior(mean, log_std, samples, seeds, 0)
        reconstruction = -self._log_likelihood(z, images).mean(0)
        kl = self.prior.kl_per_dimension(mean, log_std)
        if kl is None:
            return ElboTerms(reconstruction, (log_normal(z, mean, log_std) - self.prior.log_prob(z)).mean(0))
        return ElboTerms(reconstruction, kl.sum(1))

    def kl_per_dimension(self, images: Images) -> Float[Tensor, "n d"]:
        """KL(q(z_d given x) ‖ p(z_d)) in nats.

        Raises:
            UserError: The prior has no closed form, so its dimensions cannot be told apart.
        """
        return self.kl_per_dimension_at(*self.encode(images))

    def kl_per_dimension_at(self, mean: Latents, log_std: Latents) -> Float[Tensor, "n d"]:
        """The same for a posterior already encoded."""
        kl = self.prior.kl_per_dimension(mean, log_std)
        if kl is None:
            raise UserError(f"The KL divergence to a {type(self.prior).__name__} does not split into dimensions.")
        return kl

    def log_weights(self, images: Images, samples: int, *, seeds: Seeds, first: int = 0) -> Float[Tensor, "samples n"]:
        """Log p(x, z_k) − log q(z_k given x), z_k from q, for draws first..first+samples−1 (Burda et al., 2016)."""
        mean, log_std = self.encode(images)
        z = self._from_posterior(mean, log_std, samples, seeds, first)
        return self._log_likelihood(z, images) + self.prior.log_prob(z) - log_normal(z, mean, log_std)

    def log_likelihoods(
        self, images: Images, samples: int, *, seeds: Seeds, first: int = 0
    ) -> Float[Tensor, "samples n"]:
        """Log p(x given z_l), z_l from the prior, for draws first..first+samples−1."""
        example_seeds = noise_seeds.fork(seeds, "prior")
        draws = [self._from_prior(example_seeds, first + sample, images.dtype) for sample in range(samples)]
        return self._log_likelihood(torch.stack(draws), images)

    def _from_posterior(
        self, mean: Latents, log_std: Latents, samples: int, seeds: Seeds, first: int
    ) -> Float[Tensor, "samples n d"]:
        """Draws first..first+samples−1 of z = mu + sigma·eps."""
        shape = (mean.shape[1],)
        eps = [noise_seeds.noise(seeds, first + sample, shape, mean.dtype) for sample in range(samples)]
        return mean + log_std.exp() * torch.stack(eps)

    def _from_prior(self, seeds: Seeds, counter: int, dtype: torch.dtype) -> Latents:
        """One draw of z for each seed."""
        eps = noise_seeds.noise(seeds, counter, (self.latent_dim,), dtype)
        return self.prior.place(noise_seeds.uniform(seeds, counter, (), dtype), eps)

    def _log_likelihood(self, z: Float[Tensor, "samples n d"], images: Images) -> Float[Tensor, "samples n"]:
        """Log p(x given z) for every draw of z, through the decoder in one batch."""
        repeated = images if len(z) == 1 else images.repeat(len(z), 1, 1, 1)
        return self.likelihood.log_prob(self.decode(z.flatten(0, 1)), repeated).view(z.shape[:2])


def manifold(vae: VAE, grid_size: int = 20) -> Images:
    """Means of p(x given z) on the grid of normal quantiles (i + ½)/n, for two latent dimensions.

    Args:
        vae: A model with a standard normal prior over two dimensions.
        grid_size: n, the images along each side.

    Returns:
        [n² c h w], row by row: z_1 grows along a row, z_2 from row to row.

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
