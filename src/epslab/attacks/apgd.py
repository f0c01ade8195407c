"""Auto-PGD: gradient ascent with momentum that chooses its own step sizes (Croce & Hein, 2020, algorithm 1)."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise

import torch
from jaxtyping import Float, Int
from torch import Tensor

from epslab.attacks.ascent import feasible, look
from epslab.attacks.attacked import Attacked, Given, InBall, part_of
from epslab.attacks.checks import require_counts
from epslab.attacks.objectives import Objective, cross_entropy, targeted_dlr
from epslab.attacks.search import Search, searching
from epslab.errors import UserError
from epslab.geometry import Ball
from epslab.types import Labels, Logits, PerExample

Rise = Callable[[Int[Tensor, " k"], Logits], PerExample]
"""What is to rise, from the examples and their logits."""

_MOMENTUM = 0.75  # α: the share of the new step; the rest repeats the last one
_PROGRESS = 0.75  # ρ: the share of steps that must raise the objective


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

    Raises:
        UserError: A count out of range, and when called, inputs that cannot be attacked.
    """

    ball: Ball
    steps: int = 100
    restarts: int = 1
    objective: Objective = cross_entropy
    targets: int = 9
    leave_early: bool = True
    compiled: bool = False

    def __post_init__(self) -> None:
        """Refuse settings that cannot work."""
        require_counts(steps=self.steps, restarts=self.restarts)
        if self.targets < 0:
            raise UserError(f"targets is {self.targets}, but must be 0 or more.")

    def part(self, index: Tensor) -> "APGD":
        """The same attack for the examples with these indices."""
        return replace(self, ball=self.ball[index], objective=part_of(self.objective, index))

    def thorough(self) -> "APGD":
        """The same attack for the greatest loss, without targets."""
        return replace(self, leave_early=False)

    def _attack(self, given: Given) -> Attacked:
        with searching(
            given,
            self.ball,
            objective=self.objective,
            leave_early=self.leave_early,
            gradient_steps=self.steps * self.restarts,
            compiled=self.compiled,
        ) as search:
            y = search.victim.labels
            for restart in range(self.restarts):
                self._run(search, restart, lambda index, z: self.objective(z, y[index]))
            for k, t in enumerate(self._targets(search, y), start=1):
                for restart in range(self.restarts):
                    towards = partial(_towards, y, t)
                    self._run(search, k * self.restarts + restart, towards)
            return search.result(given.images)

    def _targets(self, search: Search, labels: Labels) -> tuple[Labels, ...]:
        """The wrong classes by rank on the clean image, likeliest first, [n] each."""
        if not self.leave_early or search.clean is None:
            return ()
        ranked = search.clean.scatter(1, labels[:, None], -torch.inf).argsort(1, descending=True)[:, :-1]
        return ranked.unbind(1)[: self.targets]

    def _run(self, search: Search, counter: int, rise: Rise) -> None:
        """One run for the examples still open, by the symbols of the paper's algorithm 1."""
        index = search.open()
        if not len(index):
            return
        victim, ball = search.victim, search.ball
        run = _Run(search, index, search.start(index, counter))
        checkpoints = _checkpoints(self.steps)
        for k in range(self.steps):
            logits, f, gradient = victim.differentiate(run.x, run.index, partial(rise, run.index))
            # Failures of all runs are compared by the objective, whatever this run raises.
            value = self.objective(logits, victim.labels[run.index])
            left = search.offer(run.index, run.x, logits, value, trusted=victim.trusted)
            run.record(f, gradient)
            if left.any() and not run.keep(~left):
                return
            if k in checkpoints:
                run.halve(k - checkpoints[k])
            run.step(ball, first=k == 0)
        look(search, run.index, run.x, self.objective)


