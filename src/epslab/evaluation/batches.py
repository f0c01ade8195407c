"""Walking through an image set with a model that comes back as it was."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from itertools import chain

import torch
from jaxtyping import Int
from torch import Tensor, nn

from epslab.data import ImageSet
from epslab.nets.modes import evaluating
from epslab.seeds import of_indices
from epslab.types import Images, Seeds

Prepare = Callable[[Images, Seeds], Images]
"""Applied to each batch first, given the images and one seed per image: dynamic binarisation draws here."""


def as_found(model: object) -> AbstractContextManager[None]:
    """Eval mode inside, each submodule's own mode afterwards; nothing for a model that is no module."""
    return evaluating(model) if isinstance(model, nn.Module) else nullcontext()


def batches(
    model: object, images: ImageSet, batch_size: int, seed: int, prepare: Prepare | None = None
) -> Iterator[tuple[Images, Int[Tensor, " n"]]]:
    """The images in order, in the model's dtype and on its device, prepared, each batch with its images' indices."""
    like = _example_tensor(model)
    for first in range(0, len(images), batch_size):
        x = images[first : first + batch_size].images.to(like)
        indices = torch.arange(first, first + len(x), device=like.device)
        if prepare is not None:
            x = prepare(x, of_indices(seed, indices, "evaluation", "prepare"))
        yield x, indices


def _example_tensor(model: object) -> Tensor:
    """A floating-point tensor of the model's dtype and device."""
    own = chain(model.parameters(), model.buffers()) if isinstance(model, nn.Module) else ()
    return next((tensor for tensor in own if tensor.is_floating_point()), torch.empty(()))
