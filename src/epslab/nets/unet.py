"""The U-Net of diffusion models: images and a time to images of the same size (Ho et al., 2020, appendix B)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from epslab.errors import UserError
from epslab.nets.convolution import require_shape
from epslab.nets.time import TimeEmbedding
from epslab.types import ImageShape

_PER_GROUP = 16  # channels that are normalised together
_PER_HEAD = 32  # channels of an attention head


class UNet(nn.Module):
    """A U-Net with residual blocks, told the time in every block, with attention at the coarsest level.

    >>> net = UNet((1, 28, 28), width=16)
    >>> net(torch.randn(2, 1, 28, 28), torch.tensor([0, 999])).shape
    torch.Size([2, 1, 28, 28])

    On the way down each level has ``blocks`` residual blocks, and a convolution with stride 2 leads to the next level,
    which halves the side, rounded up; on the way up each block is also given the output of its counterpart on the way
    down. The middle is block, self-attention, block. The last layer starts at 0, so the initial output is 0.

    Args:
        image_shape: (channels, height, width), sides ≥ 4.
        width: Channels of the finest level.
        multipliers: Channels of each level, in units of ``width``, one for each level. None: 1, then 2 for each further
            level, with as many levels as leave sides of 4 or more, three at most.
        blocks: Residual blocks per level and direction.
        channels: Of the output; None: those of the image.

    Raises:
        UserError: A side below 4, a number below 1, an odd width, or levels that leave sides below 2; when called,
            images of another shape.
    """

    def __init__(
        self,
        image_shape: ImageShape,
        width: int = 32,
        multipliers: Sequence[int] | None = None,
        blocks: int = 1,
        channels: int | None = None,
    ) -> None:
        super().__init__()
        multipliers = levels_for(image_shape) if multipliers is None else tuple(multipliers)
        _check(image_shape, width, multipliers, blocks)
        self.image_shape = tuple(image_shape)
        features, sizes = 4 * width, [m * width for m in multipliers]
        self.time = TimeEmbedding(width, features)
        self.start = nn.Conv2d(image_shape[0], width, 3, padding=1)
        self.down, self.shrink = nn.ModuleList(), nn.ModuleList()
        inputs = width
        for level, size in enumerate(sizes):
            if level > 0:
                self.shrink.append(nn.Conv2d(inputs, inputs, 3, stride=2, padding=1))
            self.down.append(nn.ModuleList(_Block(inputs if b == 0 else size, size, features) for b in range(blocks)))
            inputs = size
        self.middle = nn.ModuleList(
            [_Block(inputs, inputs, features), _Attention(inputs), _Block(inputs, inputs, features)]
        )
        self.up = nn.ModuleList()
        for size in reversed(sizes):
            self.up.append(
                nn.ModuleList(_Block((inputs if b == 0 else size) + size, size, features) for b in range(blocks))
            )
            inputs = size
        self.end = nn.Sequential(
            _normalisation(width), nn.SiLU(), _zero(nn.Conv2d(width, channels or image_shape[0], 3, padding=1))
        )
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, x: Float[Tensor, "n c h w"], t: Shaped[Tensor, " n"]) -> Float[Tensor, "n k h w"]:
        """The output at images x and times t, whole or not."""
        require_shape(x, self.image_shape, "U-Net")
        e = F.silu(self.time(t))
        h = self.start(x.contiguous(memory_format=torch.channels_last))
        skips: list[Tensor] = []
        for level, blocks in enumerate(self.down):
            if level > 0:
                h = self.shrink[level - 1](h)
            for block in blocks:  # type: ignore[attr-defined]
                h = block(h, e)
                skips.append(h)
        for part in self.middle:
            h = part(h, e)
        for blocks in self.up:
            for block in blocks:  # type: ignore[attr-defined]
                skip = skips.pop()
                if h.shape[2:] != skip.shape[2:]:
                    h = _enlarge(h, skip)
                h = block(torch.cat([h, skip], 1), e)
        result: Tensor = self.end(h)
        return result


class _Block(nn.Module):
    """Convolution, time, convolution, each after normalisation and SiLU, around a shortcut.

    The time scales and shifts the second normalisation: (1 + s(t))·GroupNorm(h) + b(t) (Dhariwal & Nichol, 2021,
    section 4.3).
    """

    def __init__(self, inputs: int, outputs: int, features: int) -> None:
        super().__init__()
        self.norm1 = _normalisation(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.time = nn.Linear(features, 2 * outputs)
        self.norm2 = _normalisation(outputs)
        self.conv2 = _zero(nn.Conv2d(outputs, outputs, 3, padding=1))
        self.shortcut = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor, e: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        s, b = self.time(e)[:, :, None, None].chunk(2, dim=1)
        h = F.silu(torch.addcmul(b, self.norm2(h), 1 + s))
        result: Tensor = self.conv2(h) + self.shortcut(x)
        return result


class _Attention(nn.Module):
    """Self-attention over all positions (Vaswani et al., 2017, eq. 1), around a shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.heads = max(1, channels // _PER_HEAD)
        while channels % self.heads:
            self.heads -= 1
        self.norm = _normalisation(channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.out = _zero(nn.Conv2d(channels, channels, 1))

    def forward(self, x: Tensor, e: Tensor) -> Tensor:
        n, c, height, width = x.shape
        qkv = self.qkv(self.norm(x)).permute(0, 2, 3, 1).reshape(n, height * width, 3, self.heads, c // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # [n heads hw c/heads] each
        h = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, height, width, c).permute(0, 3, 1, 2)
        result: Tensor = x + self.out(h)
        return result


def levels_for(image_shape: ImageShape) -> tuple[int, ...]:
    """1, 2, 2: a further level for each halving that leaves sides of 4 or more, three at most."""
    side, levels = min(image_shape[1:]), 1
    while (side + 1) // 2 >= 4 and levels < 3:
        side, levels = (side + 1) // 2, levels + 1
    return (1, *[2] * (levels - 1))


def _check(image_shape: ImageShape, width: int, multipliers: tuple[int, ...], blocks: int) -> None:
    _, h, w = image_shape
    if min(h, w) < 4:
        raise UserError(f"The U-Net needs images of at least 4×4 pixels, not {h}×{w}; enlarge them.")
    for name, value in (("channels", image_shape[0]), ("blocks", blocks), ("multipliers", min(multipliers, default=0))):
        if value < 1:
            raise UserError(f"{name}={value}: the U-Net needs at least 1.")
    if width < 2 or width % 2:
        raise UserError(f"width={width}: the U-Net needs an even number of channels, 2 or more.")
    if -(-min(h, w) // 2 ** (len(multipliers) - 1)) < 2:
        raise UserError(
            f"{len(multipliers)} levels halve images of {h}×{w} to less than 2 pixels; give fewer multipliers."
        )


def _normalisation(channels: int) -> nn.GroupNorm:
    """Groups of 16 channels, or the next smaller number of groups that divides the channels."""
    groups = max(1, channels // _PER_GROUP)
    while channels % groups:
        groups -= 1
    return nn.GroupNorm(groups, channels)


def _enlarge(h: Tensor, like: Tensor) -> Tensor:
    """Every pixel doubled along both sides, and cut to the size of ``like``."""
    return F.interpolate(h, scale_factor=2, mode="nearest")[:, :, : like.shape[2], : like.shape[3]]


def _zero(layer: nn.Conv2d) -> nn.Conv2d:
    """The same layer with weights and biases 0."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
