"""The settings that train one diffusion model; its fields are the command's flags."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from epslab.errors import UserError
from epslab.recipes.checks import require
from epslab.recipes.common import TrainingSettings
from epslab.recipes.quality import Samples


@dataclass(frozen=True)
class Measures(Samples):
    """How a diffusion model is measured.

    Args:
        draws: Times per example at which the bound on its likelihood, a sum over all times, is estimated without bias;
            null: all of them, each once.
        exact: Test examples whose likelihood is computed by the probability-flow ODE as well, with the error of its
            solver; 0: none. It takes hundreds of passes through the net for each.

    Raises:
        UserError: A count that cannot work.
    """

    draws: int | None = 20
    exact: int = 0

    def __post_init__(self) -> None:
        """Check the counts."""
        super().__post_init__()
        require(self, "1 or more", lambda n: n >= 1, "draws")
        require(self, "0 or more", lambda n: n >= 0, "exact")


@dataclass(frozen=True)
class DiffusionRecipe(TrainingSettings):
    """A diffusion model (Ho et al., 2020): a U-Net that takes noise away, step by step; a perceptron for points.

    Args:
        predicts: What the net predicts: "v" (Salimans & Ho, 2022); "noise" (Ho et al., 2020); "image", the clean one;
            or "flow", the velocity of flow matching (Lipman et al., 2023).
        noise_schedule: How the noise grows over time: "cosine" (Nichol & Dhariwal, 2021) or "linear" (Ho et al., 2020).
        timesteps: Steps T from image to noise.
        width: Channels of the U-Net's finest level, an even number.
        multipliers: Channels of the U-Net's levels in units of the width, e.g. "[1, 2, 2]"; null: 1, then 2 for each
            further level, with as many levels as leave sides of 4 pixels or more, three at most.
        blocks: Residual blocks per level and direction of the U-Net.
        hidden: Units of each hidden layer of the perceptron, for points; an even number.
        layers: Hidden layers of the perceptron.
        variance: Of the model's steps, in the bound on the likelihood: "posterior", β̃_t, or "beta", β_t (Ho et al.,
            2020, section 3.2).
        levels: Grey levels of the images, in the bound on their likelihood, 2 to 256.
        sampler: How samples are drawn: "ancestral", "ddim", "euler", "euler-ancestral", "heun" or "dpm-solver-2m";
            null: "ancestral" for images, "euler-ancestral" for points, whose estimates on the way cannot be clamped.
        sampling_steps: Steps of the sampler, at most T; null: 100 of the samplers that add noise, 50 of the others, or
            T where that is less.
        sample_epochs: Epochs after which samples are drawn; 0 means before training. The last epoch always counts.
    """

    options: ClassVar[type | None] = Measures

    epochs: int = 120
    batch_size: int = 32
    learning_rate: float | None = 2e-3
    schedule: Literal["constant", "cosine", "one-cycle", "step"] = "cosine"
    ema_decay: float | None = 0.999
    predicts: Literal["noise", "v", "image", "flow"] = "v"
    noise_schedule: Literal["cosine", "linear"] = "cosine"
    timesteps: int = 1000
    width: int = 24
    multipliers: tuple[int, ...] | None = None
    blocks: int = 1
    hidden: int = 128
    layers: int = 3
    variance: Literal["posterior", "beta"] = "posterior"
    levels: int = 256
    sampler: Literal["ancestral", "ddim", "euler", "euler-ancestral", "heun", "dpm-solver-2m"] | None = None
    sampling_steps: int | None = None
    sample_epochs: tuple[int, ...] = (0, 1, 10)

    def __post_init__(self) -> None:
        """Refuse settings that cannot work, before anything is loaded or written.

        Raises:
            UserError: One sentence that names the setting, its value and what it may be.
        """
        super().__post_init__()
        require(self, "1 or more", lambda n: n >= 1, "timesteps", "blocks", "layers", "sampling_steps")
        require(self, "an even number, 2 or more", lambda n: n >= 2 and n % 2 == 0, "width", "hidden")
        require(self, "one level or more, each of 1 or more", lambda m: min(m, default=0) >= 1, "multipliers")
        require(self, "epochs of 0 or more", lambda epochs: min(epochs, default=0) >= 0, "sample_epochs")
        require(self, "between 2 and 256", lambda n: 2 <= n <= 256, "levels")
        if self.sampling_steps is not None and self.sampling_steps > self.timesteps:
            raise UserError(
                f"`sampling_steps={self.sampling_steps}` is more than the {self.timesteps} steps of the schedule; give"
                " fewer, or more `timesteps=`."
            )

    def sampler_for(self, shape: tuple[int, ...]) -> str:
        """The sampler for examples of this shape, with null resolved."""
        return self.sampler or ("ancestral" if len(shape) == 3 else "euler-ancestral")
