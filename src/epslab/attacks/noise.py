"""Random noise: the baseline that any use of the gradient must beat."""

from dataclasses import dataclass

import torch
from torch import Tensor

from epslab.attacks.attacked import Attacked, Given, InBall
from epslab.attacks.checks import require_ball, require_counts
from epslab.attacks.keeping import Index, Worst
from epslab.attacks.objectives import cross_entropy
from epslab.attacks.victim import asking
from epslab.geometry import Ball
from epslab.seeds import fork, uniform


@dataclass(frozen=True)
class RandomNoise(InBall):
    """Noise of the size of the ball, without a gradient; of several draws the worst is kept.

    In the maximum norm every pixel moves by ± radius: as far as FGSM moves it. In the other norms, and with
    ``uniform``, the noise is uniform in the ball.

    >>> from epslab.geometry import Linf
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
    >>> images, labels = torch.full((2, 1, 8, 8), 0.5), torch.tensor([3, 7])
    >>> found = RandomNoise(Linf(0.25), leave_early=False)(net, images, labels)
    >>> found.distance
    tensor([0.2500, 0.2500], dtype=torch.float64)

    Args:
        ball: The perturbations allowed, in units of the pixel range [0, 1].
        draws: Perturbations tried per image, ≥ 1.
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
        require_ball(self, self.ball)
        require_counts(draws=self.draws)

    def _attack(self, given: Given) -> Attacked:
        with asking(given) as victim:
            kept = Worst(victim, self.ball, objective=cross_entropy, leave_early=self.leave_early)
            for draw in range(self.draws):
                if len(index := kept.open()):
                    kept.look(index, self._points(kept, index, draw))
            return kept.result(given.images)

    def _points(self, kept: Worst, index: Index, draw: int) -> Tensor:
        """This draw's points for these examples, in ball and box."""
        if self.ball.norm != "linf" or self.uniform:
            return kept.start(index, draw)
        ball, centre = kept.ball[index], kept.images[index]
        u = uniform(fork(kept.victim.seeds[index], "sign"), draw, tuple(centre.shape[1:]), centre.dtype)
        # A step of 2·radius, projected: the corner of the ball, rounded as every other point is.
        step = 2.0 * torch.as_tensor(ball.radius).to(centre).view(-1, 1, 1, 1)
        return kept.projector(index)(centre + torch.where(u < 0.5, -step, step))
