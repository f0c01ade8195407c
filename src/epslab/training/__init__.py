"""The one training loop: Lightning's Trainer around any objective; the only package that knows Lightning."""

from epslab.training.loop import fit
from epslab.training.turns import Turn

__all__ = ["Turn", "fit"]
