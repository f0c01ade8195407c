"""The settings that train one autoencoder; its fields are the command's flags."""

from dataclasses import dataclass
from typing import Literal

from epslab.recipes.checks import require
from epslab.recipes.common import TrainingSettings


@dataclass(frozen=True)
class AutoencoderRecipe(TrainingSettings):
    """An autoencoder trained for the least squared error (Hinton & Salakhutdinov, 2006).

    Args:
        latent_dim: Dimensions D of the code.
        net: "linear": one layer each way, which finds PCA's subspace; "perceptron": fully connected; "conv": five
            convolutions each way (image sides of 4 pixels and more); "auto": perceptrons for points and for sides
            below 16, else convolutions.
        width: Channels of the convolutional nets' outer layers; the inner ones have twice as many.
        hidden: Units of each of the encoder's hidden layers in perceptrons, e.g. "[256, 64]"; the decoder mirrors them.
        learning_rate: Highest learning rate; null: 0.03 for the linear net, 0.003 for the others.
    """

    epochs: int = 60
    batch_size: int = 64
    learning_rate: float | None = None
    schedule: Literal["constant", "cosine", "one-cycle", "step"] = "cosine"
    latent_dim: int = 20
    net: Literal["auto", "linear", "perceptron", "conv"] = "auto"
    width: int = 32
    hidden: tuple[int, ...] = (256, 64)

    def __post_init__(self) -> None:
        """Refuse settings that cannot work, before anything is loaded or written.

        Raises:
            UserError: One sentence that names the setting, its value and what it may be.
        """
        super().__post_init__()
        require(self, "1 or more", lambda n: n >= 1, "latent_dim", "width")
        require(self, "one layer or more, each of 1 unit or more", lambda units: min(units, default=0) >= 1, "hidden")

    def net_for(self, shape: tuple[int, ...]) -> Literal["linear", "perceptron", "conv"]:
        """The net for examples of this shape, with "auto" resolved."""
        if self.net == "auto":
            return "perceptron" if len(shape) == 1 or min(shape[1:]) < 16 else "conv"
        return self.net
