"""Attacks on image classifiers: frozen settings that are called, ``PGD(Linf(8/255))(model, images, labels)``."""

from typing import Any

from epslab.attacks.apgd import APGD
from epslab.attacks.attacked import Attack, Attacked
from epslab.attacks.compose import Restarts, WorstCase
from epslab.attacks.goals import least_likely, targeted, untargeted
from epslab.attacks.gradient import FGSM, PGD, IterativeFGSM, LeastLikely
from epslab.attacks.noise import RandomNoise
from epslab.attacks.objectives import cross_entropy, dlr, margin
from epslab.attacks.transfer import Transfer

NAMES: dict[str, Any] = {
    "random": RandomNoise,
    "fgsm": FGSM,
    "iterative-fgsm": IterativeFGSM,
    "least-likely": LeastLikely,
    "pgd": PGD,
    "apgd": APGD,
}
"""The attacks made from a ball alone, by the name the command line knows them by."""

__all__ = [
    "APGD",
    "FGSM",
    "NAMES",
    "PGD",
    "Attack",
    "Attacked",
    "IterativeFGSM",
    "LeastLikely",
    "RandomNoise",
    "Restarts",
    "Transfer",
    "WorstCase",
    "cross_entropy",
    "dlr",
    "least_likely",
    "margin",
    "targeted",
    "untargeted",
]
