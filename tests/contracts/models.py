"""Small classifiers and images, and models that watch how they are used."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from epslab.seeds import generator, seeded

CLASSES = 5


class Classifier(nn.Module):
    """Convolution, BatchNorm with statistics of its own, dropout: for images of any size."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(channels, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Tanh(), nn.AdaptiveAvgPool2d(4)
        )
        self.dropout = nn.Dropout(0.5)
        self.head = nn.Linear(64, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.dropout(self.features(images).flatten(1)))
        return logits


def classifier(channels: int = 3, seed: int = 0, dtype: torch.dtype = torch.float32) -> Classifier:
    """In eval mode; every class is predicted somewhere, and logits are as large as a trained net's."""
    with seeded(seed, "contracts", channels):
        model = Classifier(channels)
        norm = model.features[1]
        norm.running_mean.normal_(0, 0.3)
        norm.running_var.uniform_(0.1, 0.3)
        with torch.no_grad():
            model.head.weight *= 20
            model.head.bias -= model.eval()(images(64, channels)).mean(0)
    return model.to(dtype).eval()


def images(n: int = 8, channels: int = 3, side: int = 8, dtype: torch.dtype = torch.float32) -> Tensor:
    """Float k/255, some of them 0 and 1: as data has them."""
    k = torch.randint(-20, 276, (n, channels, side, side), generator=generator(0, "images", channels)).clamp(0, 255)
    return k.to(dtype) / 255


def predicted(model: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    with torch.no_grad():
        return model(x).argmax(1)


def labels_for(model: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """What the model says, but wrong at the second image."""
    labels = predicted(model, x)
    labels[1:2] = (labels[1:2] + 1) % CLASSES
    return labels


class _Backward(torch.autograd.Function):
    """The identity, which says for how many examples a gradient passes."""

    @staticmethod
    def forward(ctx: object, x: Tensor, count: list[int]) -> Tensor:
        ctx.count = count  # type: ignore[attr-defined]
        return x.clone()

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> tuple[Tensor, None]:
        ctx.count.append(len(gradient))  # type: ignore[attr-defined]
        return gradient, None


class Watched:
    """A model that is a plain function, and remembers what it was asked."""

    def __init__(self, model: Callable[[Tensor], Tensor]) -> None:
        self.model = model
        self.asked: list[Tensor] = []
        self.answers: list[Tensor] = []
        self.differentiated: list[int] = []

    def __call__(self, x: Tensor) -> Tensor:
        self.asked.append(x.detach().clone())
        if x.requires_grad:
            x = _Backward.apply(x, self.differentiated)
        logits = self.model(x)
        self.answers.append(logits.detach().clone())
        return logits


def rugged(x: Tensor) -> Tensor:
    """Logits that swing so fast that every start leads elsewhere, some of them to a wrong class."""
    flat = x.flatten(1)
    weights = torch.linspace(1.0, 2.0, flat.shape[1], dtype=x.dtype)
    phase = (flat * weights).sum(1) * 40.0
    return torch.stack([phase.sin() + 0.98, 0.3 * (2.3 * phase).cos(), 0.1 * phase.cos() - 3.0], dim=1)


class RefusalError(Exception):
    """What ``fail_at`` raises."""


def fail_at(model: nn.Module, call: int) -> None:
    """Let the model raise at its k-th call, counted from 1."""
    calls = 0

    def hook(*_: object) -> None:
        nonlocal calls
        calls += 1
        if calls == call:
            raise RefusalError

    model.register_forward_pre_hook(hook)
