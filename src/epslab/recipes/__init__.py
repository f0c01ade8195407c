"""Named settings that train one model, and what is done with a run: load, sample, evaluate.

The settings load without torch, so that help and wrong flags answer at once; the rest loads when it is first used.
"""

from typing import TYPE_CHECKING, Any

from epslab.recipes.classifier import COURSE, ClassifierRecipe, ResNet18Recipe, SmallCNNRecipe
from epslab.recipes.recipe import Recipe
from epslab.recipes.vae import VAERecipe

if TYPE_CHECKING:
    from epslab.recipes.running import evaluate as evaluate
    from epslab.recipes.running import load as load
    from epslab.recipes.running import recipe_of as recipe_of
    from epslab.recipes.running import splits as splits
    from epslab.recipes.running import train as train
    from epslab.recipes.work import Splits as Splits

_ALL: tuple[type[Recipe], ...] = (VAERecipe, SmallCNNRecipe, ResNet18Recipe)
RECIPES: dict[str, type[Recipe]] = {recipe.name: recipe for recipe in _ALL}
"""Every recipe by the name the command line knows it by."""

_RUNNING = ("evaluate", "load", "recipe_of", "splits", "train")

__all__ = [
    "COURSE",
    "RECIPES",
    "ClassifierRecipe",
    "Recipe",
    "ResNet18Recipe",
    "SmallCNNRecipe",
    "Splits",
    "VAERecipe",
    *_RUNNING,
]


def __getattr__(name: str) -> Any:
    if name == "Splits":
        from epslab.recipes.work import Splits

        return Splits
    if name in _RUNNING:
        from epslab.recipes import running

        return getattr(running, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
