"""The training objective of flow matching: the velocity of the straight line from image to noise."""

from dataclasses import dataclass

from epslab.errors import UserError
from epslab.generative.diffusion.flow_matching import on_the_line
from epslab.generative.diffusion.model import Diffusion
from epslab.probability.densities import wide
from epslab.runs import Column
from epslab.seeds import noise, uniform
from epslab.types import Batch, PerExample, Progress


@dataclass(frozen=True)
class FlowMatchingObjective:
    """‖(ε − x_0) − v_θ(x_t, t)‖² summed over dimensions, at one time t per example; Lipman et al. (2023), eq. 23.

        x_t = (1 − t)·x_0 + t·ε,    t uniform on [0, 1],    ε ~ N(0, I)

    Lipman et al. count time from noise to image; here t = 0 is the image. Time and noise are functions of the example's
    seed.

    >>> from epslab.nets import TimePerceptron
    >>> from epslab.probability.schedules import linear
    >>> model = Diffusion(TimePerceptron(2), linear(100), (2,), predicts="flow")
    >>> batch = Batch(torch.randn(5, 2), torch.zeros(5, dtype=torch.int64), torch.arange(5))
    >>> FlowMatchingObjective(model)(batch, Progress(0, 0, 1, 1, True))["loss"].shape
    torch.Size([5])

    Args:
        model: One that predicts "flow".

    Raises:
        UserError: The model predicts something else.
    """

    model: Diffusion

    def __post_init__(self) -> None:
        if self.model.predicts != "flow":
            raise UserError(
                f"Flow matching trains a model that predicts 'flow', not '{self.model.predicts}': that has an objective"
                " of its own, DiffusionObjective."
            )

    @property
    def columns(self) -> dict[str, Column]:
        """What the entry is: no likelihood; its least value is not 0, because one x_t lies on many lines."""
        return {"loss": Column("Squared error ‖(ε − x₀) − v_θ‖²", better="lower")}

    def __call__(self, batch: Batch, progress: Progress) -> dict[str, PerExample]:
        """The loss of each example."""
        model, x_0 = self.model, self.model.inwards(batch.examples)
        t, eps = uniform(batch.seeds, 0, (), x_0.dtype), noise(batch.seeds, 1, model.shape, x_0.dtype)
        error = eps - x_0 - model.predict(on_the_line(x_0, eps, t), t)
        return {"loss": wide(error).square().flatten(1).sum(1)}
