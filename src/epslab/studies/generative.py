"""How the studies of generative models train each of them at each scale: one model of a kind, trained once, shared."""

from typing import TYPE_CHECKING, Any

from epslab.recipes import RECIPES, TrainingSettings
from epslab.studies.context import Context

if TYPE_CHECKING:
    from epslab.runs import Run

QUICK: dict[str, dict[str, Any]] = {
    "gan": {"epochs": 40, "sample_epochs": (0, 1, 5, 40)},
    "wgan": {"epochs": 20},
    "wgan-gp": {"epochs": 20},
    "adversarial-autoencoder": {"epochs": 20},
    "autoencoder": {"epochs": 40},
    "denoising-autoencoder": {"epochs": 15, "learning_rate": 3e-3, "levels": 20, "steps": 4, "sample_epochs": ()},
    "coupling-flow": {"steps": 2, "width": 24, "epochs": 15},
    "diffusion": {
        "width": 16,
        "epochs": 15,
        "sampler": "dpm-solver-2m",
        "sampling_steps": 20,
        "sample_epochs": (),
    },
}
"""By recipe, the settings in which quick scale differs from the recipe's defaults: seconds each on digits."""
FULL: dict[str, dict[str, Any]] = {}
"""By recipe, the settings in which full scale differs from them."""


def settings_for(context: Context, recipe: str) -> TrainingSettings:
    """The settings that every study trains this recipe with at the context's scale.

    >>> settings_for(Context(scale="full"), "vae").epochs
    80

    Raises:
        UserError: There is no such recipe.
    """
    if recipe == "vae":
        return context.recipe()
    return RECIPES[recipe](**context.pick(QUICK, FULL).get(recipe, {}))


def trained(context: Context, recipe: str, seed: int | None = None) -> "Run":
    """The run of this recipe that the studies share, trained if it is not there yet.

    Args:
        context: Where the runs lie, and the scale.
        recipe: A name of ``epslab.recipes.RECIPES``, also the run's.
        seed: Of the training; None: the context's.

    Raises:
        UserError: There is no such recipe, or the data cannot be read.
    """
    return context.train(settings_for(context, recipe), recipe, context.seed if seed is None else seed)
