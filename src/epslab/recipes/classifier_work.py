"""The work of a classifier's recipe: halves of the data, normalisation, the loss with its defence, what is measured."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, cast

from torch import nn
from torch.optim import SGD, AdamW

from epslab import seeds
from epslab.classifiers import ClassifierObjective, CrossEntropy, Normalised
from epslab.data import ImageSet
from epslab.errors import UserError
from epslab.recipes.adversarial import AdversarialObjective
from epslab.recipes.classifier import ClassifierRecipe
from epslab.recipes.classifier_measure import draw, measure
from epslab.recipes.classifier_model import augmentation, build, channel_statistics, start_from
from epslab.recipes.schedules import schedule
from epslab.runs import Run
from epslab.training.turns import OptimiserFactory, ScheduleFactory
from epslab.types import ImageShape, Objective

_RATES = {"sgd": 0.1, "adam": 3e-3}


@dataclass(frozen=True)
class ClassifierWork:
    """See ``epslab.recipes.work.Work``."""

    recipe: ClassifierRecipe
    estimates: ClassVar[tuple[str, ...]] = ()

    def choose(self, images: ImageSet) -> ImageSet:
        """All of them, or the half the recipe names: the same halves for every seed.

        Raises:
            UserError: There are too few images for two halves.
        """
        if self.recipe.half == "all":
            return images
        if len(images) < 2:
            raise UserError(f"--half {self.recipe.half} of {len(images)} images is nothing; use --half all.")
        middle = len(images) // 2
        a, b = images.split([middle, len(images) - middle], seeds.stream(0, "halves"))
        return a if self.recipe.half == "A" else b

    def prepare(self, images: ImageSet, seed: int, *, measuring: bool) -> ImageSet:
        """As they are: normalisation is inside the model, augmentation in the objective."""
        return images

    def build(self, images: ImageSet, seed: int) -> nn.Module:
        """The classifier, normalised by these images, with the weights the recipe starts from.

        Raises:
            UserError: There are no such weights, or they are of another net.
        """
        model = build(self.recipe, images.image_shape, len(images.classes), seed, *channel_statistics(images))
        if self.recipe.weights is not None:
            start_from(self.recipe, model, self.recipe.weights)
        return model

    def rebuild(self, about: Mapping[str, Any], seed: int) -> nn.Module:
        """The classifier for a run's weights; its normalisation is among them."""
        c, h, w = about["image_shape"]
        return build(self.recipe, (c, h, w), len(about["classes"]), seed)

    def objective(self, model: nn.Module, image_shape: ImageShape) -> Objective:
        """Cross-entropy, or the defence's loss.

        Raises:
            UserError: The attack cannot be made as the recipe says.
        """
        augment = augmentation(self.recipe, image_shape)
        if self.recipe.defence != "none":
            return AdversarialObjective(model, self.recipe, augment)
        return ClassifierObjective(model, CrossEntropy(self.recipe.label_smoothing), augment)

    @property
    def learning_rate(self) -> float:
        """The recipe's, or the optimiser's usual one."""
        return self.recipe.learning_rate or _RATES[self.recipe.optimiser]

    def optimiser(self) -> OptimiserFactory:
        """SGD with momentum, or AdamW."""
        rate, decay = self.learning_rate, self.recipe.weight_decay
        if self.recipe.optimiser == "adam":
            return partial(AdamW, lr=rate, weight_decay=decay)
        return partial(SGD, lr=rate, weight_decay=decay, momentum=self.recipe.momentum)

    def schedule(self) -> ScheduleFactory | None:
        """As the recipe says."""
        return schedule(self.recipe.schedule, self.recipe.epochs)

    def look(self, model: nn.Module, epoch: int, run: Run, seed: int) -> None:
        """Nothing: a classifier is seen by its curves."""

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
        """Accuracy, cross-entropy, calibration, and the pictures of them; there are no estimates to ask for."""
        measured = measure(cast(Normalised, model), images, batch_size)
        draw(measured, images, run.figures)
        return measured.to_dict(images.classes)
