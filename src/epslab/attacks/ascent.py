"""The one loop behind FGSM, iterated FGSM, the least-likely class and PGD.

    x_{t+1} = Π(argmax of <g_t, x'> over ‖x' − x_t‖ ≤ α, x' in [0, 1]),   g_t = μ·g_{t−1} + ∇J(x_t)/‖∇J(x_t)‖₁

Π projects into the ball and the box (Madry et al., 2018, eq. 2.1 with steepest ascent for each norm; momentum μ from
Dong et al., 2018, eq. 6). With α = radius, one step and no random start it is FGSM (Goodfellow et al., 2015).

Where the model is affine the optimum is the farthest point of ball and box along the gradient. One step from the image
reaches it, and many do in Linf; in L2 and L1 they only approach it, so that it is looked at last.
"""

from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float, Int
from torch import Tensor

from epslab.attacks.attacked import Attacked, Given
from epslab.attacks.checks import require_counts
from epslab.attacks.goals import Goal, untargeted
from epslab.attacks.objectives import Objective, cross_entropy
from epslab.attacks.search import Search, searching
from epslab.attacks.steps import BOX, length_at, pixels_at, uphill
from epslab.errors import UserError
from epslab.geometry import Ball


@dataclass(frozen=True)
class Ascent:
    """How the loop runs.

    Args:
        steps: Gradient steps of each restart, ≥ 1.
        step_size: α, in units of the radius' norm; None: 2.5·radius/steps, at most the radius; in L1 it falls from the
            radius to 0.
        random_start: Start from a point drawn uniformly from the ball, not from the image.
        restarts: Runs an example, the worst of which is kept, ≥ 1.
        objective: What is raised.
        goal: What counts as success.
        momentum: μ ≥ 0; 0: the plain gradient.
        leave_early: An example goes at its first success that the caller's own model confirms. Without it every example
            is pushed to the greatest loss met, those already wrong too.
        compiled: Let ``torch.compile`` make the copy that gradients are taken from.

    Raises:
        UserError: A count below 1, a negative momentum, or a step size that is not positive.
    """

    steps: int
    step_size: float | None = None
    random_start: bool = False
    restarts: int = 1
    objective: Objective = cross_entropy
    goal: Goal = untargeted
    momentum: float = 0.0
    leave_early: bool = True
    compiled: bool = False

    def __post_init__(self) -> None:
        """Refuse settings that cannot work."""
        require_counts(steps=self.steps, restarts=self.restarts)
        if self.step_size is not None and not self.step_size > 0:
            raise UserError(f"step_size is {self.step_size}, but must be positive: leave it out for a good one.")
        if not self.momentum >= 0:
            raise UserError(f"momentum is {self.momentum}, but must be 0 or more.")

    def __call__(self, given: Given, ball: Ball, start: Tensor | None = None) -> Attacked:
        """Attack every image within its ball, the first run from ``start`` (put into ball and box) where it is given.

        Raises:
            UserError: ``start`` is not one point an image, or the inputs cannot be attacked.
        """
        if start is not None and start.shape != given.images.shape:
            raise UserError(
                f"The points to start from have shape {list(start.shape)} and the images {list(given.images.shape)};"
                " give one point for each image."
            )
        with searching(
            given,
            ball,
            goal=self.goal,
            objective=self.objective,
            leave_early=self.leave_early,
            gradient_steps=self.steps * self.restarts,
            compiled=self.compiled,
        ) as search:
            for restart in range(self.restarts):
                if len(index := search.open()):
                    self._climb(search, index, restart, start if restart == 0 else None)
            return search.result(given.images)

    def _climb(self, search: Search, index: Int[Tensor, " k"], restart: int, start: Tensor | None) -> None:
        """One run for these examples; they leave it when they are solved."""
        victim, ball = search.victim, search.ball
        project = search.projector(index)
        if start is not None:
            points = project(start[index].to(search.images))
        else:
            points = search.start(index, restart) if self.random_start else search.images[index]
        velocity = torch.zeros_like(points)
        gradient = velocity
        for step in range(self.steps):
            rise = partial(search.aim[index].rise, self.objective)
            logits, value, gradient = victim.differentiate(points, index, rise)
            left = search.offer(index, points, logits, value, trusted=victim.trusted)
            if left.any():
                stay = ~left
                index, points, gradient, velocity = index[stay], points[stay], gradient[stay], velocity[stay]
                if not len(index):
                    return
                project = search.projector(index)
            if self.momentum:
                velocity = self.momentum * velocity + gradient / _mean_size(gradient)
                gradient = velocity
            alpha, pixels = self._alpha(ball[index], step), pixels_at(step, self.steps, points[0].numel())
            points = project(uphill(ball.norm, gradient, points, alpha, pixels))
        left = look(search, index, points, self.objective)
        if ball.norm != "linf" and (self.steps > 1 or self.random_start or start is not None):
            index, gradient = index[~left], gradient[~left]
            if len(index):
                look(search, index, ball[index].farthest(gradient, search.images[index], BOX), self.objective)

    def _alpha(self, ball: Ball, step: int) -> Tensor | float:
        """The length of this step, a number or one for each example."""
        if self.step_size is not None:
            return self.step_size
        share = length_at(step, self.steps) if ball.norm == "l1" else min(1.0, 2.5 / self.steps)
        return share * (ball.radius if isinstance(ball.radius, Tensor) else float(ball.radius))


def look(search: Search, index: Int[Tensor, " k"], points: Float[Tensor, "k c h w"], objective: Objective) -> Tensor:
    """Offer points without taking a gradient there; say which examples have left."""
    logits = search.victim.ask(points, index)
    return search.offer(index, points, logits, search.aim[index].rise(objective, logits), trusted=True)


def _mean_size(gradient: Float[Tensor, "k c h w"]) -> Tensor:
    """The mean absolute value of each example's gradient; 1 where it is zero."""
    size = gradient.abs().mean((1, 2, 3), keepdim=True)
    return size.where(size > 0, 1.0)
