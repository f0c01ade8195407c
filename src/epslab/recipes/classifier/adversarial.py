"""Training against an attack: the attack and the defence that the settings name, and validation under attack."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from epslab import attacks, seeds
from epslab.attacks import Attack
from epslab.classifiers import ClassifierObjective
from epslab.classifiers.objective import Augment, Loss
from epslab.defences import AdversarialBatch, AdversarialLoss
from epslab.errors import UserError
from epslab.geometry import Ball
from epslab.nets.modes import evaluating
from epslab.recipes.checks import pixels
from epslab.recipes.classifier.settings import ClassifierRecipe
from epslab.runs import Column
from epslab.types import Batch, PerExample, Progress

_STEPS = 7  # of an iterated attack in training, at most (Madry et al., 2018, on CIFAR-10)


@dataclass(frozen=True)
class AdversarialObjective:
    """A classifier's loss under attack.

    Its entries are curves: ``loss`` (what is minimised, in nats; in validation w·J(x) + (1 − w)·J(x_adv)), ``error``
    (of clean images), and in validation ``robust_error`` (of attacked images).

    Every validation image is attacked once per epoch, at the full radius and always with the same noise. Validation
    costs about as much per image as training.

    Args:
        model: Images in [0, 1] to logits.
        recipe: Its defence, attack, clean weight and warm-up.
        augment: (images, seeds) -> images, in training only.
    """

    model: nn.Module
    recipe: ClassifierRecipe
    augment: Augment | None = None

    def __post_init__(self) -> None:
        """Check the attack.

        Raises:
            UserError: It cannot be made as the recipe says.
        """
        attack(self.recipe)

    @property
    def columns(self) -> dict[str, Column]:
        """What the entries are."""
        return {
            "robust_error": Column("Error under the training attack", "fraction", better="lower"),
            "error": Column("Error", "fraction", better="lower"),
            "loss": Column("Training objective", "nats", better="lower"),
        }

    def __call__(self, batch: Batch, progress: Progress) -> Mapping[str, PerExample]:
        """Loss and errors of each image."""
        if progress.training:
            loss = defence(self.recipe, self._share(progress))
            return ClassifierObjective(self.model, loss, self.augment)(batch, progress)
        images, labels = batch.images, batch.labels
        # The greatest loss, not the first success: it is the defence's own loss that is validated.
        against = attack(self.recipe).thorough()
        attacked = against(self.model, images, labels, seeds=seeds.fork(batch.seeds, "loss")).images
        with torch.no_grad(), evaluating(self.model):
            clean, adversarial = self.model(images), self.model(attacked)
        w = self.recipe.clean_weight
        smoothing = self.recipe.label_smoothing
        losses = [
            F.cross_entropy(logits, labels, reduction="none", label_smoothing=smoothing)
            for logits in (clean, adversarial)
        ]
        wrong = [(logits.argmax(1) != labels).to(losses[0].dtype) for logits in (clean, adversarial)]
        return {"loss": w * losses[0] + (1 - w) * losses[1], "error": wrong[0], "robust_error": wrong[1]}

    def _share(self, progress: Progress) -> float:
        """The share of the radius that has been reached."""
        ramp = self.recipe.radius_warmup_epochs * progress.steps_per_epoch
        return 1.0 if progress.step + 1 >= ramp else (progress.step + 1) / ramp


def defence(recipe: ClassifierRecipe, share: float = 1.0) -> Loss:
    """The loss of the recipe's defence, its attack at this share of the radius."""
    against = attack(recipe, share)
    if recipe.defence == "adversarial-batch":
        return AdversarialBatch(against, recipe.label_smoothing)
    return AdversarialLoss(against, recipe.clean_weight, recipe.label_smoothing)


def attack(recipe: ClassifierRecipe, share: float = 1.0) -> Attack:
    """The attack to train against, with this share of the recipe's radius and step size.

    Raises:
        UserError: Its name is unknown, it has no ball, or it has no steps or step size but was given them.
    """
    kind = attacks.ATTACKS[recipe.attack]
    known = dataclasses.fields(kind) if dataclasses.is_dataclass(kind) else ()
    fields: dict[str, Any] = {field.name: field.default for field in known if field.init}
    if "ball" not in fields:
        raise UserError(f"`attack='{recipe.attack}'` is not built from a ball, which `radius=` needs; choose e.g. pgd.")
    for name in ("steps", "step_size"):
        value = getattr(recipe, f"attack_{name}")
        if value is not None and name not in fields:
            raise UserError(f"`attack='{recipe.attack}'` has no {name.replace('_', ' ')}; leave `attack_{name}=` out.")
    options: dict[str, Any] = {}
    if "steps" in fields:
        options["steps"] = recipe.attack_steps or min(_STEPS, fields["steps"])
    if recipe.attack_step_size is not None:
        options["step_size"] = share * pixels(recipe.attack_step_size, "attack_step_size")
    made: Attack = kind(Ball(recipe.norm, share * pixels(recipe.radius, "radius")), **options)
    return made
