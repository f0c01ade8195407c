"""What an evaluation is given: models are borrowed, and what cannot be evaluated is refused with a sentence."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from epslab.attacks.attacked import Attack
from epslab.attacks.checks import checked
from epslab.errors import UserError
from epslab.evaluation.batches import tensor_like
from epslab.evaluation.portions import TestSet, answers
from epslab.nets.modes import borrowed
from epslab.types import Classifier, Images

_RESERVED = ("clean", "worst-case", "sweep")


@contextmanager
def placed(model: Classifier, images: Images, device: torch.device | None) -> Iterator[Tensor]:
    """The model in eval mode on its device (or this one), given back as it was; a tensor with its device and dtype.

    A function computes where, and in the type that, the images are.
    """
    place = images.device if device is None else device
    with torch.enable_grad(), borrowed(model, device=place):
        if device is not None and isinstance(model, nn.Module):
            model.to(device)
        yield tensor_like(model, images.new_empty((), device=place))


def require(images: Tensor, labels: Tensor, attacks: Mapping[str, Any], batch_size: int) -> None:
    """Refuse what cannot be evaluated.

    Raises:
        UserError: No attacks, names that cannot name a file or mean something else, a radius per example, a batch size
            below 1, or images and labels that no attack takes.
    """
    if not attacks:
        raise UserError("There are no attacks: give at least one by name, e.g. {'pgd': PGD(Linf(8/255))}.")
    for name, attack in attacks.items():
        if name in _RESERVED:
            raise UserError(f"An attack cannot be named '{name}', which stands for something else in the report.")
        if not name or name.startswith(".") or any(c in '/\\:*?"<>|' or not c.isprintable() for c in name):
            raise UserError(
                f"'{name}' cannot name an attack, because its name is that of a folder; give letters and digits."
            )
        if isinstance(attack, type) or not isinstance(attack, Attack):
            raise UserError(
                f"The attack '{name}' is {attack!r}; give an attack with its settings: PGD(Linf(8/255)), or an object"
                " of your own with norm, radius, part, thorough and __call__ (see epslab.attacks.Attack)."
            )
        if isinstance(attack.radius, Tensor):
            raise UserError(
                f"The attack '{name}' has a radius per example; an evaluation takes one radius for all of them."
            )
    if batch_size < 1:
        raise UserError(f"batch_size is {batch_size}, but must be at least 1.")
    checked(images, labels, None)


def require_classes(model: Classifier, examples: TestSet) -> None:
    """Ask the model once, before anything is written.

    Raises:
        UserError: It gives no finite logits, or has no class for a label.
    """
    first = examples.portion(torch.arange(1))
    classes = answers(model, first.images, first._replace(labels=torch.zeros_like(first.labels))).shape[1]
    low, high = (int(end) for end in examples.labels.aminmax())
    if low < 0 or high >= classes:
        raise UserError(
            f"Labels run from {low} to {high}, but the model has {classes} classes: labels must lie in"
            f" 0..{classes - 1}."
        )
