"""The gradient penalty of Gulrajani et al. (2017)."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from epslab.errors import UserError
from epslab.probability.densities import wide
from epslab.seeds import draw, uniform
from epslab.types import PerExample, Seeds


def gradient_penalty(
    critic: Callable[[Tensor], Tensor],
    real: Float[Tensor, "n *shape"],
    fake: Float[Tensor, "k *other"],
    generator: Generator | None = None,
    *,
    seeds: Seeds | None = None,
) -> PerExample:
    """(‖∇f(x̂)‖₂ − 1)² at one point x̂ between each real and each generated example, [n].

        x̂ = u·x + (1 − u)·G(z),    u uniform in [0, 1), one for each example

    The norm is that of an example's own gradient, over all its dimensions (Gulrajani et al., 2017, eq. 3). It can be
    differentiated with respect to the critic's weights.

    >>> slope = torch.tensor([0.6, 0.8])  # of length 1: the penalty is 0
    >>> gradient_penalty(lambda x: x @ slope, torch.randn(3, 2), torch.randn(3, 2)).abs().max() < 1e-6
    tensor(True)

    Args:
        critic: f, one number for each example, which depends on that example alone.
        real: x.
        fake: G(z), as many.
        generator: Draws the examples' seeds if ``seeds`` is None.
        seeds: One seed per example; u is a function of it alone.

    Raises:
        UserError: Real and generated examples of unequal shape.
    """
    if real.shape != fake.shape:
        raise UserError(
            f"A gradient penalty needs as many generated as real examples, of one shape: {list(real.shape)} and"
            f" {list(fake.shape)} were given."
        )
    if seeds is None:
        seeds = draw(len(real), generator, real.device)
    u = uniform(seeds, 0, (), real.dtype).view(-1, *[1] * (real.ndim - 1))
    with torch.enable_grad():
        x = (u * real + (1 - u) * fake).detach().requires_grad_(True)
        (slope,) = torch.autograd.grad(critic(x).sum(), x, create_graph=True)
    length: Tensor = wide(slope).flatten(1).norm(dim=1)
    return (length - 1) ** 2
