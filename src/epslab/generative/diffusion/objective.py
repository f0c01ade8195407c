"""The training objective of diffusion: predict the noise, v or the image from x_t (Ho et al., 2020, algorithm 1)."""

from dataclasses import dataclass

from epslab.errors import UserError
from epslab.generative.diffusion.model import Diffusion
from epslab.generative.samplers import target
from epslab.probability.densities import wide
from epslab.runs import Column
from epslab.seeds import noise, uniform
from epslab.types import Batch, PerExample, Progress

_NAMES = {"noise": "‖ε − ε_θ‖²", "v": "‖v − v_θ‖²", "image": "‖x₀ − x_θ‖²"}


@dataclass(frozen=True)
class DiffusionObjective:
    """‖y − y_θ(x_t, t)‖² summed over dimensions, at one time t per example; y is what the net predicts.

        x_t = √ᾱ_t·x_0 + √(1 − ᾱ_t)·ε,    t uniform on 0..T−1,    ε ~ N(0, I)

    For y = ε this is Ho et al. (2020), eq. 14. Time and noise are functions of the example's seed.

    >>> from epslab.nets import TimePerceptron
    >>> from epslab.probability.schedules import linear
    >>> model = Diffusion(TimePerceptron(2), linear(100), (2,))
    >>> batch = Batch(torch.randn(5, 2), torch.zeros(5, dtype=torch.int64), torch.arange(5))
    >>> DiffusionObjective(model)(batch, Progress(0, 0, 1, 1, True))["loss"].shape
    torch.Size([5])

    Args:
        model: It says what the net predicts.

    Raises:
        UserError: The model is one of flow matching, which has an objective of its own.
    """

    model: Diffusion

    def __post_init__(self) -> None:
        if self.model.predicts == "flow":
            raise UserError("A flow is trained by the objective of flow matching, not by that of a schedule.")

    @property
    def columns(self) -> dict[str, Column]:
        """What the entry is: no likelihood, and comparable only between nets that predict the same."""
        return {"loss": Column(f"Squared error {_NAMES[self.model.predicts]}", better="lower")}

    def __call__(self, batch: Batch, progress: Progress) -> dict[str, PerExample]:
        """The loss of each example."""
        model, x_0 = self.model, self.model.inwards(batch.examples)
        steps = len(model.schedule)
        # In float32 a uniform draw is below 1, but times T it may round up to T.
        t = (uniform(batch.seeds, 0, ()) * steps).long().clamp_(max=steps - 1)
        eps = noise(batch.seeds, 1, model.shape, x_0.dtype)
        y = target(x_0, eps, model.alpha_bar(t, x_0), model.predicts)
        error = y - model.predict(model.noisy(x_0, t, eps), t)
        return {"loss": wide(error).square().flatten(1).sum(1)}
