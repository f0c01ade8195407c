"""The worst point of each example that a search has met, and which examples are still worth searching for.

The state every attack of a ball shares: it offers points, the search keeps the better ones and lets an example go once
the caller's own model confirms a success at full precision.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from epslab import seeds as noise
from epslab.attacks.attacked import Attacked, Given
from epslab.attacks.borrowed import borrowed
from epslab.attacks.checks import checked
from epslab.attacks.goals import Aim, Goal, untargeted
from epslab.attacks.objectives import Objective
from epslab.attacks.victim import Victim, worth_folding
from epslab.geometry import Ball, Projector
from epslab.types import Images, Logits, Seeds


class Search:
    """Made by ``searching``; see there.

    Args:
        victim: The model.
        images: The clean images, [n c h w].
        seeds: The examples' own, [n].
        ball: Around each image.
        leave_early: Let an example go at its first confirmed success.
    """

    def __init__(self, victim: Victim, images: Images, seeds: Seeds, ball: Ball, leave_early: bool) -> None:
        self.victim = victim
        self.images = images
        self.seeds = seeds
        # Radii per example are indexed by examples on the images' device.
        radii = ball.radii(len(images), images.device)
        self.ball = Ball(ball.norm, radii) if isinstance(ball.radius, Tensor) else ball
        self.leave_early = leave_early
        self.clean: Logits | None = None
        self.aim = Aim(victim.labels)
        self.worst = images.clone()
        self.value = images.new_full((len(images),), -torch.inf, dtype=torch.promote_types(images.dtype, torch.float32))
        self.success = torch.zeros(len(images), dtype=torch.bool, device=images.device)
        self.confirmed = torch.zeros_like(self.success)  # by the caller's own model, at the point kept

    def open(self) -> Int[Tensor, " k"]:
        """The examples still to search for."""
        return (~(self.success & self.confirmed) if self.leave_early else torch.ones_like(self.success)).nonzero()[:, 0]

    def offer(
        self,
        index: Int[Tensor, " k"],
        points: Float[Tensor, "k c h w"],
        logits: Float[Tensor, "k classes"],
        value: Float[Tensor, " k"],
        *,
        trusted: bool,
    ) -> Bool[Tensor, " k"]:
        """Keep the points that are worse for the model than what there is, and say which examples have left.

        A success is worse than a failure, and a greater value worse than a smaller; of equals the later one is kept.

        Args:
            index: The examples the points belong to.
            points: In the ball and the box.
            logits: There, of the caller's model or of its fast copy.
            value: What is to rise, there.
            trusted: Whether the logits are the caller's own model's.
        """
        success = self.aim[index].met(logits)
        confirmed = torch.full_like(success, trusted)
        if self.leave_early and not trusted and success.any():
            found = success.nonzero()[:, 0]
            success[found] = self.aim[index[found]].met(self.victim.ask(points[found], index[found]))
            confirmed[found] = True
        before, own = self.success[index], value.to(self.value.dtype)
        # Of equals the later one: where the objective is flat to rounding, steps still lead somewhere.
        better = (success & ~before) | ((success == before) & (own >= self.value[index]))
        if len(index) == len(self.images):  # everyone, in order: one pass, no gathering
            self.worst = torch.where(better[:, None, None, None], points, self.worst)
        else:
            self.worst[index[better]] = points[better]
        kept = index[better]
        self.value[kept] = own[better]
        self.success[kept] = success[better]
        self.confirmed[kept] = confirmed[better]
        left = self.success & self.confirmed
        return left[index] if self.leave_early else torch.zeros_like(better)

    def start(self, index: Int[Tensor, " k"], counter: int) -> Float[Tensor, "k c h w"]:
        """Points drawn uniformly from the balls, in the box; the same for an example wherever it is."""
        drawn = self.ball[index].sample(
            self.images[index], seeds=noise.fork(self.seeds[index], "start"), counter=counter
        )
        return drawn.clamp_(0, 1)

    def projector(self, index: Int[Tensor, " k"]) -> Callable[[Tensor], Tensor]:
        """The map into balls and box."""
        return self._into_balls[index]

    @cached_property
    def _into_balls(self) -> Projector:
        return self.ball.projector(self.images, box=(0.0, 1.0))

    def result(self, template: Images) -> Attacked:
        """What was found, measured again on the images returned."""
        returned = torch.empty_like(template).copy_(self.worst)
        again = (~self.confirmed | self.leave_early).nonzero()[:, 0]
        if len(again):
            self.success[again] = self.aim[again].met(self.victim.measure(returned[again], again))
        distance = self.ball.distance(returned, self.images)
        return Attacked(returned, self.success, distance, self.victim.queries, self.victim.gradients)


@contextmanager
def searching(
    given: Given,
    ball: Ball,
    *,
    goal: Goal = untargeted,
    objective: Objective,
    leave_early: bool = True,
    gradient_steps: int = 0,
    compiled: bool = False,
) -> Iterator[Search]:
    """Check the inputs, borrow the model, and open a search that starts at the clean images.

    With ``leave_early`` the clean images are looked at first: those that meet the goal already are not searched for.
    Otherwise they are only looked at where the goal needs their logits.

    Args:
        given: Model, images, labels, and where the examples' seeds come from.
        ball: Around each image.
        goal: What counts as success.
        objective: What is to rise (to fall, for a targeted goal).
        leave_early: Let an example go at its first confirmed success.
        gradient_steps: How many gradients an example may need: whether a folded copy is worth making.
        compiled: Let ``torch.compile`` make that copy.

    Raises:
        UserError: The inputs are not what an attack can work on, or the model gives no finite logits.
    """
    model, images, labels, generator, seeds = given
    x, y = checked(images, labels, seeds)
    with borrowed(model, x.device):
        own = noise.draw(len(x), generator, x.device) if seeds is None else seeds.to(x.device)
        x = x.clone()  # a normal tensor, also of images made in inference mode
        victim = Victim(model, y.clone())
        search = Search(victim, x, own, ball, leave_early)
        everyone = torch.arange(len(x), device=x.device)
        clean = None
        if leave_early or goal is not untargeted:
            clean = victim.measure(x)
            victim.queries += 1
            search.clean = clean
            search.aim = goal(clean, victim.labels)
            search.offer(everyone, x, clean, search.aim.rise(objective, clean), trusted=True)
        if gradient_steps and (compiled or worth_folding(gradient_steps, tuple(x.shape[1:]))):
            victim.speed_up(x, clean, compiled)
        yield search
