"""Auto-PGD: gradient ascent with momentum that chooses its own step sizes (Croce & Hein, 2020, algorithm 1)."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Int
from torch import Tensor

from epslab import seeds
from epslab.attacks.attacked import Attacked, Given, InBall
from epslab.attacks.auto_steps import AutoSteps, SparseAutoSteps
from epslab.attacks.checks import require_ball, require_counts, require_function
from epslab.attacks.keeping import Worst
from epslab.attacks.objectives import LogitLoss, cross_entropy, targeted_dlr
from epslab.attacks.steps import BOX
from epslab.attacks.victim import asking
from epslab.geometry import Ball
from epslab.types import Labels, Logits, PerExample

Rise = Callable[[Int[Tensor, " k"], Logits], PerExample]
"""What is to rise, from the examples and their logits."""


@dataclass(frozen=True)
class APGD(InBall):
    """Auto-PGD on the cross-entropy, then on the targeted DLR for each of the likeliest wrong classes.

    Two of the four parts of the standard ensemble (Croce & Hein, 2020, sections 3–4). A step size is halved, for each
    example alone, at a checkpoint where the objective rose in too few steps or its best did not, and the search goes on
    from the best point.

    Args:
        ball: The perturbations allowed, in units of the pixel range [0, 1].
        steps: Gradient steps of each run, ≥ 1.
        restarts: Runs an example on the objective, and for each target.
        objective: What the untargeted runs raise.
        targets: How many classes, likeliest first on the clean image, are tried as targets for the images that still
            stand; 0: none.
        leave_early: An example goes at its first success that the caller's own model confirms. Without it, every image
            is pushed to the greatest value of the objective, those already wrong too, and targets are left out.
        compiled: Let ``torch.compile`` make the copy of the model that gradients are taken from.
        model_draws: For a classifier that draws noise: draws that each gradient is the mean of; see ``PGD``.

    Raises:
        UserError: A count out of range, and when called, inputs that cannot be attacked.
    """

    ball: Ball
    steps: int = 100
    restarts: int = 1
    objective: LogitLoss = cross_entropy
    targets: int = 9
    leave_early: bool = True
    compiled: bool = False
    model_draws: int = 1

    def __post_init__(self) -> None:
        """Refuse settings that cannot work."""
        require_ball(self, self.ball)
        require_counts(steps=self.steps, restarts=self.restarts, model_draws=self.model_draws)
        require_counts(0, targets=self.targets)
        require_function("margin", objective=self.objective)

    def _attack(self, given: Given) -> Attacked:
        with asking(given, self.model_draws) as victim:
            search = Worst(victim, self.ball, objective=self.objective, leave_early=self.leave_early)
            victim.speed_up(self.steps * self.restarts, self.compiled)
            y = victim.labels
            for restart in range(self.restarts):
                self._run(search, restart, lambda index, z: self.objective(z, y[index]))
            for k, t in enumerate(self._targets(search, y), start=1):
                for restart in range(self.restarts):
                    towards = partial(_towards, y, t)
                    self._run(search, k * self.restarts + restart, towards)
            return search.result(given.images)

    def _targets(self, search: Worst, labels: Labels) -> tuple[Labels, ...]:
        """The wrong classes by rank on the clean image, likeliest first, [n] each."""
        if not self.leave_early:
            return ()
        ranked = search.victim.clean.scatter(1, labels[:, None], -torch.inf).argsort(1, descending=True)[:, :-1]
        return ranked.unbind(1)[: self.targets]

    def _run(self, search: Worst, counter: int, rise: Rise) -> None:
        """One run for the examples still open."""
        index = search.open()
        if not len(index):
            return
        if search.ball.norm != "l1":
            x = search.start(index, counter)
            self._climb(search, AutoSteps(search, search.ball, index, x, self.steps), self.steps, rise)
            return
        victim, images = search.victim, search.images[index]
        start = images + seeds.noise(seeds.fork(victim.seeds[index], "start"), counter, images.shape[1:], images.dtype)
        x = start
        for factor, steps in _widenings(self.steps):
            ball = search.ball.scaled(factor)
            run = SparseAutoSteps(search, ball, index, x, steps, first=x is start)
            self._climb(search, run, steps, rise, inside=factor == 1.0)
            x = run.x_max

    def _climb(self, search: Worst, run: AutoSteps, steps: int, rise: Rise, inside: bool = True) -> None:
        """Take the run's steps; what lies ``inside`` the search's own ball is offered to it."""
        victim, ball = search.victim, search.ball
        for k in range(steps):
            logits, f, gradient = victim.differentiate(run.x, run.index, partial(rise, run.index))
            run.record(f, gradient)
            if inside:
                # Failures of all runs are compared by the objective, whatever this run raises.
                value = self.objective(logits, victim.labels[run.index])
                left = search.offer(run.index, run.x, logits, value, trusted=victim.trusted)
                if self.leave_early and left.any() and not run.keep(~left):
                    return
            run.go_on(k)
        if not inside:
            return
        left = search.look(run.index, run.x)
        if ball.norm != "linf" and run.keep(~left):
            # Where the model is affine this is the optimum, which the steps only approach.
            far = ball[run.index].farthest(run.gradient_max, search.images[run.index], BOX)
            search.look(run.index, far)


def _widenings(steps: int) -> list[tuple[float, int]]:
    """The radii of an L1 run as multiples of the ball's, each with its share of the steps (Croce & Hein, 2021)."""
    early = math.ceil(0.3 * steps)
    if steps < 3:
        return [(1.0, steps)]
    return [(3.0, early), (2.0, early), (1.0, steps - 2 * early)]


def _towards(labels: Tensor, targets: Tensor, index: Tensor, logits: Logits) -> PerExample:
    """The targeted DLR of these examples."""
    return targeted_dlr(logits, labels[index], targets[index])
