"""Randomness as an argument: named generators, and noise that depends on the example, not on its batch.

``generator(seed, "loader")`` gives a separate random stream for each seed and name. ``noise`` and ``uniform`` are
counter-based: each value is a pure function of (example seed, counter, position). An example therefore gets the same
noise alone, in any batch, in any order and on any number of processes, and nothing has to be saved to replay it.

The mixing function is SplitMix64 (Steele, Lea & Flood, 2014; constants of Stafford's variant 13). Value i of a stream,
i = 0, 1, …, is

    w_i = mix(key + (i + 1)·γ),    key = mix(mix(example seed) + counter),

where γ is the odd integer nearest 2⁶⁴/φ. Torch's int64 multiplication wraps around, as the algorithm needs.
"""

import hashlib
import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor

from epslab.errors import UserError
from epslab.types import Seeds

_GAMMA = 0x9E3779B97F4A7C15 - (1 << 64)
_MIX_1 = 0xBF58476D1CE4E5B9 - (1 << 64)
_MIX_2 = 0x94D049BB133111EB - (1 << 64)


def stream(seed: int, *names: str | int) -> int:
    """A 63-bit seed for the stream of this name; other names or seeds give unrelated streams."""
    # A slash inside a name is escaped, so that ("a/b",) and ("a", "b") stay apart.
    text = "/".join(str(part).replace("\\", "\\\\").replace("/", "\\/") for part in (seed, *names))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


def generator(seed: int, *names: str | int, device: torch.device | str = "cpu") -> Generator:
    """A torch generator for the stream of this name.

    >>> torch.rand(1, generator=generator(0, "loader")) == torch.rand(1, generator=generator(0, "loader"))
    tensor([True])
    """
    return Generator(device=device).manual_seed(stream(seed, *names))


@contextmanager
def seeded(seed: int, *names: str | int) -> Iterator[None]:
    """Seed torch's default generator inside the block, for code that takes no generator (weight initialisation).

    Afterwards the default generator continues where it was before the block.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(stream(seed, *names))
        yield


def draw(n: int, generator: Generator | None = None, device: torch.device | str = "cpu") -> Seeds:
    """Seeds for n examples drawn from a generator (torch's default if None): int64 [n] on ``device``.

    Raises:
        UserError: n is negative.
    """
    if n < 0:
        raise UserError(f"The number of examples is {n}, but must be 0 or more.")
    source = torch.device("cpu") if generator is None else generator.device
    return torch.randint(-(2**63), 2**63 - 1, (n,), generator=generator, device=source, dtype=torch.int64).to(device)


def of_indices(seed: int, indices: Int[Tensor, " n"], *names: str | int) -> Seeds:
    """Seeds for the examples at these indices of their data set: a function of seed, names and index alone."""
    return _mix(indices.to(torch.int64) * _GAMMA + stream(seed, *names))


def fork(example_seeds: Seeds, *names: str | int) -> Seeds:
    """Seeds for another stream of the same examples, unrelated to the first: a function of the seeds and all the names.

    >>> fork(torch.tensor([1, 2]), "restart", 0) == fork(torch.tensor([1, 2]), "restart", 1)
    tensor([False, False])
    """
    return _mix(example_seeds ^ stream(0, *names))


def noise(
    example_seeds: Seeds, counter: int, shape: tuple[int, ...], dtype: torch.dtype = torch.float32
) -> Float[Tensor, "n ..."]:
    """Standard normal noise [n, *shape], by Box & Muller (1958) from two 32-bit halves of each 64-bit word.

    Args:
        example_seeds: One seed per example, [n].
        counter: Number of the draw: 0, 1, 2, …; draws at different counters are independent.
        shape: Shape of the noise of one example.
        dtype: Floating type of the result. |z| is at most √(2·ln 2³³) ≈ 6.76.
    """
    size = math.prod(shape)
    words = _words(example_seeds, counter, (size + 1) // 2)
    wide = dtype if dtype == torch.float64 else torch.float32  # 2³² is beyond half precision
    # (u + ½)/2³² is never 0: the logarithm is finite. Rounded up to 1 it gives radius 0.
    u = (words >> 32).bitwise_and_(0xFFFFFFFF).to(wide)
    radius = u.add_(0.5).mul_(2.0**-32).log_().mul_(-2.0).sqrt_()
    # The lower half as a signed integer: an angle in [−π, π).
    angle = words.to(torch.int32).to(wide).mul_(2.0 * math.pi * 2.0**-32)
    z = torch.cat([radius * torch.cos(angle), radius.mul_(angle.sin_())], dim=1)
    return z[:, :size].to(dtype).reshape(len(example_seeds), *shape)


def uniform(
    example_seeds: Seeds, counter: int, shape: tuple[int, ...], dtype: torch.dtype = torch.float32
) -> Float[Tensor, "n ..."]:
    """Uniform noise in [0, 1), [n, *shape], independent of ``noise`` with the same arguments.

    Values are multiples of 2⁻⁵³ in float64, of 2⁻²⁴ in float32, of 2⁻⁸ in the half types.
    """
    # The complement of the seeds keeps uniform draws apart from the normal ones made at the same counter.
    size = math.prod(shape)
    if dtype == torch.float64:
        values = (_words(~example_seeds, counter, size) >> 11).bitwise_and_((1 << 53) - 1).to(dtype).mul_(2.0**-53)
    else:
        # 24 bits fill a float32, so each word gives two values; half types have room for 8.
        bits = 24 if dtype == torch.float32 else 8
        count = (size + 1) // 2
        words = _words(~example_seeds, counter, count).flatten()  # flat: rows of none cannot be viewed otherwise
        halves = words.view(torch.int32).view(len(example_seeds), 2 * count)
        values = (halves >> (32 - bits)).bitwise_and_((1 << bits) - 1).to(dtype).mul_(2.0**-bits)
    return values[:, :size].reshape(len(example_seeds), *shape)


def _words(example_seeds: Seeds, counter: int, size: int) -> Int[Tensor, "n size"]:
    """64 random bits for each example and position."""
    keys = _mix(_mix(example_seeds.to(torch.int64, copy=True)) + counter)
    positions = torch.arange(1, size + 1, device=keys.device) * _GAMMA
    return _mix(keys[:, None] + positions)


def _mix(words: Int[Tensor, "*shape"]) -> Int[Tensor, "*shape"]:
    """SplitMix64's bijection on 64-bit words, in place; >> is arithmetic in torch, so the sign bits are masked off."""
    words ^= (words >> 30).bitwise_and_(0x3FFFFFFFF)
    words *= _MIX_1
    words ^= (words >> 27).bitwise_and_(0x1FFFFFFFFF)
    words *= _MIX_2
    words ^= (words >> 31).bitwise_and_(0x1FFFFFFFF)
    return words
