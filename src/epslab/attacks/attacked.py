"""What an attack is, and what it returns."""

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Any, NamedTuple, Protocol, TypeVar, runtime_checkable

from jaxtyping import Bool, Float64, Int64
from torch import Generator, Tensor

from epslab.geometry import Ball
from epslab.types import Classifier, Images, Labels, Seeds


class Attacked(NamedTuple):
    """An attack's result, per example, re-measured on the returned images with the caller's own model.

    An image that the model gets wrong as it is counts as a success at distance 0 and is returned unchanged, unless the
    attack goes for the greatest loss (``leave_early=False``) or for one class in particular (a targeted goal).
    """

    images: Images  #: inside the ball and the box [0, 1]; dtype, device and memory format of the images given
    success: Bool[Tensor, " n"]  #: whether the goal is met: another class than the label, or the target
    distance: Float64[Tensor, " n"]  #: from the images given, in the attack's norm (L2 where it has none)
    queries: Int64[Tensor, " n"]  #: forward evaluations spent, the final re-measurement not counted
    gradients: Int64[Tensor, " n"]  #: gradient evaluations spent; each is one of the queries, too


@runtime_checkable
class Attack(Protocol):
    """What an attack answers and does: a frozen dataclass that you call. It leaves the model as it was."""

    @property
    def norm(self) -> str:
        """The norm its distances are in: "linf", "l2" or "l1"; "l2" for an attack that has none."""
        ...

    @property
    def radius(self) -> float | Tensor:
        """How far it may go in that norm; ``math.inf`` without a ball, a tensor [n] for a radius per example."""
        ...

    def part(self, index: Tensor) -> "Attack":
        """The same attack for the examples with these indices: radii, targets and starting points go along."""
        ...

    def thorough(self) -> "Attack":
        """The same attack, going for the greatest loss of every example instead of stopping at its first success."""
        ...

    def __call__(
        self,
        model: Classifier,
        images: Images,
        labels: Labels,
        *,
        generator: Generator | None = None,
        seeds: Seeds | None = None,
    ) -> Attacked:
        """Attack every image.

        Args:
            model: Images in [0, 1] to logits.
            images: [n c h w] in [0, 1].
            labels: The true classes, [n].
            generator: Where the examples' seeds are drawn; None: torch's default one, which moves on, so that a second
                call draws other noise. Given a generator or seeds, the default one stays as it was.
            seeds: The examples' own seeds instead, [n]: the result then does not depend on batch mates.
        """
        ...


class Given(NamedTuple):
    """What an attack is given when it is called; see ``Attack``."""

    model: Classifier
    images: Tensor
    labels: Tensor
    generator: Generator | None
    seeds: Tensor | None


T = TypeVar("T")
S = TypeVar("S", bound="InBall")
W = TypeVar("W", bound="OfOne")
D = TypeVar("D", bound="Called")


@runtime_checkable
class PerExampleSetting(Protocol):
    """A setting that holds something for each example, such as ``targeted(labels)``."""

    def part(self, index: Tensor) -> Any:
        """The setting for the examples with these indices."""
        ...


def part_of(setting: T, index: Tensor) -> T:
    """A goal or an objective for these examples: itself, unless it holds something for each of them."""
    return setting.part(index) if isinstance(setting, PerExampleSetting) else setting


class Called(ABC):
    """How the attacks here are called; what each does is its ``_attack``."""

    # Plain annotations: what is given is checked by every attack itself, with a sentence.
    def __call__(
        self,
        model: Classifier,
        images: Tensor,
        labels: Tensor,
        *,
        generator: Generator | None = None,
        seeds: Tensor | None = None,
    ) -> Attacked:
        """Attack images [n c h w] in [0, 1] with their true labels [n]; see ``epslab.attacks.Attack``."""
        return self._attack(Given(model, images, labels, generator, seeds))

    @abstractmethod
    def _attack(self, given: Given) -> Attacked: ...


def replaced(attack: D, /, **changes: Any) -> D:
    """The attack with other fields."""
    return replace(attack, **changes)  # type: ignore[type-var]


class InBall(Called):
    """An attack with a field ``ball``, whose norm and radius it has, and a field ``leave_early``."""

    ball: Ball

    @property
    def norm(self) -> str:
        """The ball's norm."""
        return str(self.ball.norm)

    @property
    def radius(self) -> float | Tensor:
        """The ball's radius; a tensor [n] for a radius per example."""
        return self.ball.radius if isinstance(self.ball.radius, Tensor) else float(self.ball.radius)

    def part(self: S, index: Tensor) -> S:
        """The same attack for the examples with these indices."""
        return replaced(self, ball=self.ball[index])

    def thorough(self: S) -> S:
        """The same attack for the greatest loss of every example."""
        return replaced(self, leave_early=False)


class OfOne(Called):
    """An attack made of another one, the field ``attack``, whose norm and radius it has."""

    attack: Attack

    @property
    def norm(self) -> str:
        """The attack's."""
        return self.attack.norm

    @property
    def radius(self) -> float | Tensor:
        """The attack's."""
        return self.attack.radius

    def part(self: W, index: Tensor) -> W:
        """The same attack for the examples with these indices."""
        return replaced(self, attack=self.attack.part(index))
