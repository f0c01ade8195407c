"""Samplers of diffusion models as functions of any predictor; one a file.

``ancestral`` and ``ddim`` walk down the times of a ``Schedule`` with a predictor (x_t, t) of the noise, of v or of the
image. ``euler``, ``heun``, ``dpm_solver_2m`` and ``euler_ancestral`` walk down a grid of noise levels sigma with
``denoise(x, sigma)``, the estimate of the clean x; ``denoiser`` makes one of a predictor. None clips or rescales unless
asked to: that is the job of the model around them.
"""

from epslab.generative.samplers.ancestral import ancestral
from epslab.generative.samplers.ddim import ddim
from epslab.generative.samplers.denoiser import Denoise, denoiser
from epslab.generative.samplers.dpm_solver import dpm_solver_2m
from epslab.generative.samplers.euler import euler
from epslab.generative.samplers.euler_ancestral import euler_ancestral
from epslab.generative.samplers.grids import karras, linear_sigmas, linear_times
from epslab.generative.samplers.heun import heun
from epslab.generative.samplers.noise import noise_of
from epslab.generative.samplers.predictions import Predict, Predicts, image_and_noise, target

__all__ = [
    "Denoise",
    "Predict",
    "Predicts",
    "ancestral",
    "ddim",
    "denoiser",
    "dpm_solver_2m",
    "euler",
    "euler_ancestral",
    "heun",
    "image_and_noise",
    "karras",
    "linear_sigmas",
    "linear_times",
    "noise_of",
    "target",
]
