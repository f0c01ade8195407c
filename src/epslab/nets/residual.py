"""ResNet-18 (He et al., 2016) with torchvision's parameter names, so that its published weights load."""

import torch.nn.functional as F
from torch import Tensor, nn

from epslab.errors import UserError, unknown
from epslab.types import Images, Logits

STEMS = ("cifar", "cifar-pool", "imagenet")
"""First layers: 3×3 at full size; the same and a max-pool (the course's); 7×7 with stride 2 and a max-pool."""


def resnet18(classes: int = 10, stem: str = "cifar", channels: int = 3) -> "ResNet":
    """A freshly initialised ResNet-18: images [n c h w] of any size to logits [n classes].

    >>> resnet18(classes=10)(torch.rand(2, 3, 32, 32)).shape
    torch.Size([2, 10])

    Four stages of two basic blocks, 64, 128, 256 and 512 channels, each stage but the first halving the side.
    With 3 channels and 10 classes: 11,173,962 parameters, 11,181,642 with the ImageNet stem.

    Args:
        classes: Number of logits.
        stem: ``"cifar"`` (3×3, stride 1), ``"cifar-pool"`` (the same, then max-pool 3×3, stride 2) or ``"imagenet"``
            (7×7, stride 2, then the max-pool).
        channels: Of the images.

    Raises:
        UserError: An unknown stem, or fewer than one class or channel.
    """
    return ResNet((2, 2, 2, 2), classes, stem, channels)


class ResNet(nn.Module):
    """A residual net of basic blocks.

    Convolutions are initialised from a normal distribution of variance 2/fan_out (He et al., 2015, eq. 14), BatchNorm
    with scale 1 and shift 0, the last layer as torch does it.

    Args:
        blocks: Basic blocks of each of the four stages.
        classes: Number of logits.
        stem: One of ``STEMS``.
        channels: Of the images.

    Raises:
        UserError: An unknown stem, or fewer than one class or channel.
    """

    def __init__(self, blocks: tuple[int, int, int, int], classes: int, stem: str, channels: int) -> None:
        super().__init__()
        if stem not in STEMS:
            raise unknown("stem", stem, STEMS)
        for name, value in (("classes", classes), ("channels", channels)):
            if value < 1:
                raise UserError(f"{name}={value}: a ResNet needs at least 1.")
        self.pools = stem != "cifar"
        kernel, stride = (7, 2) if stem == "imagenet" else (3, 1)
        self.conv1 = nn.Conv2d(channels, 64, kernel, stride=stride, padding=kernel // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.layer1 = _stage(64, 64, blocks[0], stride=1)
        self.layer2 = _stage(64, 128, blocks[1], stride=2)
        self.layer3 = _stage(128, 256, blocks[2], stride=2)
        self.layer4 = _stage(256, 512, blocks[3], stride=2)
        self.fc = nn.Linear(512, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Images) -> Logits:
        """The logits; images as the net was trained for, normalised or not."""
        if images.shape[1] != self.conv1.in_channels:
            raise UserError(
                f"The ResNet was built for images of {self.conv1.in_channels} channels, but was given"
                f" {images.shape[1]}."
            )
        features = F.relu(self.bn1(self.conv1(images)), inplace=True)
        if self.pools:
            features = F.max_pool2d(features, 3, stride=2, padding=1)
        features = self.layer4(self.layer3(self.layer2(self.layer1(features))))
        logits: Tensor = self.fc(features.mean((2, 3)))
        return logits


class BasicBlock(nn.Module):
    """relu(F(x) + shortcut(x)), F two 3×3 convolutions with BatchNorm (He et al., 2016, figure 5, left).

    Args:
        inputs: Channels that come in.
        outputs: Channels that go out.
        stride: Of the first convolution. Where it is not 1 or the channels differ, the shortcut is a 1×1 convolution
            of this stride with BatchNorm.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Sequential | None = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        """The block's output."""
        shortcut = x if self.downsample is None else self.downsample(x)
        features = F.relu(self.bn1(self.conv1(x)), inplace=True)
        # BatchNorm's backward needs its input, not its output: both steps may overwrite it.
        return F.relu(self.bn2(self.conv2(features)).add_(shortcut), inplace=True)


def _stage(inputs: int, outputs: int, blocks: int, stride: int) -> nn.Sequential:
    """Blocks of one size; the first changes stride and channels."""
    return nn.Sequential(
        BasicBlock(inputs, outputs, stride), *(BasicBlock(outputs, outputs, 1) for _ in range(blocks - 1))
    )
