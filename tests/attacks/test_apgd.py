"""Auto-PGD: its checkpoints, its step sizes, and that it finds what plain PGD does not."""

import pytest
import torch
from torch import Tensor, nn

from epslab.attacks import APGD, PGD, margin
from epslab.attacks.auto_steps import AutoSteps, SparseAutoSteps
from epslab.errors import UserError
from epslab.geometry import L2, Linf

from .models import conv_net, images

X = images(32)
SEEDS = torch.arange(32)


def test_checkpoints_are_those_of_the_paper() -> None:
    """N = 100: 22, 41, 57, 70, 80, 87, 93, 99, as the paper's recursion gives them by hand."""
    checkpoints = AutoSteps.checkpoints_of
    assert list(checkpoints(100)) == [22, 41, 57, 70, 80, 87, 93, 99]
    assert list(checkpoints(100).values()) == [0, 22, 41, 57, 70, 80, 87, 93]
    assert list(checkpoints(1)) == [1]
    assert list(SparseAutoSteps.checkpoints_of(100)) == list(range(4, 101, 4))
    assert SparseAutoSteps.checkpoints_of(2) == {1: 0, 2: 1}


class Ridge(nn.Module):
    """One logit is −|x_1 − ½|·s + x_2: steps that are too long jump over the ridge for ever."""

    def forward(self, x: Tensor) -> Tensor:
        a, b = x[:, 0, 0, 0], x[:, 0, 0, 1]
        z = b - 40 * (a - 0.5).abs()
        return torch.stack([z - 10, -z + 10], 1)


def test_the_step_size_falls_where_progress_stops() -> None:
    """The optimum is on the ridge; it is found far more closely than the first step size (2·radius) would allow."""
    x = torch.full((4, 1, 1, 2), 0.4, dtype=torch.float64)
    y = torch.ones(4, dtype=torch.int64)
    found = APGD(Linf(0.3), steps=100, objective=margin)(Ridge(), x, y, seeds=torch.arange(4))
    a = found.images[:, 0, 0, 0]
    assert ((a - 0.5).abs() < 0.3 / 2**4).all()
    assert (found.images[:, 0, 0, 1] > 0.7 - 1e-9).all()


def test_it_beats_pgd_with_the_same_gradients() -> None:
    model = conv_net()
    y = model(X).argmax(1)
    for ball in (Linf(3 / 255), L2(0.2)):
        pgd = PGD(ball, steps=20, restarts=2)(model, X, y, seeds=SEEDS)
        apgd = APGD(ball, steps=20)(model, X, y, seeds=SEEDS)
        assert apgd.success.sum() >= pgd.success.sum()
        assert torch.equal(apgd.success, model(apgd.images).argmax(1) != y)


class Saturated(nn.Module):
    """Logits so large that float32 cross-entropy has no gradient: the targeted DLR does not mind."""

    def __init__(self) -> None:
        super().__init__()
        self.net = conv_net()

    def forward(self, x: Tensor) -> Tensor:
        return 1e5 * self.net(x)


def test_the_targeted_ratio_breaks_what_hides_its_cross_entropy() -> None:
    model = Saturated().eval()
    y = model(X).argmax(1)
    ball = Linf(8 / 255)
    blind = PGD(ball, steps=20)(model, X, y, seeds=SEEDS)
    found = APGD(ball, steps=20)(model, X, y, seeds=SEEDS)
    assert blind.success.float().mean() < 0.3
    assert found.success.float().mean() > 0.8


def test_targets_are_the_likeliest_classes_and_stop_at_success() -> None:
    """With no targets the count of gradients is the untargeted run's; each target tried adds at most one more run."""
    model = conv_net()
    y = model(X).argmax(1)
    none = APGD(Linf(2 / 255), steps=8, targets=0)(model, X, y, seeds=SEEDS)
    assert none.gradients.max() == 8
    two = APGD(Linf(2 / 255), steps=8, targets=2)(model, X, y, seeds=SEEDS)
    stood = ~two.success
    assert stood.any()
    assert (two.gradients[stood] == 24).all()
    assert (two.success | ~none.success).all(), "what the untargeted run broke stays broken"
    assert (two.gradients[none.success] <= 8).all(), "and is not searched for again"


def test_for_the_greatest_loss_targets_are_left_out() -> None:
    model = conv_net()
    y = model(X).argmax(1)
    found = APGD(Linf(2 / 255), steps=8, leave_early=False)(model, X, y, seeds=SEEDS)
    assert (found.gradients == 8).all()


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"restarts": 0}, {"targets": -1}])
def test_wrong_settings(wrong: dict[str, int]) -> None:
    with pytest.raises(UserError, match=next(iter(wrong))):
        APGD(Linf(0.1), **wrong)
