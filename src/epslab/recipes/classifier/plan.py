"""From a classifier's settings to its plan: the normalised net, the loss with its defence, what is measured."""

from functools import partial
from typing import Any

from torch.optim import SGD, AdamW

from epslab.classifiers import ClassifierObjective, CrossEntropy
from epslab.data import Examples, ImageSet
from epslab.errors import UserError
from epslab.recipes.checks import images_only
from epslab.recipes.classifier.adversarial import AdversarialObjective
from epslab.recipes.classifier.measure import measure
from epslab.recipes.classifier.model import augmentation, build, start_from
from epslab.recipes.classifier.settings import ClassifierRecipe
from epslab.recipes.plan import Plan
from epslab.training.turns import OptimiserFactory

_RATES = {"sgd": 0.1, "adam": 3e-3}


def plan(settings: ClassifierRecipe, examples: Examples, seed: int) -> Plan:
    """The classifier, normalised by these images, and cross-entropy or the defence's loss.

    Raises:
        UserError: The attack to train against cannot be made as the settings say, there is one class only, or the
            examples are points.
    """
    images: ImageSet = images_only(examples, "a classifier")
    if len(images.classes) < 2:
        raise UserError(f"The data has one class, '{images.classes[0]}'; a classifier needs two or more.")
    model = build(settings, images, seed)
    augment = augmentation(settings, images.image_shape)
    defended = settings.defence != "none"
    return Plan(
        model,
        AdversarialObjective(model, settings, augment)
        if defended
        else ClassifierObjective(model, CrossEntropy(settings.label_smoothing), augment),
        start=None if settings.weights is None else partial(start_from, settings, model, settings.weights),
        optimiser=optimiser(settings),
        # Under attack where the classifier is trained against one.
        monitor="val/robust_error" if defended else "val/error",
        measure=measure,
    )


def optimiser(settings: ClassifierRecipe) -> OptimiserFactory:
    """SGD with momentum, or AdamW, at the settings' learning rate or the usual one."""
    rate = settings.learning_rate or _RATES[settings.optimiser]
    others: dict[str, Any] = {"lr": rate, "weight_decay": settings.weight_decay}
    return (
        partial(AdamW, **others) if settings.optimiser == "adam" else partial(SGD, **others, momentum=settings.momentum)
    )
