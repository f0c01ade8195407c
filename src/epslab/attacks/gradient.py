"""Attacks that follow the gradient within a ball: PGD, and the four that are PGD with fields fixed.

    x_{t+1} = Π(argmax of <g_t, x'> over ‖x' − x_t‖ ≤ α, x' in [0, 1]),   g_t = μ·g_{t−1} + ∇J(x_t)/‖∇J(x_t)‖₁

Π projects into the ball and the box (Madry et al., 2018, eq. 2.1 with steepest ascent for each norm; momentum μ from
Dong et al., 2018, eq. 6). With α = radius, one step and no random start it is FGSM (Goodfellow et al., 2015).

Where the model is affine the optimum is the farthest point of ball and box along the gradient. One step from the image
reaches it, and many do in Linf; in L2 and L1 they only approach it, so that it is looked at last.
"""

from dataclasses import dataclass, field, replace
from typing import ClassVar, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from epslab.attacks.attacked import Attacked, Given, InBall, OfOne, part_of, replaced
from epslab.attacks.checks import require_ball, require_counts, require_function, require_number
from epslab.attacks.goals import Goal, least_likely, untargeted
from epslab.attacks.keeping import Index, Worst
from epslab.attacks.objectives import LogitLoss, cross_entropy
from epslab.attacks.steps import BOX, length_at, pixels_at, uphill
from epslab.attacks.victim import asking
from epslab.errors import UserError
from epslab.geometry import Ball

Self = TypeVar("Self", bound="PGD")


