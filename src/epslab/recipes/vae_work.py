"""The work of a VAE recipe: likelihoods, samples after chosen epochs, bounds and latents measured."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, cast

from torch import nn

from epslab.data import ImageSet
from epslab.evaluation.estimators import Elbo, Estimator, ImportanceWeighted, PriorMonteCarlo
from epslab.evaluation.latents import evaluate_latents
from epslab.evaluation.likelihood import evaluate_likelihood
from epslab.generative.vae import VAE
from epslab.generative.vae_objective import VAEObjective
from epslab.recipes.schedules import schedule
from epslab.recipes.vae import VAERecipe
from epslab.recipes.vae_model import binary, build, objective
from epslab.recipes.vae_pictures import draw_all, draw_samples
from epslab.runs import Run
from epslab.training.turns import OptimiserFactory, ScheduleFactory
from epslab.types import ImageShape


@dataclass(frozen=True)
class VAEWork:
    """See ``epslab.recipes.work.Work``."""

    recipe: VAERecipe
    estimates: ClassVar[tuple[str, ...]] = ("samples", "importance_samples", "prior_samples")

    def choose(self, images: ImageSet) -> ImageSet:
        """All of them."""
        return images

    def prepare(self, images: ImageSet, seed: int, *, measuring: bool) -> ImageSet:
        """Binary where the recipe says so."""
        return binary(self.recipe, images, seed, measuring=measuring)

    def build(self, images: ImageSet, seed: int) -> VAE:
        """The untrained VAE."""
        return build(self.recipe, images.image_shape, seed)

    def rebuild(self, about: Mapping[str, Any], seed: int) -> VAE:
        """The VAE for a run's weights."""
        c, h, w = about["image_shape"]
        return build(self.recipe, (c, h, w), seed)

    def objective(self, model: nn.Module, image_shape: ImageShape) -> VAEObjective:
        """The negative ELBO, as the recipe weighs it."""
        return objective(self.recipe, cast(VAE, model))

    @property
    def learning_rate(self) -> float:
        """Adam's step size."""
        return self.recipe.learning_rate

    def optimiser(self) -> OptimiserFactory | None:
        """Adam."""
        return None

    def schedule(self) -> ScheduleFactory | None:
        """As the recipe says."""
        return schedule(self.recipe.schedule, self.recipe.epochs)

    def look(self, model: nn.Module, epoch: int, run: Run, seed: int) -> None:
        """Samples, after the epochs the recipe names and after the last one."""
        if epoch in self.recipe.sample_epochs or epoch == self.recipe.epochs:
            draw_samples(cast(VAE, model), run, epoch, seed)

    def measure(
        self,
        model: nn.Module,
        run: Run,
        images: ImageSet,
        *,
        batch_size: int,
        seed: int,
        progress: bool,
        **estimates: Any,
    ) -> dict[str, Any]:
        """Bounds in nats and bits/dim with standard errors, the latents, and pictures of both.

        Args:
            model: The trained VAE.
            run: Its run.
            images: What is measured.
            batch_size: Images at a time.
            seed: Of every image's noise.
            progress: Show a progress bar.
            estimates: ``samples`` of the ELBO, ``importance_samples`` and ``prior_samples`` of the other two bounds.
        """
        vae = cast(VAE, model)
        estimators: dict[str, Estimator] = {"elbo": Elbo(estimates.get("samples", 1))}
        if "importance_samples" in estimates:
            estimators["importance_weighted"] = ImportanceWeighted(estimates["importance_samples"])
        if "prior_samples" in estimates:
            estimators["prior_monte_carlo"] = PriorMonteCarlo(estimates["prior_samples"])
        likelihood = evaluate_likelihood(vae, images, estimators, batch_size=batch_size, seed=seed, progress=progress)
        latents = evaluate_latents(vae, images, batch_size=batch_size, seed=seed)
        draw_all(vae, run, images, latents)
        return {**likelihood.to_dict(), "latents": latents.to_dict()}
