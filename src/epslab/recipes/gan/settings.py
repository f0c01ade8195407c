"""The settings that train a generative adversarial network; their fields are the command's flags."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from epslab.recipes.checks import require
from epslab.recipes.common import TrainingSettings
from epslab.recipes.quality import Samples

_SMALL = 16  # images with a side below this get perceptrons


@dataclass(frozen=True)
class AdversarialRecipe(TrainingSettings):
    """A generator trained against a net that judges its samples; ``epochs`` count passes of that net over the data.

    Args:
        latent_dim: Dimensions D of the noise z that the generator starts from; null: 64 for images, 8 for points.
        net: "conv": convolutions; "perceptron": fully connected layers, the only choice for points; "auto": perceptrons
            for points and for images with a side below 16.
        width: Channels of the finest layer of the convolutional nets; each coarser one has twice as many.
        hidden: Units of each hidden layer of the generator's perceptron; the net that judges mirrors them. Null:
            "[256, 256]" for images, "[128, 128, 128]" for points.
        critic_steps: Steps of the net that judges for each step of the generator.
        sample_epochs: Epochs after which samples are drawn; 0 means before training. The last epoch always counts.
    """

    options: ClassVar[type | None] = Samples
    rates: ClassVar[tuple[float, float, float]]
    """Learning rates of convolutions, of perceptrons for images, and of those for points."""

    epochs: int = 100
    batch_size: int = 64
    learning_rate: float | None = None
    schedule: Literal["constant", "cosine", "one-cycle", "step"] = "cosine"
    ema_decay: float | None = 0.999
    latent_dim: int | None = None
    net: Literal["auto", "conv", "perceptron"] = "auto"
    width: int = 32
    hidden: tuple[int, ...] | None = None
    critic_steps: int = 1
    sample_epochs: tuple[int, ...] = (0, 1, 3, 10, 30, 100)

    def __post_init__(self) -> None:
        """Refuse settings that cannot work, before anything is loaded or written.

        Raises:
            UserError: One sentence that names the setting, its value and what it may be.
        """
        super().__post_init__()
        require(self, "1 or more", lambda n: n >= 1, "latent_dim", "width", "critic_steps")
        require(self, "one layer or more, each of 1 unit or more", lambda units: min(units, default=0) >= 1, "hidden")
        require(self, "epochs of 0 or more", lambda epochs: min(epochs, default=0) >= 0, "sample_epochs")

    def net_for(self, shape: tuple[int, ...]) -> Literal["conv", "perceptron"]:
        """The net for examples of this shape, with "auto" resolved."""
        if self.net == "auto":
            return "perceptron" if len(shape) == 1 or min(shape[1:]) < _SMALL else "conv"
        return self.net

    def latent_dim_for(self, shape: tuple[int, ...]) -> int:
        """D for examples of this shape."""
        default = 64 if len(shape) == 3 else 8
        return default if self.latent_dim is None else self.latent_dim

    def hidden_for(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The units of the generator's hidden layers for examples of this shape."""
        default = (256, 256) if len(shape) == 3 else (128, 128, 128)
        return default if self.hidden is None else self.hidden

    def rate_for(self, shape: tuple[int, ...]) -> float:
        """The learning rate for examples of this shape."""
        conv, images, points = self.rates
        if self.learning_rate is not None:
            return self.learning_rate
        return points if len(shape) == 1 else conv if self.net_for(shape) == "conv" else images


@dataclass(frozen=True)
class GANRecipe(AdversarialRecipe):
    """A generative adversarial network (Goodfellow et al., 2014).

    Args:
        learning_rate: Highest learning rate; null: 0.0002 for convolutions (Radford et al., 2016), 0.0005 for
            perceptrons, 0.001 for points.
        loss: What the generator minimises: "non-saturating", −log D(G(z)); "minimax", log(1 − D(G(z))), whose gradient
            vanishes while the discriminator is sure.
    """

    rates: ClassVar[tuple[float, float, float]] = (2e-4, 5e-4, 1e-3)

    loss: Literal["non-saturating", "minimax"] = "non-saturating"


@dataclass(frozen=True)
class WassersteinRecipe(AdversarialRecipe):
    """A Wasserstein GAN whose critic has clipped weights (Arjovsky et al., 2017).

    Args:
        learning_rate: Highest learning rate; null: 0.00005 for convolutions, 0.0005 for perceptrons.
        clip: Largest absolute value of a weight of the critic; null: 0.01 for convolutions, 0.03 for perceptrons.
    """

    rates: ClassVar[tuple[float, float, float]] = (5e-5, 5e-4, 5e-4)

    epochs: int = 200
    critic_steps: int = 5
    clip: float | None = None

    def __post_init__(self) -> None:
        """Check the bound, too."""
        super().__post_init__()
        require(self, "more than 0", lambda x: x > 0, "clip")

    def clip_for(self, shape: tuple[int, ...]) -> float:
        """The bound of the critic's weights for examples of this shape."""
        default = 0.01 if self.net_for(shape) == "conv" else 0.03
        return default if self.clip is None else self.clip


@dataclass(frozen=True)
class GradientPenaltyRecipe(AdversarialRecipe):
    """A Wasserstein GAN with a gradient penalty (Gulrajani et al., 2017), by default with fewer steps of the critic.

    Args:
        learning_rate: Highest learning rate; null: 0.0002 for convolutions, 0.0005 for perceptrons, 0.001 for points.
        penalty: λ: weight of the penalty (‖∇f‖₂ − 1)² on the critic's slope; null: 10 for images, 0.1 for points.
    """

    rates: ClassVar[tuple[float, float, float]] = (2e-4, 5e-4, 1e-3)

    epochs: int = 300
    critic_steps: int = 2
    penalty: float | None = None

    def __post_init__(self) -> None:
        """Check the weight, too."""
        super().__post_init__()
        require(self, "more than 0", lambda x: x > 0, "penalty")

    def penalty_for(self, shape: tuple[int, ...]) -> float:
        """The weight of the penalty for examples of this shape."""
        default = 10.0 if len(shape) == 3 else 0.1
        return default if self.penalty is None else self.penalty
