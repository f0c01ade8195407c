"""The table of recipes: each is a class of settings and a plan made from them.

``RECIPES`` maps a name to its class of settings. Built in, the plan is named here by its import path, so that settings
load without torch and nothing imports in a circle. From outside (an entry point of ``epslab.recipes``, or
``package.module:Settings``), the class brings the plan as its method ``plan(self, images, seed)``.
"""

from typing import TYPE_CHECKING, Any

from epslab.errors import UserError
from epslab.names import Names, imported
from epslab.recipes.common import TrainingSettings
from epslab.runs import Run

if TYPE_CHECKING:
    from epslab.recipes.plan import Plan

_PLANS = {
    "vae": ("epslab.recipes.vae.settings:VAERecipe", "epslab.recipes.vae.plan:plan"),
    "autoencoder": ("epslab.recipes.autoencoder.settings:AutoencoderRecipe", "epslab.recipes.autoencoder.plan:plan"),
    "denoising-autoencoder": (
        "epslab.recipes.denoising_autoencoder.settings:DenoisingRecipe",
        "epslab.recipes.denoising_autoencoder.plan:plan",
    ),
    "gan": ("epslab.recipes.gan.settings:GANRecipe", "epslab.recipes.gan.plan:plan"),
    "wgan": ("epslab.recipes.gan.settings:WassersteinRecipe", "epslab.recipes.gan.plan:plan"),
    "wgan-gp": ("epslab.recipes.gan.settings:GradientPenaltyRecipe", "epslab.recipes.gan.plan:plan"),
    "adversarial-autoencoder": (
        "epslab.recipes.adversarial_autoencoder.settings:AdversarialAutoencoderRecipe",
        "epslab.recipes.adversarial_autoencoder.plan:plan",
    ),
    "diffusion": ("epslab.recipes.diffusion.settings:DiffusionRecipe", "epslab.recipes.diffusion.plan:plan"),
    "coupling-flow": (
        "epslab.recipes.coupling_flow.settings:CouplingFlowRecipe",
        "epslab.recipes.coupling_flow.plan:plan",
    ),
    "small-cnn": ("epslab.recipes.classifier.settings:SmallCNNRecipe", "epslab.recipes.classifier.plan:plan"),
    "resnet18": ("epslab.recipes.classifier.settings:ResNet18Recipe", "epslab.recipes.classifier.plan:plan"),
}
"""Name to the import paths of the settings' class and of the function ``plan(settings, images, seed)``."""


class Recipes(Names):
    """The classes of settings by name; see ``epslab.names.Names``."""

    def __init__(self) -> None:
        super().__init__("epslab.recipes", {name: settings for name, (settings, _) in _PLANS.items()})

    def __getitem__(self, name: str) -> type[TrainingSettings]:
        """The class of settings.

        Raises:
            UserError: The name is unknown, cannot be imported, or is no recipe.
        """
        settings = super().__getitem__(name)
        fits = isinstance(settings, type) and issubclass(settings, TrainingSettings)
        if not fits or not (name in self.builtin or hasattr(settings, "plan")):
            raise UserError(
                f"'{self.path(name)}' is no recipe; it must be a frozen dataclass that extends"
                " epslab.recipes.TrainingSettings and has a method plan(self, images, seed)."
            )
        kind: type[TrainingSettings] = settings
        return kind

    def summary(self, name: str) -> str:
        """One line about a recipe: its docstring's first; or the package that brings it, which is not imported."""
        if package := self.origin(name):
            return f"of the package {package}"
        return (self[name].__doc__ or "").strip().splitlines()[0]


RECIPES = Recipes()
"""Every recipe by its name on the command line."""


def settings_class(run: Run) -> type[TrainingSettings]:
    """The class of the settings a run was trained by.

    Raises:
        UserError: The run was not trained by a recipe, or by one that cannot be found.
    """
    name = run.config.get("recipe")
    if not isinstance(name, str):
        raise UserError(
            f"'{run.folder}' was trained from Python, by fit: only its script knows the model; give"
            " `model=package.module:name`, a function that builds it (in Python, or the model itself)."
        )
    return RECIPES[name]


def name_of(settings: type[TrainingSettings]) -> str:
    """The name of a class of settings: as it is listed, or else its import path."""
    path = f"{settings.__module__}:{settings.__qualname__}"
    return next((name for name in RECIPES if RECIPES.path(name) == path), path)


def plan_of(settings: TrainingSettings, images: Any, seed: int) -> "Plan":
    """What the recipe of these settings plans for these images, or points.

    Raises:
        UserError: It cannot be built for them.
    """
    name = name_of(type(settings))
    made: Plan = (
        imported(_PLANS[name][1])(settings, images, seed) if name in _PLANS else settings.plan(images, seed)  # type: ignore[attr-defined]
    )
    return made
