"""Direct looks at a model: its input gradients, whether it repeats itself, whether batch mates matter, its outputs."""

import torch
from torch import Tensor
from torch.nn import functional as F

from epslab.evaluation.robustness_jobs import Portion
from epslab.evaluation.robustness_measure import answers
from epslab.types import Classifier


def probe(model: Classifier, portion: Portion) -> dict[str, Tensor]:
    """What one batch shows, per example.

    Returns:
        ``zero`` and ``not_finite`` (of the cross-entropy's gradient in the image: every entry is exactly zero; some
        entry is NaN or infinite), ``repeat`` (largest change of a logit when the same batch is asked again, relative to
        the largest logit), ``flipped`` (whether the prediction changed), ``total``, ``lowest``, ``highest`` (of the
        logits as they are), ``normaliser`` (log Σ exp z).
    """
    with torch.enable_grad(), torch.autocast(portion.images.device.type, enabled=False):
        x = portion.images.detach().clone().requires_grad_(True)
        loss = F.cross_entropy(model(x), portion.labels, reduction="sum")
        gradient = torch.zeros_like(x)  # of a model that cuts its graph
        if loss.requires_grad:
            (gradient,) = torch.autograd.grad(loss, x, materialize_grads=True)
    flat = gradient.flatten(1)
    first, second = answers(model, portion.images, portion.labels), answers(model, portion.images, portion.labels)
    z = first.double()
    return {
        "zero": (flat == 0).all(1),
        "not_finite": ~flat.isfinite().all(1),
        **_compared(first, second),
        "total": z.sum(1),
        "lowest": z.amin(1),
        "highest": z.amax(1),
        "normaliser": z.logsumexp(1),
    }


def alone(model: Classifier, portion: Portion) -> dict[str, Tensor]:
    """The logits of each example alone against those in the batch: ``repeat`` and ``flipped``, as in ``probe``."""
    together = answers(model, portion.images, portion.labels)
    each = [answers(model, portion.images[i : i + 1], portion.labels[i : i + 1]) for i in range(len(portion.labels))]
    return _compared(together, torch.cat(each))


def _compared(first: Tensor, second: Tensor) -> dict[str, Tensor]:
    scale = first.abs().amax().double().clamp_min(1e-12)
    return {
        "repeat": (first.double() - second.double()).abs().amax(1) / scale,
        "flipped": first.argmax(1) != second.argmax(1),
    }
