from pathlib import Path

import pytest

from epslab import recipes
from epslab.errors import UserError
from epslab.recipes import TrainingSettings
from epslab.runs import Run
from epslab.studies import generative
from epslab.studies.context import Context


def test_settings_are_the_recipe_s_with_this_scale_s_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generative, "QUICK", {"small-cnn": {"epochs": 3}})
    quick, full = Context(), Context(scale="full")
    assert generative.settings_for(quick, "small-cnn") == recipes.SmallCNNRecipe(epochs=3)
    assert generative.settings_for(full, "small-cnn") == recipes.SmallCNNRecipe()
    assert generative.settings_for(quick, "vae") == quick.recipe()
    with pytest.raises(UserError, match=r"'vea'.*vae"):
        generative.settings_for(quick, "vea")


def test_a_shared_run_has_the_recipe_s_name(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, int]] = []

    def train(self: Context, settings: TrainingSettings, name: str, seed: int) -> Run:
        assert settings == self.recipe()
        asked.append((name, seed))
        return Run(Path("nowhere"))

    monkeypatch.setattr(Context, "train", train)
    generative.trained(Context(seed=4), "vae")
    generative.trained(Context(seed=4), "vae", 7)
    assert asked == [("vae", 4), ("vae", 7)]
