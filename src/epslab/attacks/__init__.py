"""Attacks on image classifiers: frozen dataclasses that you call, ``PGD(Linf(8/255))(model, images, labels)``."""

from epslab.attacks.apgd import APGD
from epslab.attacks.attacked import Attack, Attacked
from epslab.attacks.compose import Restarts, WorstCase
from epslab.attacks.goals import least_likely, targeted, untargeted
from epslab.attacks.gradient import FGSM, MIM, PGD, IterativeFGSM, LeastLikely
from epslab.attacks.noise import RandomNoise
from epslab.attacks.objectives import cross_entropy, dlr, margin
from epslab.attacks.transfer import Transfer
from epslab.names import Names

ATTACKS = Names(
    "epslab.attacks",
    {
        "random": "epslab.attacks:RandomNoise",
        "fgsm": "epslab.attacks:FGSM",
        "iterative-fgsm": "epslab.attacks:IterativeFGSM",
        "mim": "epslab.attacks:MIM",
        "least-likely": "epslab.attacks:LeastLikely",
        "pgd": "epslab.attacks:PGD",
        "apgd": "epslab.attacks:APGD",
    },
)
"""The attacks by the name the command line knows them by: classes built from a ball, or from nothing without one."""

__all__ = [
    "APGD",
    "ATTACKS",
    "FGSM",
    "MIM",
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
