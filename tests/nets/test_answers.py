from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from epslab.errors import UserError
from epslab.nets.answers import LogitsOf, answer, logits_of
from epslab.nets.random import ask

X = torch.rand(4, 1, 2, 3, generator=torch.Generator().manual_seed(0))
WEIGHT = np.arange(30.0).reshape(6, 5)


class InNumpy(nn.Module):
    """A module that leaves torch inside, as one around another library's runtime does."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.from_numpy(x.numpy().reshape(len(x), -1) @ WEIGHT)


def test_a_tensor_is_passed_on_with_its_gradient() -> None:
    x = X.clone().requires_grad_()
    logits = answer(nn.Flatten(), x)
    logits.sum().backward()
    assert torch.equal(x.grad, torch.ones_like(x))
    z = torch.zeros(2, 3)
    assert logits_of(z) is z


@pytest.mark.parametrize("hold", [lambda z: {"loss": None, "logits": z}, lambda z: SimpleNamespace(logits=z)])
def test_logits_that_an_output_holds_keep_their_gradient(hold) -> None:
    x = X.clone().requires_grad_()
    assert answer(lambda x: hold(x.flatten(1)), x).requires_grad
    assert torch.equal(LogitsOf(lambda x: hold(x.flatten(1)))(X), X.flatten(1))


@pytest.mark.parametrize(
    "model",
    [
        lambda x: x.reshape(len(x), -1) @ WEIGHT,
        lambda x: np.asarray(x).reshape(len(x), -1) @ WEIGHT,
        lambda x: x.astype(np.float64).reshape(len(x), -1) @ WEIGHT,
        lambda x: np.maximum(x, 0).reshape(len(x), -1) @ WEIGHT,
        lambda x: SimpleNamespace(logits=x.astype(float).reshape(len(x), -1) @ WEIGHT),
        InNumpy(),
    ],
)
@pytest.mark.parametrize("follows", [False, True])
def test_a_model_may_compute_in_numpy_and_has_no_gradient_then(model, follows: bool) -> None:
    logits = answer(model, X.clone().requires_grad_(follows))
    torch.testing.assert_close(logits.double(), X.flatten(1).double() @ torch.from_numpy(WEIGHT))
    assert not logits.requires_grad


def test_half_precision_is_given_to_numpy_too() -> None:
    assert answer(lambda x: x.astype(np.float32).reshape(len(x), -1), X.bfloat16()).shape == (4, 6)


@pytest.mark.parametrize("kind", [TypeError, AttributeError, RuntimeError, ValueError])
def test_a_model_that_fails_is_heard(kind: type[Exception]) -> None:
    def fails(x: object) -> Tensor:
        raise kind("its own fault")

    with pytest.raises(kind, match="its own fault"):
        answer(fails, X)


def test_a_model_that_fails_on_tensors_alone_must_answer_in_numpy() -> None:
    def odd(x: object) -> str:
        if isinstance(x, Tensor):
            raise TypeError("no tensors")
        return "cat"

    with pytest.raises(TypeError, match="no tensors"):
        answer(odd, X)


def test_a_working_model_is_asked_once() -> None:
    asked = []
    answer(lambda x: asked.append(1) or x.flatten(1), X)
    assert asked == [1]


def test_a_list_of_parts_is_refused_with_their_shapes() -> None:
    with pytest.raises(UserError, match=r"a list \(Tensor \[4, 6\], None\).*return self\.net\(images\)\[0\]"):
        answer(lambda x: [x.flatten(1), None], X)


def test_noise_is_passed_on_and_numpy_gets_it_too() -> None:
    def noisy(x: object, *, seeds: Tensor, counter: int) -> np.ndarray:
        if isinstance(x, Tensor):
            raise TypeError
        return x.reshape(len(x), -1) + seeds.numpy()[:, None] + counter

    logits = ask(noisy, X, torch.arange(4), counter=2)
    torch.testing.assert_close(logits.float(), X.flatten(1) + torch.arange(4)[:, None] + 2)
