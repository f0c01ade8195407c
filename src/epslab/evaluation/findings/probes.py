"""Direct looks at a model: its input gradients, whether it repeats itself, whether batch mates matter, its outputs."""

import torch
from torch import Tensor

from epslab.attacks.objectives import cross_entropy
from epslab.evaluation.portions import Portion, answers, differentiate
from epslab.types import Classifier


def probe(model: Classifier, portion: Portion) -> dict[str, Tensor]:
    """What one batch shows, per example.

    Returns:
        ``cut`` (whether the output has no gradient at all), ``zero`` and ``not_finite`` (of the cross-entropy's
        gradient in the image: every entry is exactly zero; some entry is NaN or infinite), ``repeat`` (largest change
        of a logit when the same batch is asked again, relative to the largest logit), ``flipped`` (whether the
        prediction changed), ``total``, ``lowest``, ``highest`` (of the logits as they are), ``normaliser``
        (log Σ exp z).
    """
    _, gradient = differentiate(model, portion.images, portion, cross_entropy)
    cut = gradient is None
    flat = (torch.zeros_like(portion.images) if gradient is None else gradient).flatten(1)
    first, second = answers(model, portion.images, portion), answers(model, portion.images, portion)
    z = first.double()
    return {
        "cut": torch.full_like(portion.labels, cut, dtype=torch.bool),
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
    together = answers(model, portion.images, portion)
    singles = [portion.part(torch.tensor([place])) for place in range(len(portion.labels))]
    return _compared(together, torch.cat([answers(model, single.images, single) for single in singles]))


def _compared(first: Tensor, second: Tensor) -> dict[str, Tensor]:
    scale = first.abs().amax().double().clamp_min(1e-12)
    return {
        "repeat": (first.double() - second.double()).abs().amax(1) / scale,
        "flipped": first.argmax(1) != second.argmax(1),
    }
