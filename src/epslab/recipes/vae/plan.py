"""From a VAE's settings to its plan: the images as the likelihood wants them, the model, what it minimises."""

from functools import partial
from typing import Any, cast

from torch import nn

from epslab import seeds
from epslab.data import Examples, bernoulli_draw
from epslab.data import binarise as binarise_set
from epslab.generative.flows.posterior import FlowPosterior
from epslab.generative.flows.prior import FlowPrior
from epslab.generative.posteriors import Posterior
from epslab.generative.priors import MixturePrior, Prior, VampPrior
from epslab.generative.vae import VAE
from epslab.generative.vae_objective import VAEObjective
from epslab.nets import ConvDecoder, ConvEncoder, PerceptronDecoder, PerceptronEncoder
from epslab.nets.initialisation import he_normal
from epslab.probability.likelihoods import Bernoulli, Categorical, DiscretisedLogisticMixture, Normal
from epslab.recipes.plan import Plan, draw_samples
from epslab.recipes.vae.measure import measure
from epslab.recipes.vae.settings import VAERecipe
from epslab.runs import Run
from epslab.types import ImageShape, Likelihood


def plan(settings: VAERecipe, images: Examples, seed: int) -> Plan:
    """The VAE for examples of this shape, its negative ELBO as the settings weigh it, samples at the chosen epochs."""
    vae = build(settings, images.shape, seed)

    def look(vae: VAE, epoch: int, run: Run) -> None:
        if epoch in settings.sample_epochs or epoch == settings.epochs:
            draw_samples(vae.sample, run, epoch, seed)

    # Dynamic binarisation draws in the objective, with noise of the example and the epoch.
    draw = bernoulli_draw if settings.binarise == "dynamic" else None
    return Plan(
        vae,
        VAEObjective(vae, settings.samples, settings.free_bits, settings.warmup_epochs, draw),
        # The bound itself where it is what is minimised, else the weighted loss.
        monitor="val/bits_per_dim" if settings.beta == 1 else "val/loss",
        prepare=partial(binary, settings, seed),
        look=look,
        measure=measure,
    )


def build(settings: VAERecipe, shape: tuple[int, ...], seed: int) -> VAE:
    """The untrained model for images or points of this shape; the same seed gives the same weights.

    Raises:
        UserError: The settings are not for examples of this shape.
    """
    net, likelihood = settings.net_for(shape), _likelihood(settings)
    channels = likelihood.channels(shape[0])
    with seeds.seeded(seed, "weights"):
        encoder: nn.Module
        decoder: nn.Module
        image_shape = cast(ImageShape, shape)
        if net == "conv":
            encoder = ConvEncoder(image_shape, settings.latent_dim, settings.width)
            decoder = ConvDecoder(image_shape, settings.latent_dim, settings.width, channels)
        else:
            encoder = PerceptronEncoder(shape, settings.latent_dim, settings.hidden, settings.positive)
            decoder = PerceptronDecoder(shape, settings.latent_dim, settings.hidden[::-1], channels)
        if settings.init == "he":
            he_normal(encoder)
            he_normal(decoder)
        prior: Prior | None = None
        if settings.prior == "mixture":
            prior = MixturePrior(settings.components, settings.latent_dim)
        elif settings.prior == "vamp":
            prior = VampPrior(encoder, settings.components, image_shape)
        elif settings.prior == "flow":
            prior = FlowPrior(settings.latent_dim)
        posterior: Posterior | None = None
        if settings.posterior != "normal":
            posterior = FlowPosterior(settings.latent_dim, settings.posterior, settings.posterior_steps)
    return VAE(encoder, decoder, likelihood, prior, settings.beta, settings.latent_dim, posterior)


def binary(settings: VAERecipe, seed: int, images: Any, measuring: bool) -> Any:
    """The images as the likelihood wants them; points as they are.

    Dynamic binarisation leaves training images grey (the objective draws) and gives the measured ones one seeded draw.
    """
    if settings.binarise == "none" or (settings.binarise == "dynamic" and not measuring):
        return images
    return binarise_set(images, "threshold" if settings.binarise == "threshold" else "static", seed)


def _likelihood(settings: VAERecipe) -> Likelihood:
    if settings.likelihood == "categorical":
        return Categorical(settings.levels)
    if settings.likelihood == "bernoulli":
        return Bernoulli()
    if settings.likelihood == "normal":
        return Normal(settings.std)
    return DiscretisedLogisticMixture(mixtures=settings.mixtures)
