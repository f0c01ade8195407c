"""What a recipe's work is: the parts in which training one kind of model differs from training another."""

from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple, Protocol, runtime_checkable

from torch import nn

from epslab.data import ImageSet
from epslab.runs import Run
from epslab.training.turns import OptimiserFactory, ScheduleFactory
from epslab.types import ImageShape, Objective


class Splits(NamedTuple):
    """The three parts of a data set; validation is held out of the training images, never of the test images."""

    train: ImageSet
    validation: ImageSet
    test: ImageSet


@runtime_checkable
class Work(Protocol):
    """From a recipe's settings to a model, its training and its measurement; ``epslab.recipes.running`` does the rest.

    ``estimates`` are the keyword arguments that ``measure`` takes beside those every kind of model has.
    """

    estimates: ClassVar[tuple[str, ...]]

    def choose(self, images: ImageSet) -> ImageSet:
        """Of all training images those to train and validate on."""
        ...

    def prepare(self, images: ImageSet, seed: int, *, measuring: bool) -> ImageSet:
        """The images as the model wants them, to train on or to be measured with."""
        ...

    def build(self, images: ImageSet, seed: int) -> nn.Module:
        """The untrained model for these training images; the same seed gives the same weights."""
        ...

    def rebuild(self, about: Mapping[str, Any], seed: int) -> nn.Module:
        """The model into which a run's weights fit, from the run's ``provenance``."""
        ...

    def objective(self, model: nn.Module, image_shape: ImageShape) -> Objective:
        """What is minimised."""
        ...

    @property
    def learning_rate(self) -> float:
        """The learning rate, at its highest."""
        ...

    def optimiser(self) -> OptimiserFactory | None:
        """Makes the optimiser; None: Adam."""
        ...

    def schedule(self) -> ScheduleFactory | None:
        """Makes the learning rate's schedule; None: constant."""
        ...

    def look(self, model: nn.Module, epoch: int, run: Run, seed: int) -> None:
        """Draw what is to be seen of the model after so many epochs."""
        ...

    def measure(
        self,
        model: nn.Module,
        run: Run,
        images: ImageSet,
        *,
        batch_size: int,
        seed: int,
        progress: bool,
        **estimates: Any,
    ) -> dict[str, Any]:
        """Measure the trained model: numbers, and pictures in the run's figures folder."""
        ...
