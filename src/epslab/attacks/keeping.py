"""What keeps: of all points a search has met, the one of each example that the attack returns.

``Worst`` keeps the point of greatest loss in a ball, ``Nearest`` the success of least distance. The attack offers
points; a success counts once the caller's own model, in full precision, says so.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cached_property, partial

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from epslab.attacks.attacked import Attacked
from epslab.attacks.goals import Aim, Goal, untargeted
from epslab.attacks.objectives import LogitLoss
from epslab.attacks.victim import Victim
from epslab.geometry import Ball, Projector
from epslab.seeds import fork
from epslab.types import Images, Logits, PerExample

Index = Int[Tensor, " k"]
"""The examples that the rows of a part of the batch belong to, ascending."""
Points = Float[Tensor, "k c h w"]


class _Keeper(ABC):
    """The point kept of each example, and whether it is a success.

    Args:
        victim: The model under attack, with images, labels and seeds.
        goal: What counts as success.
    """

    def __init__(self, victim: Victim, goal: Goal) -> None:
        self.victim = victim
        self.images = victim.images
        self.aim = Aim(victim.labels) if goal is untargeted else goal(victim.clean, victim.labels)
        self.points = victim.images.clone()
        self.success = torch.zeros_like(victim.labels, dtype=torch.bool)
        self.confirmed = torch.zeros_like(self.success)  # by the caller's own model, at the point kept
        self.everyone = torch.arange(len(self.images), device=self.images.device)

    @abstractmethod
    def open(self) -> Index:
        """The examples still to search for."""

    def _confirm(self, success: Tensor, confirmed: Tensor, which: Tensor, index: Index, points: Points) -> None:
        """Ask the caller's model about these successes."""
        if which.any():
            found = which.nonzero()[:, 0]
            success[found] = self.aim[index[found]].met(self.victim.ask(points[found], index[found]))
            confirmed[found] = True

    def _result(self, template: Images, again: Bool[Tensor, " n"], norm: str) -> Attacked:
        """What was found, with success measured once more on the images returned of these examples."""
        returned = torch.empty_like(template).copy_(self.points)
        index = again.nonzero()[:, 0]
        if len(index):
            self.success[index] = self.aim[index].met(self.victim.measure(returned[index], index))
        self.victim.require_finite()
        distance = Ball(norm, 0.0).distance(returned, self.images)
        return Attacked(returned, self.success, distance, self.victim.queries, self.victim.gradients)


