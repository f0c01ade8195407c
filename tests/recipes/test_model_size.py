"""A model that does not fit into memory is refused, before memory or disk is touched."""

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import nn

from epslab.data import ImageSet
from epslab.errors import UserError
from epslab.recipes import SmallCNNRecipe, TrainingSettings, VAERecipe, memory
from epslab.recipes.memory import plan_in_memory
from epslab.recipes.plan import Plan

IMAGES = ImageSet(torch.zeros(2, 1, 8, 8, dtype=torch.uint8), torch.arange(2), ("a", "b"))


@dataclass(frozen=True)
class Failing(TrainingSettings):
    """A recipe whose model cannot be built, for this reason."""

    reason: str = "no memory left"

    def plan(self, images: Any, seed: int) -> Plan:
        raise MemoryError if self.reason == "python" else RuntimeError(self.reason)


def test_what_the_weights_would_take_is_told_without_building_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_memory", lambda: 16 * 10**9)
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: False)
    with pytest.raises(UserError, match=r"take 6,\d\d\d\.\d GB, training four times that, and this"):
        plan_in_memory(VAERecipe(latent_dim=10**9), IMAGES, 0)
    # On an accelerator's own memory the system does not tell.
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    with pytest.raises(UserError, match=r"take 6,\d\d\d\.\d GB and this machine has 16\.0 GB of memory; c"):
        plan_in_memory(VAERecipe(latent_dim=10**9), IMAGES, 0)


def test_the_size_told_is_the_models(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = VAERecipe(net="perceptron", hidden=(8,), latent_dim=3)
    plan = plan_in_memory(settings, IMAGES, 0)
    size = sum(weight.numel() * 4 for weight in plan.model.parameters())
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: False)
    monkeypatch.setattr(memory, "_memory", lambda: 4 * size)
    assert isinstance(plan_in_memory(settings, IMAGES, 0).model, nn.Module)
    monkeypatch.setattr(memory, "_memory", lambda: 4 * size - 1)
    with pytest.raises(UserError, match="is too large"):
        plan_in_memory(settings, IMAGES, 0)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (SmallCNNRecipe(width=10**7), r"is too large: a part of it takes [\d,]+\.\d GB"),
        (Failing(reason="out of memory"), "is too large: it could not be built"),
        (Failing(reason="python"), "is too large: it could not be built"),
    ],
)
def test_a_model_whose_size_shows_as_it_is_built(settings: TrainingSettings, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        plan_in_memory(settings, IMAGES, 0)


def test_other_errors_of_a_recipe_are_not_disguised() -> None:
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        plan_in_memory(Failing(reason="shapes do not fit"), IMAGES, 0)