@dataclass(frozen=True)
class PGD(InBall):
    """Projected gradient descent on −J from a random start (Madry et al., 2018, eq. 2.1).

    >>> from epslab.geometry import Linf
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
    >>> images, labels = torch.rand(2, 1, 8, 8), torch.tensor([3, 7])
    >>> found = PGD(Linf(8 / 255), steps=10)(net, images, labels)
    >>> found.images.shape, bool((found.distance <= 8 / 255).all())
    (torch.Size([2, 1, 8, 8]), True)

    Args:
        ball: The perturbations allowed, in units of the pixel range [0, 1].
        steps: Gradient steps of each restart, ≥ 1.
        step_size: α, the length of a step in the ball's norm; None: 2.5·radius/steps, at most the radius; in
            L1 it falls from the radius to 0.
        random_start: Start from a point drawn uniformly from the ball, not from the image.
        restarts: Runs per example, ≥ 1; the worst is kept.
        objective: What is raised: ``cross_entropy``, ``margin`` or ``dlr`` of ``epslab.attacks.objectives``.
        goal: ``untargeted``, ``targeted(labels)`` or ``least_likely`` of ``epslab.attacks.goals``.
        momentum: μ ≥ 0, the weight of the earlier gradients (Dong et al., 2018); 0: none.
        leave_early: An example leaves at its first success that the caller's own model confirms at full precision:
            right for accuracy. Without it every image, those already wrong too, is pushed to the greatest loss met:
            right for training, transfer and confidence.
        compiled: Let ``torch.compile`` make the copy of the model that gradients are taken from.
        model_draws: For a classifier that draws noise of its own (``epslab.nets.random``): draws that each gradient is
            the mean of, the expectation over transformation of Athalye et al. (2018). Each draw counts as a query.

    Raises:
        UserError: A setting out of range, and when called, inputs that cannot be attacked.
    """

    ball: Ball
    steps: int = 40
    step_size: float | None = None
    random_start: bool = True
    restarts: int = 1
    objective: LogitLoss = cross_entropy
    goal: Goal = untargeted
    momentum: float = 0.0
    leave_early: bool = True
    compiled: bool = False
    model_draws: int = 1

    _travel: ClassVar[float] = 2.5  # how far all steps go together, in radii, where no step size is set

    def __post_init__(self) -> None:
        """Refuse settings that cannot work."""
        require_ball(self, self.ball)
        require_counts(steps=self.steps, restarts=self.restarts, model_draws=self.model_draws)
        if self.step_size is not None:
            require_number(
                "a positive number: leave it out for a good one", lambda size: size > 0, step_size=self.step_size
            )
        require_number("a number of at least 0", lambda weight: weight >= 0, momentum=self.momentum)
        require_function("margin", objective=self.objective)
        require_function("least_likely", goal=self.goal)

    def part(self: Self, index: Tensor) -> Self:
        """The same attack for the examples with these indices."""
        return replaced(self, ball=self.ball[index], goal=part_of(self.goal, index))

    def going_on_from(self, points: Tensor) -> "GoingOn":
        """This attack, its first run started at these points, one per image, instead of at random or at the image.

        Args:
            points: [n c h w]; put into ball and box first. They carry no gradient.
        """
        return GoingOn(self, points.detach())

    def _attack(self, given: Given) -> Attacked:
        return self._run(given, None)

    def _run(self, given: Given, start: Tensor | None) -> Attacked:
        """Attack every image, the first run from ``start`` where it is given."""
        with asking(given, self.model_draws) as victim:
            kept = Worst(
                victim, self.ball, goal=self.goal, objective=self.objective, leave_early=self.leave_early
            )  # fmt: skip
            victim.speed_up(self.steps * self.restarts, self.compiled)
            for restart in range(self.restarts):
                if len(index := kept.open()):
                    self._climb(kept, index, restart, start if restart == 0 else None)
            return kept.result(given.images)

    def _climb(self, kept: Worst, index: Index, restart: int, start: Tensor | None) -> None:
        """One run for these examples; they leave it when they are solved."""
        victim, ball = kept.victim, kept.ball
        project = kept.projector(index)
        if start is not None:
            points = project(start[index].to(kept.images))
        else:
            points = kept.start(index, restart) if self.random_start else kept.images[index]
        gradient = velocity = torch.zeros_like(points)
        for step in range(self.steps):
            logits, value, gradient = victim.differentiate(points, index, kept.rise(index))
            left = kept.offer(index, points, logits, value, trusted=victim.trusted)
            if self.leave_early and left.any():
                stay = ~left
                index, points, gradient, velocity = index[stay], points[stay], gradient[stay], velocity[stay]
                if not len(index):
                    return
                project = kept.projector(index)
            if self.momentum:
                velocity = self.momentum * velocity + gradient / _mean_size(gradient)
                gradient = velocity
            alpha, pixels = self._alpha(ball[index], step), pixels_at(step, self.steps, points[0].numel())
            points = project(uphill(ball.norm, gradient, points, alpha, pixels))
        left = kept.look(index, points)
        if ball.norm != "linf" and (self.steps > 1 or self.random_start or start is not None):
            index, gradient = index[~left], gradient[~left]
            if len(index):
                kept.look(index, ball[index].farthest(gradient, kept.images[index], BOX))

    def _alpha(self, ball: Ball, step: int) -> Tensor | float:
        """The length of this step, a number or one for each example."""
        if self.step_size is not None:
            return self.step_size
        share = length_at(step, self.steps) if ball.norm == "l1" else min(1.0, self._travel / self.steps)
        return share * (ball.radius if isinstance(ball.radius, Tensor) else float(ball.radius))


@dataclass(frozen=True, eq=False)
class GoingOn(OfOne):
    """PGD from where another attack has come to, e.g. at a smaller radius; made by ``PGD.going_on_from``.

    Args:
        attack: How to go on.
        points: Where from, [n c h w].

    Raises:
        UserError: When called with another number or shape of images.
    """

    attack: PGD
    points: Tensor

    def part(self, index: Tensor) -> "GoingOn":
        """The same attack for the examples with these indices, from their points."""
        return GoingOn(self.attack.part(index), self.points[index.to(self.points.device)])

    def thorough(self) -> "GoingOn":
        """The same attack for the greatest loss of every example."""
        return GoingOn(self.attack.thorough(), self.points)

    def _attack(self, given: Given) -> Attacked:
        if self.points.shape != given.images.shape:
            raise UserError(
                f"The points to start from have shape {list(self.points.shape)} and the images"
                f" {list(given.images.shape)}; give one point for each image."
            )
        return self.attack._run(given, self.points)


