"""Objectives and goals against their definitions, class by class."""

import pytest
import torch
from torch import Tensor

from epslab.attacks import cross_entropy, dlr, least_likely, margin, targeted, untargeted
from epslab.attacks.objectives import targeted_dlr
from epslab.errors import UserError

Z = torch.tensor([[2.0, -1.0, 0.5, 0.0], [0.0, 3.0, 1.0, 2.5]], dtype=torch.float64)
Y = torch.tensor([0, 2])


def test_values_by_hand() -> None:
    torch.testing.assert_close(margin(Z, Y), torch.tensor([0.5 - 2.0, 3.0 - 1.0], dtype=torch.float64))
    expected = torch.tensor([(0.5 - 2.0) / (2.0 - 0.0), (3.0 - 1.0) / (3.0 - 1.0)], dtype=torch.float64)
    torch.testing.assert_close(dlr(Z, Y), expected)
    torch.testing.assert_close(cross_entropy(Z, Y), Z.logsumexp(1) - Z[[0, 1], Y])
    t = torch.tensor([2, 3])
    expected = torch.tensor([(0.5 - 2.0) / (2.0 - (0.0 - 1.0) / 2), (2.5 - 1.0) / (3.0 - 0.5)], dtype=torch.float64)
    torch.testing.assert_close(targeted_dlr(Z, Y, t), expected)


@pytest.mark.parametrize("objective", [cross_entropy, margin, dlr, lambda z, y: targeted_dlr(z, y, (y + 1) % 4)])
def test_a_constant_added_to_all_logits_changes_nothing(objective: object) -> None:
    torch.testing.assert_close(objective(Z + 100.0, Y), objective(Z, Y), rtol=1e-10, atol=1e-10)  # type: ignore[operator]


@pytest.mark.parametrize("objective", [dlr, lambda z, y: targeted_dlr(z, y, (y + 1) % 4)])
def test_the_ratio_does_not_see_the_scale(objective: object) -> None:
    torch.testing.assert_close(objective(1e4 * Z, Y), objective(Z, Y))  # type: ignore[operator]


def test_cross_entropy_loses_its_gradient_where_the_ratio_keeps_it() -> None:
    """Logits a thousand times too large: the gradient of −log softmax is exactly zero in single precision."""
    z = (1000 * Z.float()[:1]).requires_grad_()
    (g,) = torch.autograd.grad(cross_entropy(z, Y[:1]).sum(), z)
    assert (g == 0).all()
    (g,) = torch.autograd.grad(dlr(z, Y[:1]).sum(), z)
    assert (g != 0).any()


@pytest.mark.parametrize("classes", [2, 3])
def test_few_classes(classes: int) -> None:
    z, y = Z[:, :classes], torch.tensor([0, 1])
    t = 1 - y
    difference = z[[0, 1], t] - z[[0, 1], y]
    if classes == 2:
        torch.testing.assert_close(dlr(z, y), difference)
        torch.testing.assert_close(targeted_dlr(z, y, t), difference)
    else:
        span = z.amax(1) - z.amin(1)
        torch.testing.assert_close(dlr(z, y), margin(z, y) / span)
        torch.testing.assert_close(targeted_dlr(z, y, t), difference / span)


def test_half_precision_is_computed_in_single() -> None:
    assert cross_entropy(Z.half(), Y).dtype == margin(Z.half(), Y).dtype == torch.float32


def test_goals() -> None:
    aim = untargeted(Z, Y)
    assert aim.met(Z).tolist() == [False, True]
    torch.testing.assert_close(aim.rise(margin, Z), margin(Z, Y))
    aim = least_likely(Z, Y)
    assert aim.labels.tolist() == [1, 0]
    assert aim.met(Z).tolist() == [False, False]
    assert aim.met(-Z).tolist() == [True, True]
    torch.testing.assert_close(aim.rise(cross_entropy, Z), -cross_entropy(Z, torch.tensor([1, 0])))
    assert targeted(torch.tensor([0, 1]))(Z, Y)[torch.tensor([1])].met(Z[1:]).tolist() == [True]


@pytest.mark.parametrize(
    ("targets", "says"), [(torch.tensor([0]), "2 images and 1 target"), (torch.tensor([0, 4]), r"must lie in 0\.\.3")]
)
def test_wrong_targets(targets: Tensor, says: str) -> None:
    with pytest.raises(UserError, match=says):
        targeted(targets)(Z, Y)
