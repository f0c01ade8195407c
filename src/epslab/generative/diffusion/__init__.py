"""Diffusion models: what they are, how they are trained, what their samples cost, and a bound on their likelihood."""

from epslab.generative.diffusion.exact import log_density, log_probability
from epslab.generative.diffusion.flow_matching import flow_denoiser, follow
from epslab.generative.diffusion.flow_objective import FlowMatchingObjective
from epslab.generative.diffusion.inpainting import inpaint
from epslab.generative.diffusion.interpolation import interpolate
from epslab.generative.diffusion.likelihood import OdeLikelihood, flow_log_prob, ode_log_prob
from epslab.generative.diffusion.model import Diffusion
from epslab.generative.diffusion.objective import DiffusionObjective
from epslab.generative.samplers import ancestral, ddim

__all__ = [
    "Diffusion",
    "DiffusionObjective",
    "FlowMatchingObjective",
    "OdeLikelihood",
    "ancestral",
    "ddim",
    "flow_denoiser",
    "flow_log_prob",
    "follow",
    "inpaint",
    "interpolate",
    "log_density",
    "log_probability",
    "ode_log_prob",
]
