"""What an attack is, and what it returns."""

from abc import ABC, abstractmethod
from typing import NamedTuple, Protocol, runtime_checkable

from jaxtyping import Bool, Float64, Int64
from torch import Generator, Tensor

from epslab.types import Classifier, Images, Labels, Seeds


class Attacked(NamedTuple):
    """An attack's result, per example, re-measured on the returned images with the caller's own model.

    An image that the model gets wrong as it is counts as a success at distance 0 and is returned as it came, unless
    the attack goes for the greatest loss (``leave_early=False``) or for a class of its own (a targeted goal).
    """

    images: Images  #: inside the ball and the box [0, 1]; dtype, device and memory format of the images given
    success: Bool[Tensor, " n"]  #: whether the goal is met: another class than the label, or the target
    distance: Float64[Tensor, " n"]  #: from the images given, in the attack's norm (L2 where it has none)
    queries: Int64[Tensor, " n"]  #: forward evaluations spent, the final re-measurement not counted
    gradients: Int64[Tensor, " n"]  #: gradient evaluations spent; each is one of the queries, too


@runtime_checkable
class Attack(Protocol):
    """An attack is called; it leaves the model as it was, and torch's own generators too."""

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
            generator: Where the examples' seeds are drawn; None: torch's default one as it stands, given back as it
                was, so that a second call repeats the first.
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
