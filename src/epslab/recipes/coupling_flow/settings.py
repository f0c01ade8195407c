"""The settings that train one coupling flow; its fields are the command's flags."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from epslab.recipes.checks import require
from epslab.recipes.common import TrainingSettings
from epslab.recipes.quality import Samples


@dataclass(frozen=True)
class Estimates(Samples):
    """How a flow is measured, besides its samples.

    Args:
        noise_samples: Draws of the dequantisation noise per image; more draws give a tighter bound.

    Raises:
        UserError: A count below 1.
    """

    noise_samples: int = 1

    def __post_init__(self) -> None:
        """Check the counts."""
        super().__post_init__()
        require(self, "1 or more", lambda n: n >= 1, "noise_samples")


@dataclass(frozen=True)
class CouplingFlowRecipe(TrainingSettings):
    """A coupling flow (Dinh et al., 2017; Kingma & Dhariwal, 2018), for images or points.

    Args:
        levels: Grey levels of an image, 2 to 256.
        steps: Steps of each scale: a mixing of the channels and an affine coupling each; null: 4 for images, 16 for
            points.
        width: Hidden units of the couplings' nets at the first scale; every further scale has twice as many. null: 48
            for images, 64 for points.
        dequantisation: Noise within a grey level: "uniform", or "variational", a second flow that sees the image (Ho et
            al., 2019), with a tighter bound.
        sample_epochs: Epochs after which samples are drawn; 0 means before training. The last epoch always counts.
    """

    options: ClassVar[type | None] = Estimates

    epochs: int = 100
    batch_size: int = 64
    learning_rate: float | None = 2e-3
    schedule: Literal["constant", "cosine", "one-cycle", "step"] = "one-cycle"
    gradient_clip: float | None = 500.0
    ema_decay: float | None = 0.999
    levels: int = 256
    steps: int | None = None
    width: int | None = None
    dequantisation: Literal["uniform", "variational"] = "variational"
    sample_epochs: tuple[int, ...] = (0, 1, 10)

    def __post_init__(self) -> None:
        """Refuse settings that cannot work, before anything is loaded or written.

        Raises:
            UserError: One sentence that names the setting, its value and what it may be.
        """
        super().__post_init__()
        require(self, "1 or more", lambda n: n >= 1, "steps", "width")
        require(self, "epochs of 0 or more", lambda epochs: min(epochs, default=0) >= 0, "sample_epochs")
        require(self, "between 2 and 256", lambda n: 2 <= n <= 256, "levels")
