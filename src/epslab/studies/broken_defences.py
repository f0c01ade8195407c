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


class Behind(nn.Module):
    """A net behind a defence.

    Args:
        net: Images to logits.
        answer: The net and images to logits.
    """

    def __init__(self, net: nn.Module, answer: Callable[[nn.Module, Images], Logits]) -> None:
        super().__init__()
        self.net = net
        self.answer = answer

    def forward(self, images: Images) -> Logits:
        """Logits, as the defence gives them."""
        return self.answer(self.net, images)


def scaled(net: nn.Module, images: Images) -> Logits:
    """Logits times ``SCALE``: no answer changes."""
    logits: Tensor = net(images)
    return SCALE * logits


def rounded(net: nn.Module, images: Images) -> Logits:
    """Logits of the image with every pixel rounded to one of ``LEVELS`` values: the derivative is zero."""
    logits: Tensor = net((images * (LEVELS - 1)).round() / (LEVELS - 1))
    return logits


def straight_through(net: nn.Module, images: Images) -> Logits:
    """The logits of ``rounded``, with the gradient as if nothing were rounded: the attacker's version."""
    logits: Tensor = net(images + ((images * (LEVELS - 1)).round() / (LEVELS - 1) - images).detach())
    return logits


def noisy(std: float, draws: int = 1) -> Callable[[nn.Module, Images], Logits]:
    """Logits under new noise at every question, averaged over draws (1, or more for the attacker)."""

    def answer(net: nn.Module, images: Images) -> Logits:
        noise = torch.randn(draws, *images.shape).to(images)
        logits: Tensor = net((images + std * noise).flatten(0, 1))
        return logits.view(draws, len(images), -1).mean(0)

    return answer


def probabilities(net: nn.Module, images: Images) -> Logits:
    """The softmax: a cross-entropy of it takes the softmax twice."""
    logits: Tensor = net(images)
    return logits.softmax(1)


@dataclass(frozen=True)
class Wrapped:
    """A defence.

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


def _net(net: nn.Module, _: float) -> nn.Module:
    return net


DEFENCES = (
    Wrapped("honest", "nothing", _net, _net, "the net itself"),
    Wrapped(
        "scaled",
        f"logits times {SCALE:,.0f}, so that the cross-entropy saturates",
        lambda net, _: Behind(net, scaled),
        _net,
        "the logits before scaling",
    ),
    Wrapped(
        "rounded",
        f"pixels rounded to {LEVELS} levels, which has no derivative",
        lambda net, _: Behind(net, rounded),
        lambda net, _: Behind(net, straight_through),
        "the rounding's gradient taken as 1",
    ),
    Wrapped(
        "noisy",
        "new noise on the image for every answer, its standard deviation the radius",
        lambda net, radius: Behind(net, noisy(radius)),
        lambda net, radius: Behind(net, noisy(radius, DRAWS)),
        f"the mean of {DRAWS} answers",
    ),
    Wrapped(
        "softmax",
        "probabilities for logits",
        lambda net, _: Behind(net, probabilities),
        _net,
        "the logits before the softmax",
    ),
)
"""The net as it is, and four defences that defend nothing."""
