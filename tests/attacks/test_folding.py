"""The folded copy: the same function, fewer layers, and never believed."""

import math
from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from epslab.attacks import PGD
from epslab.attacks.folding import folded
from epslab.attacks.victim import worth_folding
from epslab.classifiers import Normalised
from epslab.geometry import Linf
from epslab.nets.answers import answer

from .models import conv_net, images, seeded

X = images(16)


def norms(model: object) -> int:
    assert isinstance(model, nn.Module)
    return sum(isinstance(module, nn.BatchNorm2d) for module in model.modules())


def test_the_copy_is_the_same_function_without_batchnorm() -> None:
    model = conv_net()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    fast = folded(model, X, model(X))
    assert fast is not model
    assert norms(model) == 2
    assert [node.target for node in fast.graph.nodes if node.op == "call_module"] == ["0", "2", "3", "5", "6", "7"]  # type: ignore[attr-defined]
    assert not any(parameter.requires_grad for parameter in fast.parameters())  # type: ignore[attr-defined]
    assert all(parameter.requires_grad for parameter in model.parameters())
    other = images(16, seed=1)
    torch.testing.assert_close(fast(other), model(other), rtol=1e-5, atol=1e-5)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


class Holding(nn.Module):
    """Its output holds its logits, as with Hugging Face's classifiers."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, pixel_values: Tensor) -> SimpleNamespace:
        return SimpleNamespace(logits=self.net(pixel_values))


def test_a_net_whose_output_holds_its_logits_is_folded_too() -> None:
    net = conv_net()
    fast = folded(Holding(net), X, net(X))  # type: ignore[arg-type]
    assert norms(fast) == 0 < norms(net)
    other = images(16, seed=1)
    torch.testing.assert_close(answer(fast, other), net(other), rtol=1e-5, atol=1e-5)


class Residual(nn.Module):
    """A convolution whose output is used twice, and one layer used twice: neither may be folded."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        self.norm = nn.BatchNorm2d(3)
        self.shared = nn.Conv2d(3, 3, 1)
        self.other = nn.BatchNorm2d(3)
        self.head = nn.Linear(3 * 64, 4)

    def forward(self, x: Tensor) -> Tensor:
        a = self.conv(x)
        b = self.other(self.shared(a + self.norm(a)))
        return self.head(self.shared(b).flatten(1))


def test_what_is_used_twice_is_not_folded() -> None:
    model = seeded(0, Residual)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(generator=torch.Generator().manual_seed(0))
            module.running_var.fill_(3.0)
    fast = folded(model, X, model(X))
    assert fast is not model
    assert [node.target for node in fast.graph.nodes if node.target in ("norm", "other")] == ["norm", "other"]  # type: ignore[attr-defined]
    torch.testing.assert_close(fast(X), model(X), rtol=1e-5, atol=1e-5)


class Branching(nn.Module):
    """Cannot be traced as a whole: what it does depends on the images."""

    def __init__(self) -> None:
        super().__init__()
        self.net = conv_net()

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x) if x.mean() > 0.1 else -self.net(x)


class Noisy(nn.Module):
    """A trace would freeze the noise."""

    def __init__(self) -> None:
        super().__init__()
        self.net = conv_net()

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x + 0.1 * torch.randn(x.shape[1:]))


class Counting(nn.Module):
    """No BatchNorm, so nothing to fold: every question reaches the model itself."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(192, 4))
        self.asked = 0

    def forward(self, x: Tensor) -> Tensor:
        self.asked += len(x)
        return self.net(x)


@pytest.mark.parametrize("make", [Branching, lambda: Normalised(conv_net(), 0.5, 0.25)])
def test_a_model_that_cannot_be_traced_is_folded_in_its_parts(make: Callable[[], nn.Module]) -> None:
    """So is every classifier that normalises its images, since that layer checks their channels."""
    model = make().eval()
    fast = folded(model, X, model(X))
    assert norms(model) == 2
    assert norms(fast) == 0
    dark = images(16, seed=1) * 0.1  # where Branching takes its other branch
    torch.testing.assert_close(fast(dark), model(dark), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("make", [Noisy, Counting])
def test_a_model_that_cannot_be_folded_is_used_itself(make: type[nn.Module]) -> None:
    model = make().eval()
    assert folded(model, X, model(X)) is model


@pytest.mark.parametrize(("share", "used"), [(0.5e-4, True), (1.5e-4, False), (1e-2, False), (math.nan, False)])
def test_a_copy_is_used_only_where_its_logits_are_the_model_s_to_four_digits(share: float, used: bool) -> None:
    model = conv_net()
    logits = model(X).detach()
    off = torch.zeros_like(logits)
    off[3, 1] = share * logits.abs().max()
    assert (folded(model, X, logits + off) is not model) is used


def test_a_copy_is_made_where_it_saves_more_than_it_costs() -> None:
    assert worth_folding(10, (1, 1, 1))
    assert worth_folding(4, (1, 32, 32))
    assert not worth_folding(4, (1, 1, 1023))
    assert not worth_folding(9, (1, 8, 8))
    assert not worth_folding(3, (3, 224, 224))


def test_a_function_is_used_itself() -> None:
    model = conv_net()
    function = lambda x: model(x)  # noqa: E731 - not a module
    assert folded(function, X, model(X)) is function


def test_every_question_to_an_unfolded_model_is_counted() -> None:
    model = Counting().eval()
    y = model(X).argmax(1)
    model.asked = 0
    found = PGD(Linf(0.02), steps=12)(model, X, y, seeds=torch.arange(16))
    remeasured = len(X)
    assert model.asked == found.queries.sum() + remeasured


def test_a_compiled_copy_finds_the_same() -> None:
    model = conv_net()
    y = model(X).argmax(1)
    seeds = torch.arange(16)
    plain = PGD(Linf(4 / 255), steps=5, leave_early=False)(model, X, y, seeds=seeds)
    # Whatever the compiler of this machine can do: at worst the model itself is used.
    found = PGD(Linf(4 / 255), steps=5, leave_early=False, compiled=True)(model, X, y, seeds=seeds)
    assert torch.equal(found.success, plain.success)
    assert (found.images - plain.images).abs().median() == 0


def test_nobody_leaves_on_the_copys_word(monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy that calls everything fooled: without the model's own word that would end the attack at once."""
    model = conv_net()
    y = model(X).argmax(1)
    honest = PGD(Linf(4 / 255), steps=12)(model, X, y, seeds=torch.arange(16))
    assert 0 < honest.success.sum() < 16

    def liar(model: nn.Module, images: Tensor, logits: Tensor, *, compiled: bool) -> object:
        return lambda x: model(x) - 50.0 * nn.functional.one_hot(y_of(x), 5)

    def y_of(x: Tensor) -> Tensor:
        return torch.stack([y[(row - X).abs().flatten(1).amax(1).argmin()] for row in x])

    monkeypatch.setattr("epslab.attacks.victim.folded", liar)
    found = PGD(Linf(4 / 255), steps=12)(model, X, y, seeds=torch.arange(16))
    assert torch.equal(found.success, model(found.images).argmax(1) != y)
    assert found.success.sum() >= honest.success.sum() - 1
    stayed = ~found.success
    assert (found.gradients[stayed] == 12).all()
