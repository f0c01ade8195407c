"""Multi-scale flows: pixels become channels, and after every scale half of the channels are done."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from epslab.generative.flows.bijection import Values
from epslab.generative.flows.coupling import AffineCoupling, Checkerboard, Halves, Split
from epslab.generative.flows.mixing import Mixing
from epslab.nets.conditioner import ConvConditioner
from epslab.nets.perceptron import perceptron
from epslab.types import PerExample


class Scale(nn.Module):
    """Squeeze 2×2 pixels into channels, take some steps, and let half of the channels leave (Dinh et al., 2017, 3.6).

    A step is a mixing of the channels and an affine coupling. The coupling before half of the channels leave makes
    their distribution a function of the half that stays (the learnt prior of Kingma & Dhariwal, 2018).

    Args:
        shape: (c, h, w) of the input, or (d,) of points.
        steps: Steps, 1 or more.
        width: Hidden units of the couplings' nets.
        leaves: Whether half of the channels leave.
    """

    def __init__(self, shape: tuple[int, ...], steps: int, width: int, leaves: bool) -> None:
        super().__init__()
        self.squeezes = halvable(shape)
        self.leaves = leaves
        shape = (4 * shape[0], shape[1] // 2, shape[2] // 2) if self.squeezes else shape
        self.layers = nn.ModuleList(layers_of(shape, steps, width))
        self.stays = shape[0] // 2 if leaves else shape[0]
        self.shape = (self.stays, *shape[1:])
        self.left = (shape[0] - self.stays, *shape[1:])

    def forward(self, x: Values) -> tuple[Values, Values | None, PerExample]:
        """What stays, what leaves (None if nothing does), and the log-determinant."""
        total = x.new_zeros(len(x))
        x = squeezed(x) if self.squeezes else x
        for layer in self.layers:
            x, log_det = layer(x)
            total = total + log_det
        return (x[:, : self.stays], x[:, self.stays :], total) if self.leaves else (x, None, total)

    def inverse(self, z: Values, left: Values | None) -> Values:
        """The input again."""
        x = z if left is None else torch.cat([z, left], dim=1)
        for layer in reversed(self.layers):
            x = layer.inverse(x)  # type: ignore[operator]
        return F.pixel_shuffle(x, 2) if self.squeezes else x


class MultiScale(nn.Module):
    """A flow from examples to z ~ N(0, I), flattened: what left at each scale, and in the end what stayed.

    Args:
        shape: (c, h, w) of images, or (d,) of points.
        scales: Scales; at each but the last half of the channels leave.
        steps: Steps of each scale.
        width: Hidden units of the couplings' nets at the first scale; twice as many at each further one.
    """

    def __init__(self, shape: tuple[int, ...], scales: int, steps: int, width: int) -> None:
        super().__init__()
        found: list[Scale] = []
        for i in range(scales):
            found.append(Scale(shape, steps, width * 2**i, leaves=i < scales - 1))
            shape = found[-1].shape
        self.scales = nn.ModuleList(found)

    def forward(self, x: Values) -> tuple[Float[Tensor, "n m"], PerExample]:
        """Z and the log-determinant."""
        total, parts = x.new_zeros(len(x)), []
        for scale in self.scales:
            x, left, log_det = scale(x)
            total = total + log_det
            parts += [] if left is None else [left.flatten(1)]
        return torch.cat([*parts, x.flatten(1)], dim=1), total

    def inverse(self, z: Float[Tensor, "n m"]) -> Values:
        """The examples."""
        scales = [scale for scale in self.scales if isinstance(scale, Scale)]
        shapes = [scale.left for scale in scales[:-1]] + [scales[-1].shape]
        sizes = [torch.Size(shape).numel() for shape in shapes]
        pieces = torch.split(z, sizes, dim=1)
        *parts, x = (piece.view(len(z), *shape) for piece, shape in zip(pieces, shapes, strict=True))
        for scale, left in zip(reversed(scales), [None, *reversed(parts)], strict=True):
            x = scale.inverse(x, left)
        return x


def halvable(shape: tuple[int, ...]) -> bool:
    """Whether an image's sides can be halved."""
    return len(shape) == 3 and shape[1] % 2 == 0 and shape[2] % 2 == 0


def squeezed(x: Values) -> Values:
    """Blocks of 2×2 pixels as channels."""
    return F.pixel_unshuffle(x, 2).contiguous(memory_format=torch.channels_last)


def layers_of(shape: tuple[int, ...], steps: int, width: int, context: int = 0) -> list[nn.Module]:
    """Steps of a flow: a mixing and an affine coupling each; a single channel is not mixed, but split by pixels.

    Args:
        shape: (c, h, w), or (d,) of points.
        steps: Steps.
        width: Hidden units of the couplings' nets.
        context: Channels of the context that the couplings get.
    """
    layers: list[nn.Module] = []
    for step in range(steps):
        layers += [Mixing(shape[0])] if shape[0] > 1 else []
        layers.append(_coupling(shape, width, step, context))
    return layers


def _coupling(shape: tuple[int, ...], width: int, step: int, context: int) -> AffineCoupling:
    channels, *sides = shape
    split: Split = Checkerboard(1, step % 2) if channels == 1 else Halves(channels)
    inputs, outputs = split.kept + context, 2 * split.changed
    if not sides:
        net = perceptron([inputs, width, width, outputs])
        for parameter in net[-1].parameters():
            nn.init.zeros_(parameter)
        return AffineCoupling(split, net)
    return AffineCoupling(split, ConvConditioner(inputs, outputs, (sides[0], sides[1]), width))
