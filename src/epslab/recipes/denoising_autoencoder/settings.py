"""The settings that train one denoising autoencoder; its fields are the command's flags."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from epslab.errors import UserError
from epslab.recipes.checks import require
from epslab.recipes.common import TrainingSettings
from epslab.recipes.quality import Samples


@dataclass(frozen=True)
class DenoisingRecipe(TrainingSettings):
    """A denoising autoencoder over a ladder of noise levels; annealed Langevin samples (Song & Ermon, 2019).

    Args:
        width: Channels of the U-Net's finest level, an even number; images only.
        blocks: Residual blocks per level and direction of the U-Net.
        hidden: Units of each hidden layer of the perceptron, an even number; points only.
        layers: Hidden layers of the perceptron.
        sigma_max: Broadest noise, standard deviation in the unit of the data (of images: of the pixel range [0, 1]);
            null: the root mean squared distance of an example from the data's mean, so that it hides everything.
        sigma_min: Narrowest noise, likewise; null: 0.02 for images, a hundredth of the data's standard deviation for
            points.
        levels: Noise levels on the ladder from broadest to narrowest, each the same share of the one before.
        step: Step size of the Langevin dynamics as a share of sigma², above 0 and below 2.
        steps: Langevin steps at each level.
        sample_epochs: Epochs after which samples are drawn; 0 means before training. The last epoch always counts.
    """

    options: ClassVar[type | None] = Samples

    epochs: int = 100
    batch_size: int = 64
    learning_rate: float | None = 2e-3
    schedule: Literal["constant", "cosine", "one-cycle", "step"] = "cosine"
    ema_decay: float | None = 0.999
    width: int = 16
    blocks: int = 1
    hidden: int = 128
    layers: int = 3
    sigma_max: float | None = None
    sigma_min: float | None = None
    levels: int = 40
    step: float = 0.5
    steps: int = 5
    sample_epochs: tuple[int, ...] = (0, 1, 10)

    def __post_init__(self) -> None:
        """Refuse settings that cannot work, before anything is loaded or written.

        Raises:
            UserError: One sentence that names the setting, its value and what it may be.
        """
        super().__post_init__()
        require(self, "1 or more", lambda n: n >= 1, "blocks", "layers", "steps")
        require(self, "an even number, 2 or more", lambda n: n >= 2 and n % 2 == 0, "width", "hidden")
        require(self, "more than 0", lambda x: x > 0, "sigma_max", "sigma_min")
        require(self, "2 or more", lambda n: n >= 2, "levels")
        require(self, "above 0 and below 2", lambda x: 0 < x < 2, "step")
        require(self, "epochs of 0 or more", lambda epochs: min(epochs, default=0) >= 0, "sample_epochs")
        if self.sigma_max is not None and self.sigma_min is not None and not self.sigma_min < self.sigma_max:
            raise UserError(f"`sigma_min={self.sigma_min:g}` must be below `sigma_max={self.sigma_max:g}`.")
