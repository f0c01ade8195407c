"""Classifiers that draw noise: smoothing, purification, dropout at test time.

Such a classifier takes two keyword arguments in addition to the images: ``seeds`` (one per image, [n]) and ``counter``
(the number of the draw). Its noise is a function of these alone (``epslab.seeds.noise``). Then an image gets the same
answer alone, in any batch and in any order, and the mean over the noise is a loop over counters. Attacks and evaluation
pass the seeds of the examples. A classifier without these arguments gets the images alone.
"""

import inspect
from typing import Protocol, runtime_checkable

from torch import Tensor, nn

from epslab.nets.answers import answer
from epslab.types import Classifier, Images, Logits, Seeds


@runtime_checkable
class RandomClassifier(Protocol):
    """A classifier whose noise is a function of the examples' seeds and a counter.

    >>> import torch
    >>> from epslab.seeds import noise
    >>> def smoothed(images, *, seeds=None, counter=0):
    ...     if seeds is None:  # called as a plain classifier
    ...         return (images + 0.1 * torch.randn_like(images)).flatten(1)
    ...     return (images + 0.1 * noise(seeds, counter, images.shape[1:])).flatten(1)
    >>> draws(smoothed), draws(torch.nn.Flatten())
    (True, False)
    """

    def __call__(self, images: Images, /, *, seeds: Seeds | None = None, counter: int = 0) -> Logits:
        """Logits [n classes] of images [n c h w], by draw number ``counter`` of the streams of these seeds."""
        ...


def draws(model: object) -> bool:
    """Whether a classifier takes ``seeds`` and ``counter``: by the signature of ``forward``, or of the function."""
    try:
        known = inspect.signature(model.forward if isinstance(model, nn.Module) else model).parameters  # type: ignore[arg-type]
    except (TypeError, ValueError):  # a callable without a signature
        return False
    return {"seeds", "counter"} <= known.keys()


def ask(model: Classifier | RandomClassifier, images: Images, seeds: Seeds | None = None, counter: int = 0) -> Tensor:
    """The classifier's logits (``epslab.nets.answers``), with these seeds and this counter if it draws.

    Args:
        model: Images to logits [n classes].
        images: [n c h w] in [0, 1].
        seeds: The examples' own, [n]; None: a classifier that draws uses its own default.
        counter: Which of the draws: 0, 1, 2, …
    """
    if seeds is not None and draws(model):
        return answer(model, images, seeds=seeds, counter=counter)
    return answer(model, images)
