"""Accuracy against the radius, in one sweep: an example that is broken stays broken, and only the others go on."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from numbers import Real

import torch
from jaxtyping import Float, Int
from torch import Tensor

from epslab import seeds
from epslab.attacks import PGD
from epslab.attacks.attacked import Attack
from epslab.classifiers import Proportion
from epslab.errors import UserError
from epslab.evaluation.portions import Portion, answers
from epslab.evaluation.robustness_measure import attacked
from epslab.geometry import Ball
from epslab.runs import norm_text, percent, radius_text
from epslab.types import Classifier

_FACTORS = (0.125, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 4.0)


@dataclass(frozen=True)
class RadiusSweep:
    """Which radii are tried, and with what.

    >>> from epslab.geometry import Linf
    >>> RadiusSweep().balls(Linf(0.1))[0]
    Ball(norm='linf', radius=0.0125)
    >>> RadiusSweep(radii=(1 / 255, 2 / 255), norm="linf").balls(None)[1] == Linf(2 / 255)
    True

    Args:
        radii: Ascending and positive; None: 1/8, 1/4, 1/2, 3/4, 1, 1.5, 2 and 4 times the radius of the first attack
            that has a ball.
        norm: "linf", "l2" or "l1"; None: that ball's.
        attack: Makes the attack of a ball.

    Raises:
        UserError: Radii that do not ascend, or a norm without radii.
    """

    radii: tuple[float, ...] | None = None
    norm: str | None = None
    attack: Callable[[Ball], Attack] = PGD

    def __post_init__(self) -> None:
        if self.radii is None:
            if self.norm is not None:
                raise UserError("A sweep with a norm needs radii too: give `radii=(…)`.")
            return
        given: object = self.radii
        if not isinstance(given, Iterable) or not all(isinstance(radius, Real) for radius in given):
            raise UserError(f"The sweep's radii are {given!r}; give numbers in ascending order: (2 / 255, 4 / 255).")
        object.__setattr__(self, "radii", tuple(self.radii))
        steps = zip((0.0, *self.radii[:-1]), self.radii, strict=True)
        if not self.radii or not all(low < high < math.inf for low, high in steps):
            raise UserError(f"The sweep's radii are {self.radii}; give positive numbers in ascending order.")

    def balls(self, first: Ball | None) -> tuple[Ball, ...]:
        """The balls of the sweep, the smallest first; none where neither radii nor a ball are given.

        Args:
            first: The ball of the first attack that has one, of positive radius.

        Raises:
            UserError: There are radii, but no norm.
        """
        if self.radii is None:
            return () if first is None else tuple(first.scaled(f) for f in _FACTORS)
        norm = self.norm or (None if first is None else str(first.norm))
        if norm is None:
            raise UserError("The sweep has radii but no norm, and no attack has a ball: give the sweep a norm.")
        return tuple(Ball(norm, radius) for radius in self.radii)


@dataclass(frozen=True, eq=False)
class SweepResult:
    """What a sweep found.

    Args:
        norm: Of the radii.
        radii: Ascending.
        broken_at: The smallest of the radii at which the attack broke each example, [n] float64: 0 where the model is
            wrong without an attack, infinite where none did.
        queries: Forward evaluations spent on each example over all radii, [n].
        gradients: Gradients likewise, [n].
    """

    norm: str
    radii: tuple[float, ...]
    broken_at: Float[Tensor, " n"]
    queries: Int[Tensor, " n"]
    gradients: Int[Tensor, " n"]
    accuracy: tuple[Proportion, ...] = field(init=False)  #: at each radius: the share not broken at it or before

    def __repr__(self) -> str:
        points = zip(self.radii, self.accuracy, strict=True)
        told = ", ".join(f"{percent(float(share))} at {radius_text(radius)}" for radius, share in points)
        return f"<SweepResult: {norm_text(self.norm)} radii, {told[:300]}>"

    def __post_init__(self) -> None:
        object.__setattr__(self, "accuracy", tuple(Proportion.of(self.broken_at > radius) for radius in self.radii))


def sweep(
    model: Classifier, balls: tuple[Ball, ...], attack: Callable[[Ball], Attack], portion: Portion, seed: int
) -> dict[str, Tensor]:
    """Attack a batch with one ball after the other, each time only what is not broken yet.

    PGD goes on from what it has made of an image at the radius before.

    Returns:
        Per example: ``broken_at`` (radius; 0: wrong as it is; infinite: never), ``images`` (the adversarial image of
        that radius, or the clean one), ``queries``, ``gradients``, and ``right`` (whether it was never broken).
    """
    right = answers(model, portion.images, portion).argmax(1) == portion.labels
    broken_at = torch.where(right, math.inf, 0.0).double()
    images, reached = portion.images.clone(), portion.images.clone()
    queries, gradients = torch.zeros_like(portion.labels), torch.zeros_like(portion.labels)
    for number, ball in enumerate(balls):
        open_ = broken_at.isinf().nonzero()[:, 0]
        if not len(open_):
            break
        rest = portion.part(open_)
        own = seeds.of_indices(seed, rest.indices, "robustness", "sweep", number).to(portion.labels.device)
        name = f"sweep at {radius_text(float(ball.radius))}"
        one = attack(ball)
        if number and isinstance(one, PGD) and one.random_start:
            one = one.going_on_from(reached[open_])
        found = attacked(model, one, name, rest, own)
        reached[open_] = found["images"]
        queries[open_] += found["queries"]
        gradients[open_] += found["gradients"]
        broken = open_[~found["right"]]
        images[broken] = found["images"][~found["right"]]
        broken_at[broken] = float(ball.radius)
    return {
        "broken_at": broken_at,
        "images": images,
        "queries": queries,
        "gradients": gradients,
        "right": broken_at.isinf(),
    }
