"""Attacks that follow the gradient within a ball: FGSM, iterated FGSM, the least likely class, PGD.

They are one loop (``epslab.attacks.ascent``) with other arguments.
"""

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from torch import Tensor

from epslab.attacks.ascent import Ascent
from epslab.attacks.attacked import Attacked, Called, Given, InBall, part_of
from epslab.attacks.goals import Goal, least_likely, untargeted
from epslab.attacks.objectives import Objective, cross_entropy
from epslab.geometry import Ball

S = TypeVar("S", bound="_FollowsGradient")
W = TypeVar("W", bound="_WithGoal")


class _FollowsGradient(InBall):
    """What the four have in common: they say how the loop runs, and are called."""

    leave_early: bool

    @abstractmethod
    def _ascent(self) -> Ascent: ...

    def __post_init__(self) -> None:
        """Refuse settings that cannot work."""
        self._ascent()

    def part(self: S, index: Tensor) -> S:
        """The same attack for the examples with these indices."""
        return _replaced(self, ball=self.ball[index])

    def thorough(self: S) -> S:
        """The same attack for the greatest loss."""
        return _replaced(self, leave_early=False)

    def _attack(self, given: Given) -> Attacked:
        return self._ascent()(given, self.ball)


class _WithGoal(_FollowsGradient):
    """Those whose goal and objective may hold something for each example."""

    goal: Goal
    objective: Objective

    def part(self: W, index: Tensor) -> W:
        """The same attack for the examples with these indices."""
        goal, objective = part_of(self.goal, index), part_of(self.objective, index)
        return _replaced(self, ball=self.ball[index], goal=goal, objective=objective)


@dataclass(frozen=True)
class PGD(_WithGoal):
    """Projected gradient descent on −J from a random start (Madry et al., 2018, eq. 2.1).

    Args:
        ball: The perturbations allowed, in units of the pixel range [0, 1].
        steps: Gradient steps of each restart.
        step_size: Length of a step in the ball's norm; None: 2.5·radius/steps, at most the radius.
        random_start: Start from a point drawn uniformly from the ball, not from the image.
        restarts: Runs an example; the worst is kept.
        objective: What is raised: ``cross_entropy``, ``margin`` or ``dlr`` of ``epslab.attacks.objectives``.
        goal: ``untargeted``, ``targeted(labels)`` or ``least_likely`` of ``epslab.attacks.goals``.
        momentum: Weight of the earlier gradients (Dong et al., 2018); 0: none.
        leave_early: An example goes at its first success that the caller's own model confirms at full precision: right
            for accuracy. Without it every image, those already wrong too, is pushed to the greatest loss met: right for
            training, transfer and confidence.
        compiled: Let ``torch.compile`` make the copy of the model that gradients are taken from.

    Raises:
        UserError: A setting out of range, and when called, inputs that cannot be attacked.
    """

    ball: Ball
    steps: int = 40
    step_size: float | None = None
    random_start: bool = True
    restarts: int = 1
    objective: Objective = cross_entropy
    goal: Goal = untargeted
    momentum: float = 0.0
    leave_early: bool = True
    compiled: bool = False

    def _ascent(self) -> Ascent:
        return Ascent(
            self.steps, self.step_size, self.random_start, self.restarts, self.objective, self.goal, self.momentum,
            self.leave_early, self.compiled,
        )  # fmt: skip

    def going_on_from(self, points: Tensor) -> "GoingOn":
        """This attack, its first run started at these points, one an image, instead of at random or at the image.

        Args:
            points: [n c h w]; put into ball and box first. They carry no gradient.
        """
        return GoingOn(self, points.detach())


@dataclass(frozen=True, eq=False)
class GoingOn(Called):
    """PGD from where another attack has come to, e.g. at a smaller radius.

    Args:
        attack: How to go on.
        points: Where from, [n c h w].

    Raises:
        UserError: When called with another number or shape of images.
    """

    attack: PGD
    points: Tensor

    @property
    def norm(self) -> str:
        """PGD's."""
        return self.attack.norm

    @property
    def radius(self) -> float | Tensor:
        """PGD's."""
        return self.attack.radius

    def part(self, index: Tensor) -> "GoingOn":
        """The same attack for the examples with these indices, from their points."""
        return GoingOn(self.attack.part(index), self.points[index.to(self.points.device)])

    def thorough(self) -> "GoingOn":
        """The same attack for the greatest loss."""
        return GoingOn(self.attack.thorough(), self.points)

    def _attack(self, given: Given) -> Attacked:
        return self.attack._ascent()(given, self.attack.ball, self.points)


@dataclass(frozen=True)
class FGSM(_WithGoal):
    """The fast gradient sign method, x + ε·sign ∇_x J, clamped to [0, 1] (Goodfellow et al., 2015, section 4).

    In the other norms the step is the steepest one of length radius.

    Args:
        ball: The perturbations allowed, in units of the pixel range [0, 1].
        objective: What is raised.
        goal: What counts as success.
        leave_early: Leave images alone that the model gets wrong as they are; see ``PGD``.

    Raises:
        UserError: When called with inputs that cannot be attacked.
    """

    ball: Ball
    objective: Objective = cross_entropy
    goal: Goal = untargeted
    leave_early: bool = True

    def _ascent(self) -> Ascent:
        return Ascent(1, objective=self.objective, goal=self.goal, leave_early=self.leave_early)


@dataclass(frozen=True)
class IterativeFGSM(_WithGoal):
    """FGSM in small steps from the image itself, projected after each (Kurakin et al., 2017, eq. 3).

    Args:
        ball: The perturbations allowed, in units of the pixel range [0, 1].
        steps: Gradient steps.
        step_size: Length of a step in the ball's norm; None: 2.5·radius/steps, at most the radius.
        objective: What is raised.
        goal: What counts as success.
        momentum: Weight of the earlier gradients (Dong et al., 2018); 0: none.
        leave_early: See ``PGD``.

    Raises:
        UserError: A setting out of range, and when called, inputs that cannot be attacked.
    """

    ball: Ball
    steps: int = 10
    step_size: float | None = None
    objective: Objective = cross_entropy
    goal: Goal = untargeted
    momentum: float = 0.0
    leave_early: bool = True

    def _ascent(self) -> Ascent:
        return Ascent(
            self.steps,
            self.step_size,
            objective=self.objective,
            goal=self.goal,
            momentum=self.momentum,
            leave_early=self.leave_early,
        )


@dataclass(frozen=True)
class LeastLikely(_FollowsGradient):
    """x − ε·sign ∇_x J(x, y_LL), y_LL the least likely class on the clean image (Kurakin et al., 2017, eqs. 4–5).

    Success is to be taken for y_LL; an image that is only taken for some other wrong class is none.

    Args:
        ball: The perturbations allowed, in units of the pixel range [0, 1].
        steps: Gradient steps; 1: the one-step method.
        step_size: Length of a step in the ball's norm; None: 2.5·radius/steps, at most the radius.
        leave_early: See ``PGD``.

    Raises:
        UserError: A setting out of range, and when called, inputs that cannot be attacked.
    """

    ball: Ball
    steps: int = 1
    step_size: float | None = None
    leave_early: bool = True

    def _ascent(self) -> Ascent:
        return Ascent(self.steps, self.step_size, goal=least_likely, leave_early=self.leave_early)


def _replaced(attack: S, **changes: Any) -> S:
    settings: Any = attack
    changed: S = replace(settings, **changes)
    return changed
