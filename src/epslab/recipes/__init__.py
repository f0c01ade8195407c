"""Recipes: named settings that train one model, and what is done with a run: load, sample, evaluate.

A recipe is a frozen dataclass of settings and a plan made from them: ``plan(settings, images, seed) -> Plan``. The
settings load without torch, so that help and wrong flags answer at once; the rest loads when it is first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

from epslab.recipes.classifier.settings import COURSE, ClassifierRecipe, ResNet18Recipe, SmallCNNRecipe
from epslab.recipes.common import TrainingSettings
from epslab.recipes.coupling_flow.settings import CouplingFlowRecipe
from epslab.recipes.table import RECIPES, settings_class
from epslab.recipes.vae.settings import VAERecipe

if TYPE_CHECKING:
    from epslab.recipes.given import Given as Given
    from epslab.recipes.measuring import Evaluated as Evaluated
    from epslab.recipes.measuring import evaluate as evaluate
    from epslab.recipes.measuring import measure as measure
    from epslab.recipes.measuring import options_of as options_of
    from epslab.recipes.measuring import trained_on as trained_on
    from epslab.recipes.plan import Asked as Asked
    from epslab.recipes.plan import Plan as Plan
    from epslab.recipes.running import Splits as Splits
    from epslab.recipes.running import draws as draws
    from epslab.recipes.running import load as load
    from epslab.recipes.running import recipe_of as recipe_of
    from epslab.recipes.running import splits as splits
    from epslab.recipes.running import train as train
    from epslab.recipes.sampling import sample as sample
    from epslab.recipes.sampling import samples as samples
    from epslab.recipes.sampling import write_samples as write_samples

_LATER = {
    "Given": "given",
    **dict.fromkeys(("Asked", "Plan"), "plan"),
    **dict.fromkeys(("Evaluated", "evaluate", "measure", "options_of", "trained_on"), "measuring"),
    **dict.fromkeys(("Splits", "draws", "load", "recipe_of", "splits", "train"), "running"),
    **dict.fromkeys(("sample", "samples", "write_samples"), "sampling"),
}

__all__ = [
    "COURSE",
    "RECIPES",
    "ClassifierRecipe",
    "CouplingFlowRecipe",
    "ResNet18Recipe",
    "SmallCNNRecipe",
    "TrainingSettings",
    "VAERecipe",
    "settings_class",
    *_LATER,
]


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"epslab.recipes.{_LATER[name]}"), name)
