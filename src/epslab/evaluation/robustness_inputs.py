"""What an evaluation is given: models are borrowed, and what cannot be evaluated is refused with a sentence."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from epslab.attacks.attacked import require_attack
from epslab.attacks.checks import checked, require_counts, require_whole
from epslab.errors import UserError
from epslab.evaluation.batches import tensor_like
from epslab.evaluation.portions import TestSet, answers
from epslab.evaluation.radius_sweep import RadiusSweep
from epslab.nets.answers import require_model
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


def require(
    model: object,
    images: Tensor,
    labels: Tensor,
    attacks: Mapping[str, Any],
    *,
    batch_size: int,
    seed: int,
    sweep: object,
) -> None:
    """Refuse what cannot be evaluated.

    Raises:
        UserError: No model, no attacks, names that cannot name a file or mean something else, a radius per example, a
            batch size below 1, no seed, another sweep, or images and labels that no attack takes.
    """
    require_model(model)
    if not isinstance(attacks, Mapping):
        raise UserError(
            f"The attacks are of type {type(attacks).__name__}; give each of them a name: {{'pgd': PGD(Linf(8/255))}}."
        )
    if sweep is not None and not isinstance(sweep, RadiusSweep):
        raise UserError(f"sweep is {sweep!r}, but must be RadiusSweep(radii=(…)) of epslab.evaluation, or None.")
    if not attacks:
        raise UserError("There are no attacks: give at least one by name, e.g. {'pgd': PGD(Linf(8/255))}.")
    for name, attack in attacks.items():
        if name in _RESERVED:
            raise UserError(f"An attack cannot be named '{name}', which stands for something else in the report.")
        if not isinstance(name, str):
            raise UserError(f"{name!r} cannot name an attack; give a text: {{'pgd': PGD(Linf(8/255))}}.")
        if not name or name.startswith(".") or any(c in '/\\:*?"<>|' or not c.isprintable() for c in name):
            raise UserError(
                f"'{name}' cannot name an attack, because its name is that of a folder; give letters and digits."
            )
        require_attack(attack, f"The attack '{name}'")
        if isinstance(attack.radius, Tensor):
            raise UserError(
                f"The attack '{name}' has a radius per example; an evaluation takes one radius for all of them."
            )
    require_counts(batch_size=batch_size)
    require_whole(seed=seed)
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
