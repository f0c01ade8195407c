"""What an attack is, and what it returns."""

import inspect
from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Any, NamedTuple, Protocol, TypeVar, runtime_checkable

from jaxtyping import Bool, Float64, Int64
from torch import Generator, Tensor

from epslab import notebook
from epslab.arrays import ImagesLike, LabelsLike, as_images, as_labels
from epslab.errors import UserError
from epslab.geometry import Ball
from epslab.runs import number, percent
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

    def __repr__(self) -> str:
        told = ", ".join(f"{what} {value}" for what, value in self._told())
        return f"<Attacked: {told}>"

    def _repr_html_(self) -> str:
        return notebook.shown("Attacked", self._told(), right=(False, True))

    def _told(self) -> list[tuple[str, str]]:
        """The result in a few numbers."""
        n, found = len(self.success), self.distance[self.success].double()
        rows = [("images", f"{n:,}")]
        if n:
            rows += [("successes", percent(self.success.double().mean().item()))]
            rows += [("their median distance", number(found.quantile(0.5).item()))] if len(found) else []
            costs = (("queries per image", self.queries), ("gradients per image", self.gradients))
            rows += [(what, number(spent.double().mean().item())) for what, spent in costs]
        return rows


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


def require_attack(attack: object, what: str) -> None:
    """Refuse what is no attack.

    Args:
        attack: Anything.
        what: How a sentence calls it, e.g. "The attack 'mine'".

    Raises:
        UserError: It is none, or takes no seeds.
    """
    if isinstance(attack, type) or not isinstance(attack, Attack):
        shown = f"the class {attack.__name__}" if isinstance(attack, type) else repr(attack)
        raise UserError(
            f"{what} is {shown}; give an attack with its settings: PGD(Linf(8/255)), or an object"
            " of your own with norm, radius, part, thorough and __call__ (see epslab.attacks.Attack)."
        )
    taken = inspect.signature(attack).parameters
    if "seeds" not in taken and all(one.kind is not one.VAR_KEYWORD for one in taken.values()):
        raise UserError(
            f"{what} takes no seeds: let its __call__ take (model, images, labels, *, generator=None, seeds=None) and"
            " draw its noise from the examples' seeds (see epslab.attacks.Attack)."
        )


def require_attacked(found: object, what: str, n: int) -> None:
    """Refuse what is no result for n images.

    Args:
        found: What an attack returned.
        what: How a sentence calls the attack.
        n: The number of images.

    Raises:
        UserError: It has not the fields of ``Attacked``, each with one row per image.
    """
    parts = {field: getattr(found, field, None) for field in ("images", "success", "queries", "gradients")}
    for field, part in parts.items():
        if isinstance(part, Tensor) and part.ndim and len(part) == n:
            continue
        kind = f"a {type(found).__name__}" if found is not None else "None"
        wrong = kind if all(known is None for known in parts.values()) else f"{field} that are not one per image"
        raise UserError(
            f"{what} returned {wrong}, but must return epslab.attacks.Attacked(images, success, distance, queries,"
            " gradients), tensors with one row per image."
        )


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
        images: ImagesLike,
        labels: LabelsLike,
        *,
        generator: Generator | None = None,
        seeds: Tensor | None = None,
    ) -> Attacked:
        """Attack images [n c h w] in [0, 1] with their true labels [n]; see ``epslab.attacks.Attack``.

        Both may be numpy arrays, the labels a list.
        """
        return self._attack(Given(model, as_images(images), as_labels(labels), generator, seeds))

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
