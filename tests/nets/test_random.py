"""Which classifiers draw noise of their own, and how they are asked."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from epslab.nets.random import RandomClassifier, ask, draws
from epslab.seeds import noise


class Smoothed(nn.Module):
    """Adds seeded noise to the images."""

    def forward(self, images: Tensor, *, seeds: Tensor | None = None, counter: int = 0) -> Tensor:
        own = torch.zeros(len(images), dtype=torch.int64) if seeds is None else seeds
        return (images + noise(own, counter, tuple(images.shape[1:]))).flatten(1)


def as_function(images: Tensor, *, seeds: Tensor | None = None, counter: int = 0) -> Tensor:
    return Smoothed()(images, seeds=seeds, counter=counter)  # type: ignore[no-any-return]


def plain(images: Tensor) -> Tensor:
    return images.flatten(1)


def takes_anything(images: Tensor, **rest: object) -> Tensor:
    assert not rest
    return images.flatten(1)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (Smoothed(), True),
        (as_function, True),
        (partial(as_function, counter=0), True),
        (Smoothed().forward, True),
        (nn.Flatten(), False),
        (plain, False),
        (takes_anything, False),
        (lambda images, seeds=None: images, False),
        (torch.flatten, False),
    ],
)
def test_a_classifier_draws_if_it_takes_seeds_and_a_counter(model: Callable[..., Tensor], expected: bool) -> None:
    assert draws(model) is expected


@pytest.mark.parametrize("model", [Smoothed(), as_function])
def test_its_answer_is_that_of_its_seeds_and_counter(model: RandomClassifier) -> None:
    x, seeds = torch.rand(4, 1, 2, 2), torch.arange(4)
    assert torch.equal(ask(model, x, seeds, 3), model(x, seeds=seeds, counter=3))
    assert not torch.equal(ask(model, x, seeds, 3), ask(model, x, seeds, 4))
    some = torch.tensor([2, 0])
    assert torch.equal(ask(model, x[some], seeds[some], 3), ask(model, x, seeds, 3)[some])
    assert torch.equal(ask(model, x), model(x))


def test_a_plain_classifier_is_asked_with_the_images_alone() -> None:
    x = torch.rand(4, 1, 2, 2)
    for model in (plain, takes_anything, nn.Flatten()):
        assert torch.equal(ask(model, x, torch.arange(4), 1), x.flatten(1))
