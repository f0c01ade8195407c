"""A borrowed model comes back as it was."""

import pytest
import torch
from torch import nn

from epslab.nets.modes import borrowed, evaluating


@pytest.mark.parametrize("fails", [False, True])
def test_every_submodule_gets_its_own_mode_back_also_after_an_exception(fails: bool) -> None:
    model = nn.Sequential(nn.Sequential(nn.Dropout(0.5), nn.BatchNorm1d(3)), nn.Dropout(0.5))
    model[0][1].eval()  # a frozen BatchNorm inside a training model
    modes = [module.training for module in model.modules()]
    statistics = model[0][1].running_mean.clone()
    x = torch.ones(4, 3)
    try:
        with evaluating(model):
            assert not any(module.training for module in model.modules())
            assert torch.equal(model(x), model(x))
            if fails:
                raise RuntimeError
    except RuntimeError:
        assert fails
    assert [module.training for module in model.modules()] == modes
    assert torch.equal(model[0][1].running_mean, statistics)


def in_use() -> nn.Sequential:
    """Mixed modes, a frozen parameter, gradients on some."""
    model = nn.Sequential(nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3)), nn.Dropout(0.5), nn.Linear(3, 2))
    model[0][1].eval()
    model[0][0].bias.requires_grad_(False)
    model[2].weight.grad = torch.full((2, 3), 0.25)
    return model


def state(model: nn.Module) -> list[object]:
    return [
        [module.training for module in model.modules()],
        [(p.requires_grad, None if p.grad is None else p.grad.tolist()) for p in model.parameters()],
        [values.tolist() for values in model.state_dict().values()],
        torch.get_rng_state().tolist(),
    ]


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("frozen", [False, True])
def test_a_borrowed_model_comes_back_as_it_was(training: bool, frozen: bool, fails: bool) -> None:
    model = in_use()
    before = state(model)
    modes = before[0]
    try:
        with borrowed(model, training=training, frozen=frozen):
            assert [m.training for m in model.modules()] == (
                modes if training else [False] * len(list(model.modules()))
            )
            assert any(p.requires_grad for p in model.parameters()) is not frozen
            torch.rand(3)
            model.train(not training)
            for p in model.parameters():
                p.requires_grad_(True)
                p.grad = torch.ones_like(p)
            if fails:
                raise RuntimeError
    except RuntimeError:
        assert fails
    assert state(model) == before


def test_it_comes_back_from_another_device() -> None:
    model = in_use().to("meta")
    with borrowed(model):
        model.to_empty(device="cpu")
    assert {p.device.type for p in model.parameters()} == {"meta"}


def test_a_function_is_taken_as_it_is_and_the_generators_are_kept() -> None:
    before = torch.get_rng_state()
    with borrowed(torch.rand):
        torch.rand(2)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_torchscript_module_can_be_borrowed() -> None:
    module = torch.jit.trace(torch.nn.Linear(3, 2), torch.zeros(1, 3))
    with borrowed(module, frozen=True):
        assert not any(parameter.requires_grad for parameter in module.parameters())
    assert all(parameter.requires_grad for parameter in module.parameters())
