"""The attacks that every test of this folder runs over: an attack joins by one line in ``CASES``."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from epslab.attacks import (
    APGD,
    FGSM,
    MIM,
    PGD,
    Attack,
    IterativeFGSM,
    LeastLikely,
    RandomNoise,
    Restarts,
    Transfer,
    WorstCase,
    dlr,
    margin,
)
from epslab.geometry import Ball

from .minimal import ToTheBoundary
from .models import classifier

RADIUS = {"linf": 0.015, "l2": 0.16, "l1": 1.3}
"""At these the attacks succeed on some of the images and not on others."""


def another_class(clean: Tensor, logits: Tensor, labels: Tensor) -> Tensor:
    """Success of an untargeted attack, from the logits of the clean and of the returned images."""
    return logits.argmax(1) != labels


def least_likely_class(clean: Tensor, logits: Tensor, labels: Tensor) -> Tensor:
    return logits.argmax(1) == clean.argmin(1)


class Case(NamedTuple):
    """An attack, and what of the contracts depends on which attack it is.

    An attack without a ball is given ``norm=None``, and a ``make`` that takes no notice of its argument.
    """

    name: str
    make: Callable[[Ball], Attack]
    norm: str | None  #: of the ball the result stays in
    leaves_wrong_alone: bool = True  #: an image already wrong comes back as it came
    success: Callable[[Tensor, Tensor, Tensor], Tensor] = another_class
    exact_counts: bool = True  #: every call but one look at the returned images is a query
    whitebox: bool = True  #: takes gradients of the model
    own_norm: str = "l2"  #: that distances are in, of an attack without a ball

    @property
    def attack(self) -> Attack:
        """At the radius of the tests."""
        return self.make(self.ball(1.0))

    def ball(self, share: float | Tensor = 1.0) -> Ball:
        """The ball of the tests, its radius times a share."""
        norm = self.norm or "l2"
        return Ball(norm, RADIUS[norm] * share)


def _every_norm(name: str, make: Callable[[Ball], Attack], **differences: object) -> list[Case]:
    return [Case(f"{name}-{norm}", make, norm, **differences) for norm in RADIUS]  # type: ignore[arg-type]


_SURROGATE = classifier(seed=1, dtype=torch.float64)


def surrogate(points: Tensor) -> Tensor:
    """Another model, for images of any type."""
    logits: Tensor = _SURROGATE(points.double())
    return logits.to(points.dtype)


CASES = [
    *_every_norm("random", RandomNoise, whitebox=False),
    *_every_norm("fgsm", FGSM),
    *_every_norm("iterative-fgsm", lambda ball: IterativeFGSM(ball, steps=4)),
    *_every_norm("mim", lambda ball: MIM(ball, steps=4)),
    *_every_norm("pgd", lambda ball: PGD(ball, steps=4)),
    *_every_norm("apgd", lambda ball: APGD(ball, steps=5, targets=2)),
    Case("random-uniform", lambda ball: RandomNoise(ball, draws=3, uniform=True), "linf", whitebox=False),
    Case("fgsm-margin", lambda ball: FGSM(ball, objective=margin), "linf"),
    Case("least-likely", LeastLikely, "linf", leaves_wrong_alone=False, success=least_likely_class),
    Case(
        "least-likely-4", lambda ball: LeastLikely(ball, 4), "l2", leaves_wrong_alone=False, success=least_likely_class
    ),
    Case("pgd-folded", lambda ball: PGD(ball, steps=12), "linf"),
    Case("pgd-momentum", lambda ball: PGD(ball, steps=3, momentum=0.9, restarts=2, objective=dlr), "linf"),
    Case("pgd-thorough", lambda ball: PGD(ball, steps=3, leave_early=False), "linf", leaves_wrong_alone=False),
    Case("apgd-folded", lambda ball: APGD(ball, steps=11, targets=1, objective=margin), "linf"),
    Case("restarts", lambda ball: Restarts(PGD(ball, steps=2), 3), "linf", exact_counts=False),
    Case("worst-case", lambda ball: WorstCase((FGSM(ball), PGD(ball, steps=2))), "l2", exact_counts=False),
    *(
        Case(f"boundary-{norm}", lambda _, norm=norm: ToTheBoundary(norm, halvings=3), None, own_norm=norm)
        for norm in RADIUS
    ),
    Case("boundary-folded", lambda _: ToTheBoundary(steps=12), None, own_norm="l2"),
    Case("transfer", lambda ball: Transfer(surrogate, FGSM(ball)), "linf", whitebox=False),
    Case(
        "composite of composites",
        lambda ball: Restarts(WorstCase((RandomNoise(ball, draws=2), Restarts(PGD(ball, steps=2), 2))), 2),
        "linf",
        exact_counts=False,
    ),
]
