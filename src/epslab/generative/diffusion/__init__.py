"""Diffusion models: what they are, how they are trained, what their samples cost, and a bound on their likelihood."""

from epslab.generative.diffusion.model import Diffusion
from epslab.generative.diffusion.objective import DiffusionObjective
from epslab.generative.samplers import ancestral, ddim

__all__ = ["Diffusion", "DiffusionObjective", "ancestral", "ddim"]
