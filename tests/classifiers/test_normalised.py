"""Normalisation inside the classifier: the same numbers as outside, saved with it, and checked."""

import pytest
import torch
from torch import nn

from epslab import seeds
from epslab.classifiers import Normalised
from epslab.errors import UserError

MEAN, STD = [0.2, 0.5, 0.7], [0.1, 0.3, 2.0]


def net() -> nn.Module:
    with seeds.seeded(0, "normalised"):
        return nn.Sequential(nn.Flatten(), nn.Linear(12, 4))


def images(channels: int = 3) -> torch.Tensor:
    return torch.rand(5, channels, 2, 2, generator=seeds.generator(0, "images"))


@pytest.mark.parametrize("form", [list, tuple, torch.tensor, lambda v: torch.tensor(v, dtype=torch.float64)])
def test_each_channel_is_normalised_by_its_own_numbers(form: object) -> None:
    inner, x = net(), images()
    expected = inner(torch.stack([(x[:, i] - MEAN[i]) / STD[i] for i in range(3)], dim=1))
    torch.testing.assert_close(Normalised(inner, form(MEAN), form(STD))(x), expected)  # type: ignore[operator]


def test_the_net_may_be_a_function_and_hold_its_logits() -> None:
    inner, x = net(), images()
    held = Normalised(lambda images: {"logits": inner(images)}, 0.5, 0.25)
    assert torch.equal(held(x), Normalised(inner, 0.5, 0.25)(x))


def test_one_number_serves_all_channels() -> None:
    inner, x = net(), images()
    torch.testing.assert_close(Normalised(inner, 0.5, 0.25)(x), inner((x - 0.5) / 0.25))
    torch.testing.assert_close(Normalised(inner, 0.5, STD)(x), Normalised(inner, [0.5] * 3, STD)(x))


def test_the_gradient_is_in_pixel_units() -> None:
    x = images().requires_grad_()
    weight = torch.arange(12.0).view(1, 3, 2, 2)
    (gradient,) = torch.autograd.grad(Normalised(nn.Flatten(), MEAN, STD)(x).mul(weight.flatten(1)).sum(), x)
    torch.testing.assert_close(gradient, (weight / torch.tensor(STD).view(1, 3, 1, 1)).expand_as(x))


def test_the_numbers_are_saved_beside_the_nets_own_weights() -> None:
    inner = net()
    model = Normalised(inner, MEAN, STD)
    assert list(model.state_dict()) == ["mean", "std", "net.1.weight", "net.1.bias"]
    assert list(model.net.state_dict()) == list(net().state_dict())
    other = Normalised(net(), [0.0] * 3, [1.0] * 3)
    other.load_state_dict(model.state_dict())
    assert torch.equal(other(images()), model(images()))


def test_the_numbers_are_in_the_nets_dtype_and_move_with_it() -> None:
    assert Normalised(net().double(), MEAN, STD)(images().double()).dtype == torch.float64
    assert Normalised(net(), MEAN, STD).double()(images().double()).dtype == torch.float64
    assert Normalised(net(), torch.tensor(MEAN).double(), torch.tensor(STD).double())(images()).dtype == torch.float32


def test_images_and_the_callers_numbers_stay_as_they_were() -> None:
    x, mean, std = images(), torch.tensor(MEAN), torch.tensor(STD)
    kept = x.clone()
    model = Normalised(net(), mean, std)
    model(x)
    assert torch.equal(x, kept)
    with torch.no_grad():
        model.mean.zero_()
    assert torch.equal(mean, torch.tensor(MEAN))


@pytest.mark.parametrize(
    ("mean", "std", "sentence"),
    [
        (MEAN, [0.1, 0.0, 0.3], r"std is \[.*must be positive and finite"),
        (MEAN, [0.1, -1.0, 0.3], "must be positive and finite"),
        (MEAN, float("nan"), "must be positive and finite"),
        (0.0, float("inf"), "must be positive and finite"),
        ([0.0, float("nan"), 0.0], STD, "mean is .*must be a finite number"),
        ([0.0, 1.0], STD, "mean has 2 channels and std 3"),
        ([], STD, "mean has 0 channels"),
        (0.0, [], "std 0"),
    ],
)
def test_numbers_that_normalise_nothing_are_refused(mean: object, std: object, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        Normalised(net(), mean, std)  # type: ignore[arg-type]


def test_images_of_other_channels_are_refused() -> None:
    with pytest.raises(UserError, match="for images of 3 channels, but was given 1"):
        Normalised(net(), MEAN, STD)(images(1))
    with pytest.raises(UserError, match="for images of 3 channels, but was given 4"):
        Normalised(net(), MEAN, STD)(images(4))
