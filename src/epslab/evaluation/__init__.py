"""Measure a trained model: likelihood bounds, bits/dim, latent space."""

from epslab.evaluation.estimate import Estimate
from epslab.evaluation.latents import LatentReport, evaluate_latents
from epslab.evaluation.likelihood import LikelihoodReport, evaluate_likelihood

__all__ = ["Estimate", "LatentReport", "LikelihoodReport", "evaluate_latents", "evaluate_likelihood"]
