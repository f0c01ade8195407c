"""Where a sampler's noise comes from: a generator, or tensors that the caller brings."""

from collections.abc import Iterable, Iterator, Sequence

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from epslab import seeds as counted
from epslab.errors import UserError
from epslab.types import Seeds


def noise_of(
    seeds: Seeds, shape: Sequence[int], dtype: torch.dtype = torch.float32, first: int = 0
) -> Iterator[Float[Tensor, "n ..."]]:
    """Standard normal noise [n, *shape] without end: tensor k is a function of the examples' seeds and k alone.

    Given to a sampler as ``noise=``, it makes each sample independent of its batch.

    Args:
        seeds: One seed per sample [n].
        shape: Shape of one sample.
        dtype: Floating type of the noise.
        first: Counter of the first tensor.

    >>> draws = noise_of(torch.tensor([1, 2]), (3,))
    >>> next(draws).shape, next(draws).shape
    (torch.Size([2, 3]), torch.Size([2, 3]))
    """
    while True:
        yield counted.noise(seeds, first, tuple(shape), dtype)
        first += 1


def source(
    shape: Sequence[int],
    generator: Generator | None,
    noise: Iterable[Tensor] | None,
    like: Tensor | None = None,
) -> Iterator[Tensor]:
    """The draws of one run [*shape], each made when it is asked for.

    Args:
        shape: Shape of all samples, n first.
        generator: Draws one seed per sample, from which all noise follows (None: torch's default generator).
        noise: Tensors to take instead.
        like: A tensor whose device and type the noise has; None: the generator's device and torch's default type.

    Raises:
        UserError: Both are given; a tensor has another shape; or the tensors run out.
    """
    if noise is not None and generator is not None:
        raise UserError("A sampler takes its noise from `generator` or from `noise`, not from both.")
    if noise is not None:
        return _brought(noise, tuple(shape), like)
    return _drawn(tuple(shape), generator, like)


def _drawn(shape: tuple[int, ...], generator: Generator | None, like: Tensor | None) -> Iterator[Tensor]:
    default = torch.empty((), device="cpu" if generator is None else generator.device)
    like = default if like is None else like
    yield from noise_of(counted.draw(shape[0], generator, like.device), shape[1:], like.dtype)


def _brought(noise: Iterable[Tensor], shape: tuple[int, ...], like: Tensor | None) -> Iterator[Tensor]:
    taken = 0
    for eps in noise:
        taken += 1
        if eps.shape != shape:
            raise UserError(
                f"Tensor {taken} of `noise` has shape {list(eps.shape)}, but the samples have {list(shape)}."
            )
        yield eps if like is None else eps.to(like)
    raise UserError(
        f"`noise` ended after {taken} tensors. It must bring one for the start, where `start` does not give it, and"
        " one for every step that adds noise."
    )
