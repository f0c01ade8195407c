"""Defences that only look like some: each hides the gradient of a net that is as easily fooled as before.

Each comes with what an attacker who has seen through it attacks in its place (Athalye et al., 2018, section 4).
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from epslab.types import Classifier, Images, Logits

SCALE = 1e4
"""Of logits: the cross-entropy of a right answer is then exactly 0 in float32, and so is its gradient."""
LEVELS = 12
"""Of a rounded pixel."""
DRAWS = 8
"""Answers that an attack through noise averages (expectation over transformation)."""


class Scaled(nn.Module):
    """The net's logits times ``SCALE``: no answer changes."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: Images) -> Logits:
        """Scaled logits."""
        logits: Tensor = self.net(images)
        return SCALE * logits


class Rounded(nn.Module):
    """The net behind a step that rounds every pixel to one of ``LEVELS`` values: its derivative is zero.

    Args:
        net: Images to logits.
        straight_through: Let the gradient pass as if nothing were rounded (the attacker's version).
    """

    def __init__(self, net: nn.Module, *, straight_through: bool = False) -> None:
        super().__init__()
        self.net = net
        self.straight_through = straight_through

    def forward(self, images: Images) -> Logits:
        """Logits of the rounded images."""
        rounded = (images * (LEVELS - 1)).round() / (LEVELS - 1)
        logits: Tensor = self.net(images + (rounded - images).detach() if self.straight_through else rounded)
        return logits


class Noisy(nn.Module):
    """The net at images with new noise at every question.

    Args:
        net: Images to logits.
        std: Standard deviation of the noise, in units of the pixel range.
        draws: Answers that are averaged: 1, or more for the attacker.
    """

    def __init__(self, net: nn.Module, std: float, *, draws: int = 1) -> None:
        super().__init__()
        self.net = net
        self.std = std
        self.draws = draws

    def forward(self, images: Images) -> Logits:
        """Logits, averaged over the draws."""
        noise = torch.randn(self.draws, *images.shape).to(images)
        logits: Tensor = self.net((images + self.std * noise).flatten(0, 1))
        return logits.view(self.draws, len(images), -1).mean(0)


class Probabilities(nn.Module):
    """The net's softmax: whoever takes a cross-entropy of it takes the softmax twice."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: Images) -> Logits:
        """Probabilities."""
        logits: Tensor = self.net(images)
        return logits.softmax(1)


@dataclass(frozen=True)
class Wrapped:
    """A defence round a net.

    Args:
        name: In a table's heading.
        trick: What it does.
        defend: The net, and the radius of the attack, to what is evaluated.
        through: Likewise, to what an attacker who sees through it attacks.
        way: What that is.
    """

    name: str
    trick: str
    defend: Callable[[nn.Module, float], Classifier]
    through: Callable[[nn.Module, float], Classifier]
    way: str


DEFENCES = (
    Wrapped("honest", "nothing", lambda net, _: net, lambda net, _: net, "the net itself"),
    Wrapped(
        "scaled",
        f"logits times {SCALE:,.0f}, so that the cross-entropy saturates",
        lambda net, _: Scaled(net),
        lambda net, _: net,
        "the logits before scaling",
    ),
    Wrapped(
        "rounded",
        f"pixels rounded to {LEVELS} levels, which has no derivative",
        lambda net, _: Rounded(net),
        lambda net, _: Rounded(net, straight_through=True),
        "the rounding's gradient taken as 1",
    ),
    Wrapped(
        "noisy",
        "new noise on the image for every answer, its standard deviation the radius",
        Noisy,
        lambda net, radius: Noisy(net, radius, draws=DRAWS),
        f"the mean of {DRAWS} answers",
    ),
    Wrapped(
        "softmax",
        "probabilities for logits",
        lambda net, _: Probabilities(net),
        lambda net, _: net,
        "the logits before the softmax",
    ),
)
"""The net as it is, and four defences that defend nothing."""
