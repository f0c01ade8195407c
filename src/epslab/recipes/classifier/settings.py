"""The settings that train a classifier, with or without a defence; their fields are the command's flags."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, ClassVar, Literal

from epslab.errors import UserError
from epslab.recipes.checks import pixels, require
from epslab.recipes.common import TrainingSettings

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class ClassifierRecipe(TrainingSettings, ABC):
    """How every classifier is trained: by default SGD with momentum and one cycle of the learning rate.

    Args:
        optimiser: "sgd" with momentum, or "adam" (AdamW: its weight decay is decoupled).
        momentum: Momentum of sgd.
        weight_decay: Strength of weight decay, relative to the learning rate.
        label_smoothing: Share of a label's weight that is spread over all classes, from 0 to below 1.
        augment: Random changes of training images: "crop" shifts them by up to an eighth of the side; "flip-crop" also
            mirrors half of them (not for digits); "none"; "auto": flip-crop for colour images, crop for grey ones.
        weights: Run folder, file (.pth, .safetensors) or URL of weights to start from. A first or last layer that does
            not fit the images or classes keeps its random weights.
        defence: Train against an attack: "adversarial-loss", clean_weight·J(x) + (1 − clean_weight)·J(x_adv);
            "adversarial-batch", clean and attacked images in one batch; "none". With a defence the validation images
            are attacked too, at the full radius, and the error under attack chooses the best epoch.
        attack: Attack to train against: random, fgsm, iterative-fgsm, mim, least-likely, pgd, apgd; a name that an
            installed package brings, or package.module:Name.
        norm: Norm of the attack's ball: "linf", "l2" or "l1".
        radius: Radius of the attack's ball, in units of the pixel range [0, 1], e.g. 0.3 or 8/255.
        attack_steps: Steps of an iterated attack; null: 7, or the attack's default if that is smaller.
        attack_step_size: Length of one step, in the unit of the radius; null: 2.5 times radius/steps, at most radius.
        clean_weight: Weight of the clean images in the adversarial loss, 0 to 1; 0 trains on attacked images alone.
        radius_warmup_epochs: Epochs over which the radius and the step size of the training attack rise from 0.
    """

    classifies: ClassVar[bool] = True
    free: ClassVar[tuple[str, ...]] = ()
    """How the names of the first and the last layer's weights begin."""

    learning_rate: float | None = None
    schedule: Literal["constant", "cosine", "one-cycle", "step"] = "one-cycle"
    optimiser: Literal["sgd", "adam"] = "sgd"
    momentum: float = 0.9
    weight_decay: float = 5e-4
    label_smoothing: float = 0.0
    augment: Literal["auto", "none", "crop", "flip-crop"] = "auto"
    weights: str | None = None
    defence: Literal["none", "adversarial-loss", "adversarial-batch"] = "none"
    attack: str = "pgd"
    norm: Literal["linf", "l2", "l1"] = "linf"
    radius: float | str = "8/255"
    attack_steps: int | None = None
    attack_step_size: float | str | None = None
    clean_weight: float = 0.5
    radius_warmup_epochs: float = 0.0

    def __post_init__(self) -> None:
        """Refuse settings that cannot work, before anything is loaded or written.

        Raises:
            UserError: One sentence that names the setting, its value and what it may be.
        """
        super().__post_init__()
        require(self, "1 or more", lambda n: n >= 1, "attack_steps")
        require(self, "0 or more", lambda x: x >= 0, "weight_decay", "radius_warmup_epochs")
        require(self, "0 or more and below 1", lambda x: 0 <= x < 1, "label_smoothing", "momentum")
        require(self, "between 0 and 1", lambda x: 0 <= x <= 1, "clean_weight")
        pixels(self.radius, "radius")
        if self.attack_step_size is not None:
            pixels(self.attack_step_size, "attack_step_size")
        if self.defence == "adversarial-batch" and self.clean_weight != 0.5:
            raise UserError(
                f"`clean_weight={self.clean_weight}` is for `defence='adversarial-loss'`; an adversarial batch is half"
                " clean and half attacked."
            )

    def check_use(self) -> None:
        """Refuse settings of the attack in training where there is none.

        Raises:
            UserError: One was changed.
        """
        step = ("attack_steps", "attack_step_size")
        unused = ("attack", "norm", "radius", *step, "clean_weight", "radius_warmup_epochs")
        changed = [
            f"`{field.name}={getattr(self, field.name)}`"
            for field in fields(self)
            if field.name in unused and getattr(self, field.name) != field.default
        ]
        if self.defence == "none" and changed:
            raise UserError(
                f"{' and '.join(changed)} would have no effect: without a defence, training attacks nothing; add"
                " `defence='adversarial-loss'` or `defence='adversarial-batch'`, or leave it out."
            )

    def augmentation(self, image_shape: tuple[int, int, int]) -> Literal["none", "crop", "flip-crop"]:
        """The augmentation, with "auto" resolved."""
        if self.augment != "auto":
            return self.augment
        return "flip-crop" if image_shape[0] == 3 else "crop"

    @abstractmethod
    def net(self, image_shape: tuple[int, int, int], classes: int) -> "nn.Module":
        """The untrained net, normalised images to logits."""


@dataclass(frozen=True)
class SmallCNNRecipe(ClassifierRecipe):
    """A small convolutional classifier: four convolutions, seconds on digits, minutes on MNIST on one CPU core.

    Args:
        width: Channels of the first convolutions; the later ones have twice as many.
    """

    free: ClassVar[tuple[str, ...]] = ("0.", "13.")

    epochs: int = 30
    batch_size: int = 64
    width: int = 32

    def __post_init__(self) -> None:
        """Refuse settings that cannot work.

        Raises:
            UserError: As for every classifier, or a width below 1.
        """
        super().__post_init__()
        require(self, "1 or more", lambda n: n >= 1, "width")

    def net(self, image_shape: tuple[int, int, int], classes: int) -> "nn.Module":
        """The small CNN of this width."""
        from epslab.nets.small import small_cnn

        return small_cnn(image_shape, classes, self.width)


@dataclass(frozen=True)
class ResNet18Recipe(ClassifierRecipe):
    """A residual network of 18 layers (He et al., 2016), torchvision's parameter names.

    Args:
        stem: First layers: "cifar", a 3x3 convolution; "cifar-pool", with max-pooling (the course's); "imagenet", a 7x7
            one of stride 2 with max-pooling, which published weights are for.
    """

    free: ClassVar[tuple[str, ...]] = ("conv1.", "fc.")

    epochs: int = 30
    stem: Literal["cifar", "cifar-pool", "imagenet"] = "cifar"

    def net(self, image_shape: tuple[int, int, int], classes: int) -> "nn.Module":
        """The residual network with this stem."""
        from epslab.nets.residual import resnet18

        return resnet18(classes, self.stem, channels=image_shape[0])


COURSE = ResNet18Recipe(
    epochs=30,
    batch_size=64,
    optimiser="sgd",
    learning_rate=5e-4,
    momentum=0.9,
    weight_decay=0.0,
    schedule="step",
    augment="flip-crop",
    stem="cifar-pool",
)
"""The course's classifier, for comparison. The same by flags: ``epslab train resnet18 --data cifar10 --epochs 30
--batch-size 64 --learning-rate 5e-4 --weight-decay 0 --schedule step --augment flip-crop --stem cifar-pool``."""
