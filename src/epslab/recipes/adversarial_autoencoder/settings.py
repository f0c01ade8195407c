"""The settings that train an autoencoder whose codes follow a prior; its fields are the command's flags."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from epslab.errors import UserError
from epslab.recipes.checks import require
from epslab.recipes.common import TrainingSettings
from epslab.recipes.quality import Samples

_WEIGHTS = {"jensen-shannon": 1.0, "wasserstein": 1.0, "mmd": 100.0}


@dataclass(frozen=True)
class AdversarialAutoencoderRecipe(TrainingSettings):
    """An adversarial autoencoder: its codes follow a normal prior (Makhzani et al., 2016).

    Args:
        latent_dim: Dimensions D of the code; 2 gives a plane to look at.
        matching: What brings the law of the codes to the prior: "jensen-shannon", a discriminator of codes;
            "wasserstein", a critic of codes with a gradient penalty; "mmd", no net but the maximum mean discrepancy
            (WAE-MMD; Tolstikhin et al., 2018).
        weight: λ: weight of the matching beside the squared error, which is summed over pixels; null: 100 for "mmd", 1
            for the others.
        judge: Units of each hidden layer of the net that judges codes, e.g. "[128, 128]".
        judge_steps: Steps of that net for each step of encoder and decoder; null: 5 for "wasserstein", else 1.
        penalty: Weight of the gradient penalty on the critic of "wasserstein".
        net: "perceptron": fully connected; "conv": five convolutions each way (image sides of 4 pixels and more);
            "auto": perceptrons for points and for sides below 16, else convolutions.
        width: Channels of the convolutional nets' outer layers; the inner ones have twice as many.
        hidden: Units of each of the encoder's hidden layers in perceptrons; the decoder mirrors them.
        sample_epochs: Epochs after which samples are drawn; 0 means before training. The last epoch always counts.
    """

    options: ClassVar[type | None] = Samples

    epochs: int = 100
    batch_size: int = 64
    schedule: Literal["constant", "cosine", "one-cycle", "step"] = "cosine"
    latent_dim: int = 8
    matching: Literal["jensen-shannon", "wasserstein", "mmd"] = "jensen-shannon"
    weight: float | None = None
    judge: tuple[int, ...] = (128, 128)
    judge_steps: int | None = None
    penalty: float = 1.0
    net: Literal["auto", "perceptron", "conv"] = "auto"
    width: int = 32
    hidden: tuple[int, ...] = (256, 128)
    sample_epochs: tuple[int, ...] = (0, 1, 10)

    def __post_init__(self) -> None:
        """Refuse settings that cannot work, before anything is loaded or written.

        Raises:
            UserError: One sentence that names the setting, its value and what it may be.
        """
        super().__post_init__()
        require(self, "1 or more", lambda n: n >= 1, "latent_dim", "width", "judge_steps")
        require(self, "0 or more", lambda x: x >= 0, "weight", "penalty")
        require(self, "epochs of 0 or more", lambda epochs: min(epochs, default=0) >= 0, "sample_epochs")
        layers = "one layer or more, each of 1 unit or more"
        require(self, layers, lambda units: min(units, default=0) >= 1, "hidden", "judge")

    def check_use(self) -> None:
        """Refuse settings of a judge that is not there, before a new run is trained.

        Raises:
            UserError: The sentence says what gives the setting an effect.
        """
        default = AdversarialAutoencoderRecipe()
        unused = {"mmd": ("judge", "judge_steps", "penalty"), "jensen-shannon": ("penalty",)}
        for field in unused.get(self.matching, ()):
            if getattr(self, field) != getattr(default, field):
                raise UserError(
                    f"`{field}=` has no effect with `matching='{self.matching}'`; it is for `matching='wasserstein'`."
                )

    @property
    def every(self) -> int:
        """Steps of the judge for each of encoder and decoder, with null resolved."""
        return self.judge_steps or (5 if self.matching == "wasserstein" else 1)

    @property
    def matching_weight(self) -> float:
        """λ, with null resolved."""
        return _WEIGHTS[self.matching] if self.weight is None else self.weight

    def net_for(self, shape: tuple[int, ...]) -> Literal["perceptron", "conv"]:
        """The net for examples of this shape, with "auto" resolved."""
        if self.net == "auto":
            return "perceptron" if len(shape) == 1 or min(shape[1:]) < 16 else "conv"
        return self.net
