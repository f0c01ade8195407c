"""One run of Auto-PGD: where it is, where it was best, and how long its next step is, for each example alone.

``AutoSteps`` is algorithm 1 of Croce & Hein (2020) for Linf and L2, ``SparseAutoSteps`` that of Croce & Hein (2021) for
L1. Both take the steepest step within the box and project onto ball and box exactly.
"""

import math
from itertools import pairwise

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from epslab.attacks.keeping import Worst
from epslab.attacks.steps import BOX, sparse, uphill
from epslab.geometry import Ball
from epslab.types import Images, PerExample

_MOMENTUM = 0.75  # α: the share of the new step; the rest repeats the last one
_PROGRESS = 0.75  # ρ: the share of steps that must raise the objective
_FIRST_SHARE = 0.2  # of the pixels share the first steps in L1
_THINNING = 1.5  # of the pixels changed at the best point so many share the next steps; L1's step falls by it, too
_SPARSER = 0.95  # the best point counts as sparser if it changes at most this share of the pixels
_SHORTEST = 0.1  # of the radius, the shortest step in L1


class AutoSteps:
    """The state of one run, a row per example, by the symbols of algorithm 1.

    Args:
        search: The images.
        ball: Around each of them.
        index: The examples that run.
        start: x⁽⁰⁾; put into ball and box.
        steps: Length of the run.
    """

    per_example: tuple[str, ...] = (
        "index", "x", "x_before", "gradient", "x_max", "gradient_max",
        "eta", "f", "f_max", "rises", "f_max_then", "halved_then",
    )  # fmt: skip

    def __init__(self, search: Worst, ball: Ball, index: Int[Tensor, " k"], start: Images, steps: int) -> None:
        self.ball = ball
        self.index = index
        self.images = search.images
        self._into_balls = ball.projector(search.images, BOX)
        self.project = self._into_balls[index]
        self.checkpoints = self.checkpoints_of(steps)
        self.x = self.x_before = self.x_max = self.project(start)
        self.gradient = self.gradient_max = torch.zeros_like(start)
        self.eta = self.first_length()
        self.f = start.new_full((len(start),), -torch.inf)
        self.f_max = self.f_max_then = self.f  # the best so far, and the best at the last checkpoint
        self.rises = torch.zeros_like(self.f)  # steps since the last checkpoint that raised f
        self.halved_then = torch.ones_like(self.f, dtype=torch.bool)

    def first_length(self) -> PerExample:
        """η⁽⁰⁾ = 2r."""
        return 2.0 * self.radii()

    def radii(self) -> PerExample:
        """The radius r of the examples that still run."""
        return self.ball.radii(len(self.images), self.images.device)[self.index].to(self.images)

    @staticmethod
    def checkpoints_of(steps: int) -> dict[int, int]:
        """The steps w_j after which progress is judged, each with the one before it.

        w_j = ⌈p_j·N⌉ with p_{j+1} = p_j + max(p_j − p_{j−1} − 0.03, 0.06), p_0 = 0, p_1 = 0.22 (section 3.2).
        """
        p = [0.0, 0.22]
        while p[-1] < 1:
            p.append(p[-1] + max(p[-1] - p[-2] - 0.03, 0.06))
        # Rounded first: 0.57·100 is a little more than 57 in binary.
        w = sorted({math.ceil(round(share * steps, 6)) for share in p if share <= 1})
        return {now: before for before, now in pairwise(w)}

    def record(self, f: Float[Tensor, " k"], gradient: Float[Tensor, "k c h w"]) -> None:
        """Take note of the objective and the gradient at x; on ties the earlier point stays the best."""
        f = f.to(self.f)
        self.rises = self.rises + ((f > self.f) & (self.f > -torch.inf)).to(f)
        better = f > self.f_max
        wide = better[:, None, None, None]
        self.x_max = torch.where(wide, self.x, self.x_max)
        self.gradient_max = torch.where(wide, gradient, self.gradient_max)
        self.f_max = torch.where(better, f, self.f_max)
        self.f, self.gradient = f, gradient

    def keep(self, stay: Bool[Tensor, " k"]) -> bool:
        """Let the other examples go, and say whether any is left."""
        for name in self.per_example:
            setattr(self, name, getattr(self, name)[stay])
        if len(self.index):
            self.project = self._into_balls[self.index]
        return bool(len(self.index))

    def go_on(self, k: int) -> None:
        """From x⁽ᵏ⁾ to x⁽ᵏ⁺¹⁾; at a checkpoint first judge the steps since the last one."""
        if k in self.checkpoints:
            self.judge(k - self.checkpoints[k])
        x = self.x
        self.x, self.x_before = self.after(k), x

    def judge(self, steps: int) -> None:
        """Halve η where the last steps raised f too seldom or not its best, and go on from the best point."""
        few = self.rises < _PROGRESS * steps
        stuck = ~self.halved_then & (self.f_max <= self.f_max_then)
        halved = few | stuck
        self.eta = torch.where(halved, self.eta / 2, self.eta)
        self.back_to_best(halved)
        self.rises = torch.zeros_like(self.rises)
        self.f_max_then, self.halved_then = self.f_max, halved

    def back_to_best(self, which: Bool[Tensor, " k"]) -> None:
        """Put these examples where their objective was greatest."""
        wide = which[:, None, None, None]
        self.x = torch.where(wide, self.x_max, self.x)
        self.gradient = torch.where(wide, self.gradient_max, self.gradient)
        self.f = torch.where(which, self.f_max, self.f)

    def after(self, k: int) -> Images:
        """x⁽ᵏ⁺¹⁾ = Π(x + α(z − x) + (1 − α)(x − x⁽ᵏ⁻¹⁾)), z = Π(x + η·d); z itself after the first step."""
        x = self.x
        z = self.project(uphill(self.ball.norm, self.gradient, x, self.eta, pixels=1))
        return z if k == 0 else self.project(x + _MOMENTUM * (z - x) + (1 - _MOMENTUM) * (x - self.x_before))