class _Run:
    """The state of one run, a row an example.

    Args:
        search: Images, balls, projections.
        index: The examples.
        start: x⁽⁰⁾.
    """

    def __init__(self, search: Search, index: Int[Tensor, " k"], start: Float[Tensor, "k c h w"]) -> None:
        self.search = search
        self.index = index
        self.project = search.projector(index)
        self.x = start
        self.x_before = start
        self.gradient = torch.zeros_like(start)
        self.x_max = start
        self.gradient_max = torch.zeros_like(start)
        radius = search.ball.radii(len(search.images), start.device)[index].to(start)
        self.eta = 2.0 * radius  # [k]
        self.f = start.new_full((len(start),), -torch.inf)
        self.f_max = self.f.clone()
        self.rises = torch.zeros_like(self.f)  # steps since the last checkpoint that raised f
        self.f_max_then = self.f.clone()  # at the last checkpoint
        self.halved_then = torch.ones_like(self.f, dtype=torch.bool)

    def record(self, f: Float[Tensor, " k"], gradient: Float[Tensor, "k c h w"]) -> None:
        """Take note of the objective and the gradient at x."""
        f = f.to(self.f)
        self.rises += ((f > self.f) & (self.f > -torch.inf)).to(f)
        better = f > self.f_max
        wide = better[:, None, None, None]
        self.x_max = torch.where(wide, self.x, self.x_max)
        self.gradient_max = torch.where(wide, gradient, self.gradient_max)
        self.f_max = torch.where(better, f, self.f_max)
        self.f, self.gradient = f, gradient

    def keep(self, stay: Tensor) -> bool:
        """Let the other examples go, and say whether any is left."""
        for name in _PER_EXAMPLE:
            setattr(self, name, getattr(self, name)[stay])
        if len(self.index):
            self.project = self.search.projector(self.index)
        return bool(len(self.index))

    def halve(self, steps: int) -> None:
        """At a checkpoint after so many steps: halve the step size where they did little, and go on from the best."""
        few = self.rises < _PROGRESS * steps
        stuck = ~self.halved_then & (self.f_max <= self.f_max_then)
        halved = few | stuck
        self.eta = torch.where(halved, self.eta / 2, self.eta)
        wide = halved[:, None, None, None]
        self.x = torch.where(wide, self.x_max, self.x)
        self.gradient = torch.where(wide, self.gradient_max, self.gradient)
        self.f = torch.where(halved, self.f_max, self.f)
        self.rises = torch.zeros_like(self.rises)
        self.f_max_then, self.halved_then = self.f_max, halved

    def step(self, ball: Ball, first: bool) -> None:
        """Go to x⁺ = Π(x + α(z − x) + (1 − α)(x − x⁻)), z = Π(x + η·d); at the first step to z itself."""
        x, eta = self.x, self.eta[:, None, None, None]
        z = self.project(x + eta * ball[self.index].ascent(feasible(self.gradient, x, ball)))
        after = z if first else self.project(x + _MOMENTUM * (z - x) + (1 - _MOMENTUM) * (x - self.x_before))
        self.x_before, self.x = x, after


_PER_EXAMPLE = (
    "index", "x", "x_before", "gradient", "x_max", "gradient_max",
    "eta", "f", "f_max", "rises", "f_max_then", "halved_then",
)  # fmt: skip


def _towards(labels: Tensor, targets: Tensor, index: Tensor, logits: Logits) -> PerExample:
    """The targeted DLR of these examples."""
    return targeted_dlr(logits, labels[index], targets[index])


def _checkpoints(steps: int) -> dict[int, int]:
    """The steps w_j after which progress is judged, each with the one before it.

    w_j = ⌈p_j·N⌉ with p_{j+1} = p_j + max(p_j − p_{j−1} − 0.03, 0.06), p_0 = 0, p_1 = 0.22 (section 3.2).
    """
    p = [0.0, 0.22]
    while p[-1] < 1:
        p.append(p[-1] + max(p[-1] - p[-2] - 0.03, 0.06))
    # Rounded first: 0.57·100 is a little more than 57 in binary.
    w = sorted({math.ceil(round(share * steps, 6)) for share in p if share <= 1})
    return {now: before for before, now in pairwise(w)}
