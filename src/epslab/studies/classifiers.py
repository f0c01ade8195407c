"""What the studies of classifiers share: how each net is trained at each scale, the radius for each data set."""

from dataclasses import replace
from typing import TYPE_CHECKING

from epslab.recipes import COURSE, ClassifierRecipe, ResNet18Recipe, SmallCNNRecipe

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

    from epslab.attacks import Attack
    from epslab.data import ImageSet
    from epslab.evaluation import RobustnessReport
    from epslab.runs import Run
    from epslab.studies.context import Context
    from epslab.types import Classifier

NETS = {"small-cnn": "a small CNN", "resnet18": "a ResNet-18"}
"""The nets, and what a sentence calls them."""
QUICK: dict[str, ClassifierRecipe] = {
    "small-cnn": SmallCNNRecipe(width=8, epochs=8, batch_size=64, augment="none"),
    # Adam: a few dozen steps are too few for the momentum and the cycle of SGD.
    "resnet18": ResNet18Recipe(
        stem="cifar-pool", epochs=4, batch_size=32, optimiser="adam", learning_rate=1e-3, augment="none"
    ),
}
"""What is trained at quick scale: seconds each on digits."""
FULL: dict[str, ClassifierRecipe] = {
    "small-cnn": SmallCNNRecipe(epochs=10, augment="none"),
    "resnet18": replace(COURSE, augment="none"),
}
"""What is trained at full scale: the course's, or a small net for a CPU."""
SURROGATES: dict[str, dict[str, ClassifierRecipe]] = {
    "quick": QUICK,
    # Never the course's: what a surrogate teaches of the other net it has learnt after a few epochs.
    "full": {"small-cnn": FULL["small-cnn"], "resnet18": ResNet18Recipe(stem="cifar-pool", epochs=10, augment="none")},
}
"""How the other net is trained that stands in for an unknown one, by scale."""
RADII = {"digits": "0.15", "mnist": "0.2", "fashion-mnist": "0.1", "cifar10": "2/255"}
"""How far attacks may change a pixel, by data set: far enough to fool an undefended net, not so far that none holds."""
OTHER_RADIUS = "2/255"
"""For other images."""


def undefended(context: "Context") -> "Run":
    """The plainly trained classifier that the studies share."""
    return context.train(context.classifier(), context.classifier_net, context.seed)


def loaded(run: "Run", context: "Context") -> "nn.Module":
    """A trained classifier, on the device it is to be attacked on."""
    from epslab import recipes
    from epslab.recipes.devices import device

    model: nn.Module = recipes.load(run)
    return model.to(device(context.accelerator))


def images_to_attack(context: "Context", most: int) -> "ImageSet":
    """The test images, at most so many, drawn by the seed."""
    from epslab import data

    images = data.load(context.data, "test", context.data_root)
    return images.take(min(most, len(images)), context.seed)


def measured(
    model: "Classifier",
    images: "ImageSet",
    attacks: "Mapping[str, Attack]",
    context: "Context",
    *,
    findings: bool = False,
) -> "RobustnessReport":
    """What the attacks leave of the classifier's accuracy on these images."""
    from epslab.evaluation import evaluate_robustness

    return evaluate_robustness(
        model, images.images, images.labels, attacks, seed=context.seed, sweep=None, findings=findings
    )
