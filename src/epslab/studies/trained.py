"""The classifiers of the studies, each trained once and shared, and the images they are attacked on."""

from typing import Any

from torch import nn

from epslab import data, recipes
from epslab.data import ImageSet
from epslab.runs import Run
from epslab.studies.context import Context
from epslab.training import Machine

STEPS = 5  #: of PGD in training
DEFENCES: dict[str, dict[str, Any]] = {
    "none": {},
    "FGSM loss": {"defence": "adversarial-loss", "attack": "fgsm"},
    "PGD batch": {"defence": "adversarial-batch", "attack": "pgd", "attack_steps": STEPS},
}
"""The settings of each defence."""


def train_defended(context: Context, defence: str, *, augmented: bool = False, given: bool = False) -> Run:
    """A classifier trained with this defence, on changed images or not, from scratch or from given weights.

    The given weights are the context's, or those of its undefended classifier.
    """
    plain = undefended(context)
    if defence == "none" and not augmented and not given:
        return plain
    changes = dict(DEFENCES[defence])
    if changes:
        changes["radius"] = context.radius_text
    if augmented:
        c, _, _ = plain.config["provenance"]["image_shape"]
        changes["augment"] = "flip-crop" if c == 3 else "crop"
    if given:
        changes["weights"] = context.weights or str(plain.folder)
    # A file of weights may be replaced by another one of its name: that is another start, and another run.
    start = "given" if context.weights is None else f"given-{context.settings['weights'][1][:8]}"
    parts = [defence.lower().replace(" ", "-"), *["augmented"] * augmented, *[start] * given]
    return context.train(context.classifier(**changes), "-".join([context.classifier_net, *parts]), context.seed)


def undefended(context: Context) -> Run:
    """The plainly trained classifier that the studies share."""
    return context.train(context.classifier(), context.classifier_net, context.seed)


def loaded(run: Run, context: Context) -> nn.Module:
    """A trained classifier, on the device it is to be attacked on."""
    model: nn.Module = recipes.load(run)
    return model.to(Machine(context.accelerator).device)


def images_to_attack(context: Context, most: int) -> ImageSet:
    """The test images, at most this many, drawn by the seed."""
    images = data.load(context.data, "test", context.data_root)
    return images.take(min(most, len(images)), context.seed)
