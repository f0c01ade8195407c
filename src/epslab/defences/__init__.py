"""Defences: losses that train a classifier on what an attack makes of its images."""

from epslab.defences.adversarial_training import AdversarialBatch, AdversarialLoss

__all__ = ["AdversarialBatch", "AdversarialLoss"]
