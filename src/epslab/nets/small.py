"""A small convolutional classifier: quick to train on one CPU core, and cheap to attack.

Each convolution has no bias and is followed by BatchNorm and ReLU in one ``nn.Sequential``, so that convolution and
BatchNorm can be folded into one. Strides take the place of pooling, and the last layer sees every position.
"""

from torch import nn

from epslab.errors import UserError
from epslab.types import ImageShape


def small_cnn(image_shape: ImageShape, classes: int = 10, width: int = 32) -> nn.Sequential:
    """An untrained net: images [n c h w] to logits [n classes].

    >>> small_cnn((1, 8, 8), classes=10, width=8)(torch.rand(2, 1, 8, 8)).shape
    torch.Size([2, 10])

    Four 3×3 convolutions with width, width, 2·width and 2·width channels, the second and third with stride 2.

    Args:
        image_shape: (channels, height, width), sides ≥ 4.
        classes: Number of logits.
        width: Channels of the first two layers.

    Raises:
        UserError: A side below 4, or a number of channels, classes or width below 1.
    """
    channels, h, w = image_shape
    if min(h, w) < 4:
        raise UserError(f"The small CNN needs images of at least 4×4 pixels, not {h}×{w}; enlarge them.")
    for name, value in (("channels", channels), ("classes", classes), ("width", width)):
        if value < 1:
            raise UserError(f"{name}={value}: the small CNN needs at least 1.")
    layers: list[nn.Module] = []
    inputs = channels
    for outputs, stride in ((width, 1), (width, 2), (2 * width, 2), (2 * width, 1)):
        layers += [
            nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        ]
        inputs, h, w = outputs, -(-h // stride), -(-w // stride)
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(inputs * h * w, classes))
