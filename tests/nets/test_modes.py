"""Eval mode leaves no trace."""

import pytest
import torch
from torch import nn

from epslab.nets.modes import evaluating


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
