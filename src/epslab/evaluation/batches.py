"""Walking through a set of examples in batches that fit the model."""

from collections.abc import Callable, Iterator
from itertools import chain

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from epslab.data import Examples
from epslab.seeds import of_indices
from epslab.types import Images, Seeds

Prepare = Callable[[Images, Seeds], Images]
"""Applied to each batch first, given the images and one seed per image: dynamic binarisation draws here."""


def batches(
    model: object, examples: Examples, batch_size: int, seed: int, prepare: Prepare | None = None
) -> Iterator[tuple[Float[Tensor, "n *shape"], Int[Tensor, " n"]]]:
    """The examples in order, in the model's dtype and on its device, prepared; each batch with its indices."""
    like = tensor_like(model, torch.empty(()))
    for first in range(0, len(examples), batch_size):
        own = torch.arange(first, min(first + batch_size, len(examples)))
        x, indices = examples.batch(own)[0].to(like), own.to(like.device)
        if prepare is not None:
            x = prepare(x, of_indices(seed, indices, "evaluation", "prepare"))
        yield x, indices


def tensor_like(model: object, default: Tensor) -> Tensor:
    """A floating-point tensor of the model's dtype and device; the default for a function, or a module without one."""
    own = chain(model.parameters(), model.buffers()) if isinstance(model, nn.Module) else ()
    return next((tensor for tensor in own if tensor.is_floating_point()), default)