@dataclass(frozen=True)
class FGSM(PGD):
    """The fast gradient sign method, x + ε·sign ∇_x J, clamped to [0, 1] (Goodfellow et al., 2015, section 4).

    In the other norms the step is the steepest one of length radius. It is PGD with one step from the image itself;
    ``objective``, ``goal``, ``leave_early``, ``compiled`` and ``model_draws`` are PGD's.

    >>> from epslab.geometry import Linf
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
    >>> images, labels = torch.rand(2, 1, 8, 8), torch.tensor([3, 7])
    >>> FGSM(Linf(8 / 255), leave_early=False)(net, images, labels).gradients
    tensor([1, 1])
    """

    steps: int = field(default=1, init=False)
    step_size: float | None = field(default=None, init=False)
    random_start: bool = field(default=False, init=False)
    restarts: int = field(default=1, init=False)
    momentum: float = field(default=0.0, init=False)


@dataclass(frozen=True)
class IterativeFGSM(PGD):
    """FGSM in small steps from the image itself, projected after each (Kurakin et al., 2017, eq. 3).

    It is PGD without a random start and restarts; the other settings are PGD's.

    >>> from epslab.geometry import Linf
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
    >>> images, labels = torch.rand(2, 1, 8, 8), torch.tensor([3, 7])
    >>> IterativeFGSM(Linf(8 / 255), steps=5, leave_early=False)(net, images, labels).gradients
    tensor([5, 5])
    """

    steps: int = 10
    random_start: bool = field(default=False, init=False)
    restarts: int = field(default=1, init=False)


@dataclass(frozen=True)
class MIM(PGD):
    """The momentum iterative method: steps of α = radius/steps along g_t (Dong et al., 2018, algorithm 1, MI-FGSM).

        g_{t+1} = μ·g_t + ∇J(x_t)/‖∇J(x_t)‖₁,   x_{t+1} = x_t + α·sign(g_{t+1}),   x_0 the image itself

    The momentum carries steps across small peaks of J, and makes adversarial images that other models are fooled by
    too. It is PGD with momentum, without a random start and restarts; the other settings are PGD's.

    >>> from epslab.geometry import Linf
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
    >>> images, labels = torch.rand(2, 1, 8, 8), torch.tensor([3, 7])
    >>> MIM(Linf(8 / 255), leave_early=False)(net, images, labels).gradients
    tensor([10, 10])
    """

    steps: int = 10
    random_start: bool = field(default=False, init=False)
    restarts: int = field(default=1, init=False)
    momentum: float = 1.0

    _travel: ClassVar[float] = 1.0


@dataclass(frozen=True)
class LeastLikely(PGD):
    """x − ε·sign ∇_x J(x, y_LL), y_LL the least likely class on the clean image (Kurakin et al., 2017, eqs. 4–5).

    Success is to be taken for y_LL; an image that is only taken for some other wrong class is none. It is PGD from the
    image itself on the cross-entropy with the goal ``least_likely``; one step is the one-step method.

    >>> from epslab.geometry import Linf
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
    >>> images, labels = torch.rand(2, 1, 8, 8), torch.tensor([3, 7])
    >>> LeastLikely(Linf(1.0), steps=5)(net, images, labels).success
    tensor([True, True])
    """

    steps: int = 1
    random_start: bool = field(default=False, init=False)
    restarts: int = field(default=1, init=False)
    # Factories: a function that is a class's own attribute would become a method.
    objective: LogitLoss = field(default_factory=lambda: cross_entropy, init=False)
    goal: Goal = field(default_factory=lambda: least_likely, init=False)
    momentum: float = field(default=0.0, init=False)

    def part(self, index: Tensor) -> "LeastLikely":
        """The same attack for the examples with these indices."""
        return replace(self, ball=self.ball[index])


def _mean_size(gradient: Float[Tensor, "k c h w"]) -> Tensor:
    """The mean absolute value of each example's gradient, 1 where it is zero: ‖·‖₁ but for a common factor."""
    size = gradient.abs().mean((1, 2, 3), keepdim=True)
    return size.where(size > 0, 1.0)
