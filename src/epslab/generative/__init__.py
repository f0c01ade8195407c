"""Generative models, one idea per file."""

from epslab.generative.adversarial_autoencoder import AdversarialAutoencoder, DeceivingObjective, JudgeObjective
from epslab.generative.autoencoder import Autoencoder, AutoencoderObjective
from epslab.generative.denoising import DenoisingAutoencoder
from epslab.generative.denoising_objective import DenoisingObjective
from epslab.generative.diffusion import Diffusion, DiffusionObjective
from epslab.generative.elbo import ElboTerms
from epslab.generative.flows.coupling_flow import CouplingFlow
from epslab.generative.flows.objective import FlowObjective
from epslab.generative.flows.posterior import FlowPosterior
from epslab.generative.flows.prior import FlowPrior
from epslab.generative.gan import GAN, WassersteinGAN
from epslab.generative.langevin import annealed_langevin, langevin
from epslab.generative.linear_gaussian import LinearGaussian
from epslab.generative.pca import PCA, FactorAnalysis, ProbabilisticPCA
from epslab.generative.priors import MixturePrior, StandardNormal, VampPrior
from epslab.generative.vae import VAE, manifold, reparameterise
from epslab.generative.vae_objective import VAEObjective
from epslab.generative.wasserstein_autoencoder import MMDObjective, WassersteinAutoencoder

__all__ = [
    "GAN",
    "PCA",
    "VAE",
    "AdversarialAutoencoder",
    "Autoencoder",
    "AutoencoderObjective",
    "CouplingFlow",
    "DeceivingObjective",
    "DenoisingAutoencoder",
    "DenoisingObjective",
    "Diffusion",
    "DiffusionObjective",
    "ElboTerms",
    "FactorAnalysis",
    "FlowObjective",
    "FlowPosterior",
    "FlowPrior",
    "JudgeObjective",
    "LinearGaussian",
    "MMDObjective",
    "MixturePrior",
    "ProbabilisticPCA",
    "StandardNormal",
    "VAEObjective",
    "VampPrior",
    "WassersteinAutoencoder",
    "WassersteinGAN",
    "annealed_langevin",
    "langevin",
    "manifold",
    "reparameterise",
]