class SparseAutoSteps(AutoSteps):
    """The run in L1: a step is shared by k pixels, k follows from how sparse the best point is; no momentum.

    At every checkpoint k = ‖x_max − x‖₀/1.5. Where the best point has become sparser, the run goes on from there with
    the longest step; elsewhere the step gets shorter.

    Args:
        search: The images.
        ball: Around each of them.
        index: The examples that run.
        start: x⁽⁰⁾; put into ball and box.
        steps: Length of the run.
        first: Whether nothing is known yet of how many pixels to change.
    """

    per_example = (*AutoSteps.per_example, "pixels", "changed_then")

    def __init__(
        self, search: Worst, ball: Ball, index: Int[Tensor, " k"], start: Images, steps: int, *, first: bool
    ) -> None:
        super().__init__(search, ball, index, start, steps)
        dimensions = start[0].numel()
        self.changed_then = torch.full_like(index, dimensions) if first else self.changed()
        self.pixels = torch.full_like(index, math.ceil(_FIRST_SHARE * dimensions)) if first else self.fewer()

    def first_length(self) -> PerExample:
        """η⁽⁰⁾ = r."""
        return self.radii()

    @staticmethod
    def checkpoints_of(steps: int) -> dict[int, int]:
        """Every ⌊0.04·N⌋ steps."""
        every = max(int(0.04 * steps), 1)
        return {now: now - every for now in range(every, steps + 1, every)}

    def changed(self) -> Int[Tensor, " k"]:
        """‖x_max − x‖₀, x the image; what rounding moves by 10⁻⁶ of the radius or less is left out."""
        moved = (self.x_max - self.images[self.index]).abs().flatten(1)
        return (moved > 1e-6 * self.radii()[:, None]).sum(1)

    def fewer(self) -> Int[Tensor, " k"]:
        """k, the pixels that share the next steps."""
        return (self.changed_then / _THINNING).ceil().long().clamp_min(1)

    def judge(self, steps: int) -> None:
        """Adapt k, and go on from the best point with the longest step where it has become sparser."""
        changed = self.changed()
        sparser = changed < _SPARSER * self.changed_then
        longest = self.radii()
        self.eta = torch.where(sparser, longest, torch.maximum(self.eta / _THINNING, _SHORTEST * longest))
        self.changed_then = changed
        self.pixels = self.fewer()
        self.back_to_best(sparser)

    def after(self, k: int) -> Images:
        """x⁽ᵏ⁺¹⁾ = Π(x + η·d), d on k pixels."""
        return self.project(sparse(self.gradient, self.x, self.eta, self.pixels))
