"""From a VAE's settings to its parts: images as the likelihood wants them, the model, the objective."""

from torch import nn

from epslab import seeds
from epslab.data import ImageSet, bernoulli_draw
from epslab.data import binarise as binarise_set
from epslab.generative.priors import MixturePrior, Prior, VampPrior
from epslab.generative.vae import VAE
from epslab.generative.vae_objective import VAEObjective
from epslab.nets import ConvDecoder, ConvEncoder, PerceptronDecoder, PerceptronEncoder
from epslab.probability.likelihoods import Bernoulli, Categorical, DiscretisedLogisticMixture, Normal
from epslab.recipes.vae import VAERecipe
from epslab.types import ImageShape, Likelihood


def build(recipe: VAERecipe, image_shape: ImageShape, seed: int) -> VAE:
    """The untrained model for images of this shape; the same seed gives the same weights."""
    likelihood = _likelihood(recipe)
    channels = likelihood.channels(image_shape[0])
    with seeds.seeded(seed, "weights"):
        encoder: nn.Module
        decoder: nn.Module
        if recipe.net_for(image_shape) == "conv":
            encoder = ConvEncoder(image_shape, recipe.latent_dim, recipe.width)
            decoder = ConvDecoder(image_shape, recipe.latent_dim, recipe.width, channels)
        else:
            encoder = PerceptronEncoder(image_shape, recipe.latent_dim, recipe.hidden, recipe.positive)
            decoder = PerceptronDecoder(image_shape, recipe.latent_dim, recipe.hidden[::-1], channels)
        prior: Prior | None = None
        if recipe.prior == "mixture":
            prior = MixturePrior(recipe.components, recipe.latent_dim)
        elif recipe.prior == "vamp":
            prior = VampPrior(encoder, recipe.components, image_shape)
    return VAE(encoder, decoder, likelihood, prior, recipe.beta, recipe.latent_dim)


def objective(recipe: VAERecipe, vae: VAE) -> VAEObjective:
    """What is minimised; dynamic binarisation draws here, with noise of the example and the epoch."""
    prepare = bernoulli_draw if recipe.binarise == "dynamic" else None
    return VAEObjective(vae, recipe.samples, recipe.free_bits, recipe.warmup_epochs, prepare)


def binary(recipe: VAERecipe, images: ImageSet, seed: int, *, measuring: bool) -> ImageSet:
    """The images as the likelihood wants them.

    Dynamic binarisation leaves training images grey (the objective draws) and gives the measured ones one seeded draw.
    """
    if recipe.binarise == "none" or (recipe.binarise == "dynamic" and not measuring):
        return images
    return binarise_set(images, "threshold" if recipe.binarise == "threshold" else "static", seed)


def _likelihood(recipe: VAERecipe) -> Likelihood:
    if recipe.likelihood == "categorical":
        return Categorical(recipe.levels)
    if recipe.likelihood == "bernoulli":
        return Bernoulli()
    if recipe.likelihood == "normal":
        return Normal(recipe.std)
    return DiscretisedLogisticMixture(mixtures=recipe.mixtures)
