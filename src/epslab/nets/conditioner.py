"""The net inside a coupling layer or a variational dequantiser: convolutions that know where in the image they are."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class ConvConditioner(nn.Module):
    """A 3×3 convolution, a residual 1×1 convolution, and a 3×3 convolution that starts at zero.

    A learnt bias for each pixel of the first layer tells where in the image it is.

    >>> ConvConditioner(2, 4, (7, 7), width=16)(torch.randn(5, 2, 7, 7)).abs().max()
    tensor(0., grad_fn=<MaxBackward1>)

    Args:
        inputs: Channels of the input.
        outputs: Channels of the output.
        sides: Height and width of both.
        width: Channels of the hidden layers.
    """

    def __init__(self, inputs: int, outputs: int, sides: tuple[int, int], width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, width, 3, padding=1, bias=False)
        self.place = nn.Parameter(torch.zeros(width, *sides))
        self.middle = nn.Conv2d(width, width, 1)
        self.last = nn.Conv2d(width, outputs, 3, padding=1)
        for parameter in self.last.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Float[Tensor, "n i h w"]) -> Float[Tensor, "n o h w"]:
        """The output at every pixel."""
        h = F.relu(self.first(x) + self.place)
        h = F.relu(h + self.middle(h))
        out: Tensor = self.last(h)
        return out