class Worst(_Keeper):
    """Keeps the worst point in the ball: a success before a failure, a greater value before a smaller one.

    On ties the later point is kept: where the objective is flat to rounding, steps still lead somewhere.

    With ``leave_early`` the clean images are looked at first, and those that meet the goal already are not searched
    for. Otherwise they are only looked at where the goal needs their logits.

    Args:
        victim: The model under attack.
        ball: Around each image.
        goal: What counts as success.
        objective: What is to rise (to fall, for a targeted goal).
        leave_early: Let an example go at its first confirmed success.
    """

    def __init__(
        self,
        victim: Victim,
        ball: Ball,
        *,
        goal: Goal = untargeted,
        objective: LogitLoss,
        leave_early: bool = True,
    ) -> None:
        super().__init__(victim, goal)
        # Radii per example are indexed by examples on the images' device.
        radii = ball.radii(len(self.images), self.images.device)
        self.ball = Ball(ball.norm, radii) if isinstance(ball.radius, Tensor) else ball
        self.objective = objective
        self.leave_early = leave_early
        wide = torch.promote_types(self.images.dtype, torch.float32)
        self.value = self.images.new_full((len(self.images),), -torch.inf, dtype=wide)
        if leave_early or goal is not untargeted:
            self.offer(self.everyone, self.images, victim.clean, self.rise(self.everyone)(victim.clean), trusted=True)

    def open(self) -> Index:
        """The examples still to search for."""
        return (~(self.success & self.confirmed)).nonzero()[:, 0] if self.leave_early else self.everyone

    def rise(self, index: Index) -> Callable[[Logits], PerExample]:
        """What is to rise for these examples, from their logits."""
        return partial(self.aim[index].rise, self.objective)

    def offer(
        self, index: Index, points: Points, logits: Float[Tensor, "k classes"], value: PerExample, *, trusted: bool
    ) -> Bool[Tensor, " k"]:
        """Keep the points that are worse for the model than what there is, and say which examples have left.

        Args:
            index: The examples the points belong to.
            points: In the ball and the box.
            logits: There, of the caller's model or of its fast copy.
            value: What is to rise, there.
            trusted: Whether the logits are the caller's own model's.
        """
        success = self.aim[index].met(logits)
        confirmed = torch.full_like(success, trusted)
        if self.leave_early and not trusted:
            self._confirm(success, confirmed, success.clone(), index, points)
        before, own = self.success[index], value.to(self.value.dtype)
        better = (success & ~before) | ((success == before) & (own >= self.value[index]))
        if len(index) == len(self.images):  # everyone, in order: no gathering, and no waiting for a GPU
            self.points = torch.where(better[:, None, None, None], points, self.points)
            self.value = torch.where(better, own, self.value)
            self.success = torch.where(better, success, self.success)
            self.confirmed = torch.where(better, confirmed, self.confirmed)
        else:
            kept = index[better]
            self.points[kept], self.value[kept] = points[better], own[better]
            self.success[kept], self.confirmed[kept] = success[better], confirmed[better]
        return (self.success & self.confirmed)[index] if self.leave_early else torch.zeros_like(better)

    def look(self, index: Index, points: Points) -> Bool[Tensor, " k"]:
        """Offer points without taking a gradient there; say which examples have left."""
        logits = self.victim.ask(points, index)
        return self.offer(index, points, logits, self.rise(index)(logits), trusted=True)

    def start(self, index: Index, counter: int) -> Points:
        """Points drawn uniformly from the balls, in the box; the same for an example wherever it is."""
        own = fork(self.victim.seeds[index], "start")
        return self.ball[index].sample(self.images[index], seeds=own, counter=counter).clamp_(0, 1)

    def projector(self, index: Index) -> Projector:
        """The map into balls and box."""
        return self._into_balls[index]

    @cached_property
    def _into_balls(self) -> Projector:
        return self.ball.projector(self.images, box=(0.0, 1.0))

    def result(self, template: Images) -> Attacked:
        """What was found, measured again on the images returned.

        Args:
            template: The images given, whose type and memory format the result has.
        """
        again = torch.ones_like(self.success) if self.leave_early else ~self.confirmed
        return self._result(template, again, str(self.ball.norm))


class Nearest(_Keeper):
    """Keeps the success of least distance, on ties the earlier one; where there is none, the image itself.

    Images that meet the goal as they are have distance 0 and are not searched for.

    Args:
        victim: The model under attack.
        norm: Of the distance: "linf", "l2" or "l1".
        goal: What counts as success.
    """

    def __init__(self, victim: Victim, norm: str, *, goal: Goal = untargeted) -> None:
        super().__init__(victim, goal)
        self.norm = norm
        self.distance = torch.full_like(victim.labels, torch.inf, dtype=torch.float64)
        self.offer(self.everyone, self.images, victim.clean, trusted=True)

    def open(self) -> Index:
        """The examples still to search for."""
        return (self.distance > 0).nonzero()[:, 0]

    def offer(
        self, index: Index, points: Points, logits: Float[Tensor, "k classes"], *, trusted: bool
    ) -> Bool[Tensor, " k"]:
        """Keep the successes that are nearer than what there is, and say which examples are nearer now.

        Args:
            index: The examples the points belong to.
            points: In the box.
            logits: There, of the caller's model or of its fast copy.
            trusted: Whether the logits are the caller's own model's.
        """
        success = self.aim[index].met(logits)
        confirmed = torch.full_like(success, trusted)
        distance = Ball(self.norm, 0.0).distance(points, self.images[index])
        nearer = distance < self.distance[index]
        if not trusted:
            self._confirm(success, confirmed, success & nearer, index, points)
        nearer = nearer & success
        kept = index[nearer]
        self.points[kept], self.distance[kept] = points[nearer], distance[nearer]
        self.success[kept], self.confirmed[kept] = True, confirmed[nearer]
        return nearer

    def look(self, index: Index, points: Points) -> Bool[Tensor, " k"]:
        """Offer points without taking a gradient there; say which examples are nearer now."""
        return self.offer(index, points, self.victim.ask(points, index), trusted=True)

    def result(self, template: Images) -> Attacked:
        """What was found, measured again on the images returned.

        Args:
            template: The images given, whose type and memory format the result has.
        """
        return self._result(template, torch.ones_like(self.success), self.norm)
