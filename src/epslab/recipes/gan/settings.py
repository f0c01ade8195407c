"""The settings that train a generative adversarial network; their fields are the command's flags."""

from dataclasses import dataclass
from typing import Literal

from epslab.recipes.checks import require
from epslab.recipes.common import TrainingSettings


@dataclass(frozen=True)
class AdversarialRecipe(TrainingSettings):
    """A generator trained against a net that judges its samples; ``epochs`` count passes of that net over the data.

    Args:
        latent_dim: Dimensions D of the noise z that the generator starts from.
        net: "conv": convolutions; "perceptron": fully connected layers, the only choice for points; "auto": perceptrons
            for points and for images with a side below 16.
        width: Channels of the finest layer of the convolutional nets; each coarser one has twice as many.
        hidden: Units of each hidden layer of the perceptrons, e.g. "[256, 256]".
        critic_steps: Steps of the net that judges for each step of the generator.
        sample_epochs: Epochs after which samples are drawn; 0 means before training. The last epoch always counts.
    """

    epochs: int = 200
    batch_size: int = 64
    learning_rate: float | None = 2e-4
    ema_decay: float | None = 0.999
    latent_dim: int = 64
    net: Literal["auto", "conv", "perceptron"] = "auto"
    width: int = 32
    hidden: tuple[int, ...] = (256, 256)
    critic_steps: int = 1
    sample_epochs: tuple[int, ...] = (0, 1, 5, 20, 50, 100)

    def __post_init__(self) -> None:
        """Refuse settings that cannot work, before anything is loaded or written."""
        super().__post_init__()
        require(self, "1 or more", lambda n: n >= 1, "latent_dim", "width", "critic_steps")
        require(self, "one layer or more, each of 1 unit or more", lambda units: min(units, default=0) >= 1, "hidden")
        require(self, "0 or more, each", lambda epochs: min(epochs, default=0) >= 0, "sample_epochs")


@dataclass(frozen=True)
class GANRecipe(AdversarialRecipe):
    """A generative adversarial network (Goodfellow et al., 2014).

    Args:
        loss: What the generator minimises: "non-saturating", −log D(G(z)); "minimax", log(1 − D(G(z))), whose gradient
            vanishes while the discriminator is sure.
    """

    loss: Literal["non-saturating", "minimax"] = "non-saturating"


@dataclass(frozen=True)
class WassersteinRecipe(AdversarialRecipe):
    """A Wasserstein GAN whose critic has clipped weights (Arjovsky et al., 2017).

    Args:
        clip: Largest absolute value of a weight of the critic.
    """

    learning_rate: float | None = 5e-5
    critic_steps: int = 5
    clip: float = 0.01

    def __post_init__(self) -> None:
        """Check the bound, too."""
        super().__post_init__()
        require(self, "more than 0", lambda x: x > 0, "clip")


@dataclass(frozen=True)
class GradientPenaltyRecipe(AdversarialRecipe):
    """A Wasserstein GAN with a gradient penalty (Gulrajani et al., 2017).

    Args:
        penalty: λ: weight of the penalty (‖∇f‖₂ − 1)² on the critic's slope.
    """

    learning_rate: float | None = 1e-4
    critic_steps: int = 5
    penalty: float = 10.0

    def __post_init__(self) -> None:
        """Check the weight, too."""
        super().__post_init__()
        require(self, "more than 0", lambda x: x > 0, "penalty")
