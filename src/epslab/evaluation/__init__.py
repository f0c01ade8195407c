"""Measure a trained model: likelihood bounds, bits/dim, latent space, robustness."""

from epslab.evaluation.disentanglement import DisentanglementReport, evaluate_disentanglement
from epslab.evaluation.estimate import Estimate
from epslab.evaluation.estimators import Elbo, Estimator, Exact, ImportanceWeighted, PriorMonteCarlo
from epslab.evaluation.findings import Finding
from epslab.evaluation.latents import LatentReport, evaluate_latents
from epslab.evaluation.likelihood import LikelihoodReport, evaluate_likelihood
from epslab.evaluation.modes import ModesReport, evaluate_modes
from epslab.evaluation.radius_sweep import RadiusSweep, SweepResult
from epslab.evaluation.robustness import evaluate_robustness
from epslab.evaluation.robustness_report import RobustnessReport
from epslab.evaluation.robustness_result import AttackResult

__all__ = [
    "AttackResult",
    "DisentanglementReport",
    "Elbo",
    "Estimate",
    "Estimator",
    "Exact",
    "Finding",
    "ImportanceWeighted",
    "LatentReport",
    "LikelihoodReport",
    "ModesReport",
    "PriorMonteCarlo",
    "RadiusSweep",
    "RobustnessReport",
    "SweepResult",
    "evaluate_disentanglement",
    "evaluate_latents",
    "evaluate_likelihood",
    "evaluate_modes",
    "evaluate_robustness",
]
