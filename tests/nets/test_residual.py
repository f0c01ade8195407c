"""ResNet-18: torchvision's names and counts, and the forward pass step by step from the paper."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from epslab import seeds
from epslab.errors import UserError
from epslab.nets import resnet18


def shapes(classes: int, stem: str) -> dict[str, tuple[int, ...]]:
    """The entries of torchvision's resnet18 by the rule its names follow, with their shapes."""
    found: dict[str, tuple[int, ...]] = {}

    def norm(name: str, c: int) -> None:
        for entry in ("weight", "bias", "running_mean", "running_var"):
            found[f"{name}.{entry}"] = (c,)
        found[f"{name}.num_batches_tracked"] = ()

    side = 7 if stem == "imagenet" else 3
    found["conv1.weight"] = (64, 3, side, side)
    norm("bn1", 64)
    inputs = 64
    for stage, c in enumerate((64, 128, 256, 512), start=1):
        for block in (0, 1):
            prefix = f"layer{stage}.{block}"
            found[f"{prefix}.conv1.weight"] = (c, inputs, 3, 3)
            norm(f"{prefix}.bn1", c)
            found[f"{prefix}.conv2.weight"] = (c, c, 3, 3)
            norm(f"{prefix}.bn2", c)
            if block == 0 and stage > 1:
                found[f"{prefix}.downsample.0.weight"] = (c, inputs, 1, 1)
                norm(f"{prefix}.downsample.1", c)
            inputs = c
    return found | {"fc.weight": (classes, 512), "fc.bias": (classes,)}


def reference(state: dict[str, Tensor], x: Tensor, stem: str, training: bool) -> Tensor:
    """The net as a sequence of functions of its weights."""

    def norm(x: Tensor, name: str) -> Tensor:
        mean, var = (state[f"{name}.running_{what}"].clone() for what in ("mean", "var"))
        return F.batch_norm(x, mean, var, state[f"{name}.weight"], state[f"{name}.bias"], training)

    strided = stem == "imagenet"
    x = F.conv2d(x, state["conv1.weight"], stride=2 if strided else 1, padding=3 if strided else 1)
    x = norm(x, "bn1").relu()
    if stem != "cifar":
        x = F.max_pool2d(x, 3, 2, 1)
    for stage in (1, 2, 3, 4):
        for block in (0, 1):
            prefix = f"layer{stage}.{block}"
            stride = 2 if stage > 1 and block == 0 else 1
            y = norm(F.conv2d(x, state[f"{prefix}.conv1.weight"], stride=stride, padding=1), f"{prefix}.bn1").relu()
            y = norm(F.conv2d(y, state[f"{prefix}.conv2.weight"], padding=1), f"{prefix}.bn2")
            if f"{prefix}.downsample.0.weight" in state:
                x = norm(F.conv2d(x, state[f"{prefix}.downsample.0.weight"], stride=stride), f"{prefix}.downsample.1")
            x = (x + y).relu()
    return F.linear(x.flatten(2).mean(2), state["fc.weight"], state["fc.bias"])


@pytest.mark.parametrize(
    ("stem", "classes", "published"),
    [
        ("cifar", 10, 11_173_962),
        ("cifar-pool", 10, 11_173_962),
        ("imagenet", 10, 11_181_642),
        ("imagenet", 1000, 11_689_512),
    ],
)
def test_names_shapes_and_parameter_counts_are_torchvisions(stem: str, classes: int, published: int) -> None:
    net = resnet18(classes, stem)
    assert sum(p.numel() for p in net.parameters()) == published
    own = {name: tuple(tensor.shape) for name, tensor in net.state_dict().items()}
    assert list(own.items()) == list(shapes(classes, stem).items())


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("stem", ["cifar", "cifar-pool", "imagenet"])
def test_the_forward_pass_and_its_gradient_are_the_papers(stem: str, training: bool) -> None:
    with seeds.seeded(0, "resnet", stem):
        net = resnet18(4, stem).double().train(training)
        state = net.state_dict()
        for tensor in state.values():  # nothing may stay where it starts: 0 and 1 hide mistakes
            if tensor.is_floating_point() and tensor.ndim == 1:
                tensor.uniform_(0.5, 1.5)
        x = torch.rand(3, 3, 17, 10, dtype=torch.float64, requires_grad=True)
    expected = reference({name: tensor.clone() for name, tensor in state.items()}, x, stem, training)
    torch.testing.assert_close(net(x), expected, rtol=1e-10, atol=1e-10)
    direction = torch.linspace(-1, 1, 12, dtype=torch.float64).view(3, 4)
    gradients = [torch.autograd.grad((out * direction).sum(), x)[0] for out in (net(x), expected)]
    torch.testing.assert_close(*gradients, rtol=1e-8, atol=1e-10)


def test_weights_start_with_the_variance_two_over_fan_out() -> None:
    with seeds.seeded(1, "resnet"):
        net = resnet18()
    for name, weight in net.named_parameters():
        if weight.ndim == 4:
            fan_out = weight.shape[0] * weight.shape[2] * weight.shape[3]
            # The variance of a normal sample's variance is 2σ⁴/m: four standard errors.
            tolerance = 4 * math.sqrt(2 / weight.numel())
            assert weight.var().item() * fan_out / 2 == pytest.approx(1, abs=tolerance), name
        elif "bn" in name or "downsample.1" in name:
            assert (weight == (1 if name.endswith("weight") else 0)).all(), name


@pytest.mark.parametrize("stem", ["cifar", "cifar-pool", "imagenet"])
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 1, 1), (3, 5, 32)])
def test_it_works_on_small_images_of_any_channels(stem: str, shape: tuple[int, int, int]) -> None:
    net = resnet18(7, stem, channels=shape[0]).eval()
    assert net(torch.rand(2, *shape)).shape == (2, 7)


def test_channels_last_gives_the_same_numbers_and_the_images_stay_as_they_were() -> None:
    net, images = resnet18().double().eval(), torch.rand(2, 3, 9, 9, dtype=torch.float64)
    kept, plain = images.clone(), net(images)
    fast = net.to(memory_format=torch.channels_last)(images.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(fast, plain, rtol=1e-10, atol=1e-10)
    assert torch.equal(images, kept)


def test_what_cannot_be_built_or_used_is_refused_by_name() -> None:
    with pytest.raises(UserError, match=r"Unknown stem 'cifr'. Did you mean 'cifar'"):
        resnet18(stem="cifr")
    with pytest.raises(UserError, match="classes=0"):
        resnet18(0)
    with pytest.raises(UserError, match="channels=0"):
        resnet18(channels=0)
    with pytest.raises(UserError, match="built for images of 3 channels, but was given 1"):
        resnet18()(torch.rand(2, 1, 8, 8))
