"""Random noise: the baseline that any use of the gradient must beat."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from epslab import seeds as noise
from epslab.attacks.ascent import look
from epslab.attacks.attacked import Attacked, Given, InBall
from epslab.attacks.checks import require_counts
from epslab.attacks.objectives import cross_entropy
from epslab.attacks.search import searching
from epslab.geometry import Ball


@dataclass(frozen=True)
class RandomNoise(InBall):
    """Noise of the size of the ball, without a gradient; of several draws the worst is kept.

    In the maximum norm every pixel moves by ± radius: as far as FGSM moves it. In the other norms, and with
    ``uniform``, the noise is uniform in the ball.

    Args:
        ball: The perturbations allowed, in units of the pixel range [0, 1].
        draws: Perturbations tried an image, ≥ 1.
        uniform: Uniform in the ball in the maximum norm, too.
        leave_early: Stop drawing for an image at its first success, and leave alone those already wrong.

    Raises:
        UserError: draws < 1, and when called, inputs that cannot be attacked.
    """

    ball: Ball
    draws: int = 1
    uniform: bool = False
    leave_early: bool = True

    def __post_init__(self) -> None:
        """Refuse settings that cannot work."""
        require_counts(draws=self.draws)

    def part(self, index: Tensor) -> "RandomNoise":
        """The same attack for the examples with these indices."""
        return replace(self, ball=self.ball[index])

    def thorough(self) -> "RandomNoise":
        """The same attack for the greatest loss."""
        return replace(self, leave_early=False)

    def _attack(self, given: Given) -> Attacked:
        with searching(
            given,
            self.ball,
            objective=cross_entropy,
            leave_early=self.leave_early,
        ) as search:
            for draw in range(self.draws):
                index = search.open()
                if not len(index):
                    break
                points = search.start(index, draw)
                if self.ball.norm == "linf" and not self.uniform:
                    ball, centre = self.ball[index], search.images[index]
                    u = noise.uniform(
                        noise.fork(search.seeds[index], "sign"), draw, tuple(centre.shape[1:]), centre.dtype
                    )
                    # A step of 2·radius, projected: the corner of the ball, rounded as every other point is.
                    step = 2.0 * torch.as_tensor(ball.radius).to(centre).view(-1, 1, 1, 1)
                    points = search.projector(index)(centre + torch.where(u < 0.5, -step, step))
                look(search, index, points, cross_entropy)
            return search.result(given.images)
