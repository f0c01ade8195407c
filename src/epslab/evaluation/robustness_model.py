"""Asking the model under evaluation: for logits in full precision, and for gradients in the image."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from epslab.attacks.checks import checked_logits
from epslab.evaluation.robustness_jobs import Portion
from epslab.nets.random import ask
from epslab.types import Classifier, Images, Labels, Logits, PerExample


@torch.no_grad()
def answers(model: Classifier, images: Images, portion: Portion) -> Logits:
    """The model's logits in its full precision; a model that draws does so by the examples' own seeds.

    Raises:
        UserError: They are not finite logits [n classes] with a class for each label.
    """
    with torch.autocast(images.device.type, enabled=False):
        return checked_logits(ask(model, images, portion.seeds), portion.labels)


def differentiate(
    model: Classifier, images: Images, portion: Portion, loss: Callable[[Logits, Labels], PerExample]
) -> tuple[PerExample, Float[Tensor, "n c h w"]]:
    """The loss at images that belong to these examples, and its gradient: zero where the model cuts its graph."""
    with torch.enable_grad(), torch.autocast(images.device.type, enabled=False):
        x = images.detach().clone().requires_grad_(True)
        value = loss(ask(model, x, portion.seeds), portion.labels)
        if not value.requires_grad:
            return value, torch.zeros_like(x)
        (gradient,) = torch.autograd.grad(value.sum(), x, materialize_grads=True)
        return value.detach(), gradient
