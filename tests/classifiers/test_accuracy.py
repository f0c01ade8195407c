"""What a classifier predicts and how often it is right: in batches, in eval mode, without a trace."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from epslab import seeds
from epslab.classifiers import Proportion, accuracy, predict
from epslab.classifiers.accuracy import logits
from epslab.errors import UserError
from epslab.types import Images, Logits

N = 23


def images(n: int = N) -> Images:
    return torch.rand(n, 1, 2, 2, generator=seeds.generator(0, "images"))


def brightest(x: Images) -> Logits:
    """A function: the class is the brightest of four pixels."""
    return x.flatten(1)


class Batched(nn.Module):
    """A net whose answer in train mode depends on the batch, and which keeps the sizes and modes it was called in."""

    def __init__(self) -> None:
        super().__init__()
        with seeds.seeded(0, "batched"):
            self.body = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 5))
        self.calls: list[tuple[int, bool, bool]] = []

    def forward(self, x: Tensor) -> Tensor:
        self.calls.append((len(x), self.training, torch.is_grad_enabled()))
        result: Tensor = self.body(x)
        return result


def test_the_prediction_is_the_largest_logit_of_a_function_too() -> None:
    x = images()
    assert torch.equal(predict(brightest, x), x.flatten(1).argmax(1))
    assert predict(brightest, x).dtype == torch.int64


def test_numpy_images_listed_labels_and_outputs_that_hold_logits() -> None:
    x = images()
    labels = predict(brightest, x)
    assert torch.equal(predict(lambda points: {"logits": brightest(points)}, x.numpy()), labels)
    assert accuracy(lambda points: points.reshape(len(points), -1) @ np.eye(4), x.numpy(), labels.tolist()) == 1.0


def test_accuracy_counts_the_right_ones() -> None:
    x = images()
    labels = predict(brightest, x)
    labels[:5] = (labels[:5] + 1) % 4
    share = accuracy(brightest, x, labels)
    assert isinstance(share, Proportion)
    assert (share.successes, share.n) == (N - 5, N)


@pytest.mark.parametrize("batch_size", [1, 5, N, 1000])
def test_batches_change_nothing_and_are_no_larger_than_asked(batch_size: int) -> None:
    model, x = Batched(), images()
    torch.testing.assert_close(logits(model, x, batch_size), model.eval().body(x).detach())
    sizes = [n for n, *_ in model.calls]
    assert sum(sizes) == N
    assert max(sizes) <= batch_size
    assert torch.equal(predict(model, x, batch_size), predict(model, x))


def test_the_model_is_used_in_eval_mode_without_gradients_and_comes_back_as_it_was() -> None:
    model, x = Batched().train(), images().requires_grad_()
    model.body[1].eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    state = torch.get_rng_state()
    accuracy(model, x, torch.zeros(N, dtype=torch.int64))
    assert {(training, grad) for _, training, grad in model.calls} == {(False, False)}
    assert model.training
    assert model.body[2].training
    assert not model.body[1].training
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert all(p.grad is None and p.requires_grad for p in model.parameters())
    assert torch.equal(torch.get_rng_state(), state)


def test_the_mode_comes_back_also_when_the_model_raises() -> None:
    model = Batched().train()
    with pytest.raises(RuntimeError):
        predict(model, torch.rand(2, 1, 3, 3))
    assert model.training


def test_images_are_given_in_the_models_dtype() -> None:
    model, x = Batched().double().eval(), images()
    assert logits(model, x).dtype == torch.float64
    assert torch.equal(logits(model, x), logits(model, x.double()))


@pytest.mark.parametrize("use", [predict, lambda m, x: accuracy(m, x, torch.zeros(len(x), dtype=torch.int64))])
def test_wrong_inputs_are_one_sentence(use: object) -> None:
    with pytest.raises(UserError, match="no images"):
        use(brightest, images(0))  # type: ignore[operator]
    with pytest.raises(UserError, match=r"gave \[23, 1, 2, 2\] for 23 images; a classifier gives logits \[n classes\]"):
        use(nn.Identity(), images())  # type: ignore[operator]
    with pytest.raises(UserError, match=r"gave \[1, 92\] for 23 images"):
        use(Row(), images())  # type: ignore[operator]
    with pytest.raises(UserError, match="logits that are NaN"):
        use(lambda x: x.flatten(1) * float("nan"), images())  # type: ignore[operator]


class Row(nn.Module):
    """Forgets which image is which."""

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten()[None]


@pytest.mark.parametrize("batch_size", [0, -1])
def test_a_batch_size_below_one_is_refused(batch_size: int) -> None:
    with pytest.raises(UserError, match=f"batch_size={batch_size}"):
        predict(brightest, images(), batch_size)


def test_labels_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UserError, match="23 images and 22 labels"):
        accuracy(brightest, images(), torch.zeros(N - 1, dtype=torch.int64))
    for label in (4, -1):
        with pytest.raises(UserError, match=r"4 classes: labels must lie in 0..3"):
            accuracy(brightest, images(), torch.full((N,), label))


def test_predicting_leaves_torchs_own_generator_and_gradients_alone() -> None:
    """Also for a classifier that draws from it."""
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 3))
    noisy = lambda x: net(x + 0.1 * torch.randn_like(x))  # noqa: E731
    state = torch.get_rng_state()
    for model in (net, noisy):
        predict(model, torch.rand(5, 1, 2, 2, generator=torch.Generator().manual_seed(0)))
        assert torch.equal(torch.get_rng_state(), state)
    assert all(p.grad is None and p.requires_grad for p in net.parameters())
