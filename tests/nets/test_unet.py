"""The U-Net: any size of image, told the time in every block, attention at the coarsest level."""

from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from epslab import seeds
from epslab.errors import UserError
from epslab.nets import UNet
from epslab.nets.unet import _Attention, levels_for


def shaken(net: nn.Module) -> nn.Module:
    """Every weight moved, so that no layer that starts at 0 hides what it does."""
    g = seeds.generator(0, "shaken")
    with torch.no_grad():
        for p in net.parameters():
            p.add_(0.1 * torch.randn(p.shape, generator=g, dtype=p.dtype))
    return net


@pytest.mark.parametrize("shape", [(1, 4, 4), (3, 5, 7), (1, 4, 9), (2, 28, 28), (1, 17, 32)])
@pytest.mark.parametrize("blocks", [1, 2])
def test_the_output_has_the_size_of_the_image(shape: tuple[int, int, int], blocks: int) -> None:
    net = shaken(UNet(shape, width=4, blocks=blocks, channels=5))
    found = net(torch.randn(3, *shape), torch.tensor([0, 10, 999]))
    assert found.shape == (3, 5, *shape[1:])
    assert found.isfinite().all()


def test_levels_leave_sides_of_four_or_more() -> None:
    assert [levels_for((1, side, 40)) for side in (4, 6, 7, 8, 12, 13, 28, 64)] == [
        (1,), (1,), (1, 2), (1, 2), (1, 2), (1, 2, 2), (1, 2, 2), (1, 2, 2)
    ]  # fmt: skip


def test_an_untrained_net_gives_zero() -> None:
    assert not UNet((1, 8, 8), width=4)(torch.randn(2, 1, 8, 8), torch.arange(2)).any()


def test_the_time_changes_the_output_also_between_whole_times() -> None:
    net, x = shaken(UNet((1, 8, 8), width=4)).double(), torch.randn(1, 1, 8, 8, dtype=torch.float64)
    at = [net(x, torch.tensor([t])) for t in (0, 1, 999, 1000)]
    assert all(not torch.allclose(a, b, atol=1e-6) for a, b in pairwise(at))
    between = net(x, torch.tensor([0.5], dtype=torch.float64))
    assert not torch.allclose(between, at[0], atol=1e-6)
    torch.testing.assert_close(net(x, torch.tensor([1.0], dtype=torch.float64)), at[1])


def test_every_block_is_told_the_time() -> None:
    """Without its time layer a block would not see it: each one's weights get a gradient."""
    net = shaken(UNet((1, 8, 8), width=4, blocks=2))
    net(torch.randn(2, 1, 8, 8), torch.tensor([3, 900])).square().sum().backward()
    gradients = {name: p.grad for name, p in net.named_parameters() if ".time.weight" in name}
    assert len(gradients) == 2 * 2 * 2 + 2  # two levels, two blocks each way, two in the middle
    assert all(g is not None and bool(g.any()) for g in gradients.values())


def test_an_image_does_not_depend_on_its_batch() -> None:
    net, x, t = shaken(UNet((1, 8, 8), width=4)).double(), torch.randn(5, 1, 8, 8).double(), torch.arange(5)
    whole = net(x, t)
    torch.testing.assert_close(net(x[2:3], t[2:3]), whole[2:3], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(net(x.flip(0), t.flip(0)).flip(0), whole, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("channels", [4, 32, 48, 50])
def test_attention_is_softmax_of_scaled_products(channels: int) -> None:
    """By hand, head by head; the number of heads divides the channels."""
    part = shaken(_Attention(channels)).double()
    x = torch.randn(2, channels, 3, 2, dtype=torch.float64)
    h = part.norm(x).flatten(2)  # [n c hw]
    weight, bias = part.qkv.weight[:, :, 0, 0], part.qkv.bias
    q, k, v = (weight @ h + bias[:, None]).chunk(3, 1)
    size, outs = channels // part.heads, []
    for head in range(part.heads):
        own = slice(head * size, (head + 1) * size)
        attention = (q[:, own].transpose(1, 2) @ k[:, own] / size**0.5).softmax(-1)
        outs.append(v[:, own] @ attention.transpose(1, 2))
    out = part.out.weight[:, :, 0, 0] @ torch.cat(outs, 1) + part.out.bias[:, None]
    found = part(x, torch.zeros(2, 1))
    torch.testing.assert_close(found, x + out.view_as(x), rtol=1e-10, atol=1e-10)


def test_every_pixel_of_the_output_sees_every_pixel_of_the_image() -> None:
    """Through the attention; the convolutions alone reach less far."""
    net = shaken(UNet((1, 28, 28), width=4, multipliers=(1, 1)))
    x = torch.randn(1, 1, 28, 28, requires_grad=True)
    net(x, torch.zeros(1))[0, 0, 0, 0].backward()
    assert x.grad is not None
    assert (x.grad != 0).all()


def test_a_net_in_half_precision_works_in_it() -> None:
    net = shaken(UNet((1, 8, 8), width=4)).bfloat16()
    found = net(torch.randn(2, 1, 8, 8, dtype=torch.bfloat16), torch.tensor([0, 999]))
    assert found.dtype == torch.bfloat16
    assert found.isfinite().all()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"image_shape": (1, 3, 8)}, "at least 4×4 pixels, not 3×8"),
        ({"image_shape": (1, 8, 8), "width": 5}, "width=5"),
        ({"image_shape": (1, 8, 8), "blocks": 0}, "blocks=0"),
        ({"image_shape": (1, 8, 8), "multipliers": ()}, "multipliers=0"),
        ({"image_shape": (0, 8, 8)}, "channels=0"),
        ({"image_shape": (1, 8, 8), "multipliers": (1, 1, 1, 1)}, "4 levels halve images of 8×8"),
    ],
)
def test_what_cannot_work_is_refused(arguments: dict[str, object], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        UNet(**arguments)  # type: ignore[arg-type]


def test_images_of_another_shape_are_refused() -> None:
    with pytest.raises(UserError, match="U-Net was built for images of 1×8×8"):
        UNet((1, 8, 8), width=4)(torch.zeros(1, 1, 8, 9), torch.zeros(1))


def test_the_net_is_built_in_channels_last() -> None:
    """Convolutions are fastest there; the output says that no layer on the way left it."""
    found: Tensor = shaken(UNet((3, 8, 8), width=8))(torch.randn(2, 3, 8, 8), torch.zeros(2))
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert not found.is_contiguous()
