"""Models that are defined by their samples alone, x = G(z) with z ~ N(0, I), and trained against a net that judges."""

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from epslab.errors import UserError
from epslab.nets.modes import evaluating
from epslab.probability.densities import wide
from epslab.seeds import draw, fork, noise
from epslab.types import Latents, Seeds


class Implicit(nn.Module):
    """A generator with the law of its input: it can be drawn from, but has no likelihood.

    Args:
        generator: Latents [n D] to images in [0, 1], [n c h w], or points [n d].
        latent_dim: D.

    Raises:
        UserError: latent_dim is below 1.
    """

    def __init__(self, generator: nn.Module, latent_dim: int) -> None:
        super().__init__()
        if latent_dim < 1:
            raise UserError(f"latent_dim is {latent_dim}, but a generator needs at least 1 dimension to start from.")
        self.generator = generator
        self.latent_dim = latent_dim

    def sample(self, n: int, generator: Generator | None = None) -> Float[Tensor, "n *shape"]:
        """G(z) at n draws of z, in eval mode: sample k is the same however many are drawn."""
        return self.generate(self.sample_latents(n, generator))

    def generate(self, z: Latents) -> Float[Tensor, "n *shape"]:
        """G(z) in eval mode, without gradients."""
        with torch.no_grad(), evaluating(self):
            images: Tensor = self.generator(z)
            return images

    def sample_latents(self, n: int, generator: Generator | None = None) -> Latents:
        """Draws of z from N(0, I), [n D]."""
        like = next(self.parameters(), torch.empty(()))
        return noise(draw(n, generator, like.device), 0, (self.latent_dim,), wide(like).dtype).to(like.dtype)

    def fakes(self, seeds: Seeds, turn: str) -> Float[Tensor, "n *shape"]:
        """G(z) for training, in the current mode, with z from the examples' seeds and the turn's name."""
        like = next(self.parameters(), torch.empty(()))
        images: Tensor = self.generator(noise(fork(seeds, turn), 0, (self.latent_dim,), like.dtype))
        return images


class GAN(Implicit):
    """A generative adversarial network (Goodfellow et al., 2014), with any generator and discriminator.

    >>> from epslab.nets import PerceptronCritic, PerceptronGenerator
    >>> gan = GAN(PerceptronGenerator((1, 8, 8), 16), PerceptronCritic((1, 8, 8)), latent_dim=16)
    >>> images = gan.sample(3)
    >>> images.shape, gan.discriminator(images).shape
    (torch.Size([3, 1, 8, 8]), torch.Size([3]))

    Args:
        generator: Latents [n D] to images in [0, 1], [n c h w], or points [n d].
        discriminator: Those to the logits of being real, [n].
        latent_dim: D.

    Raises:
        UserError: latent_dim is below 1.
    """

    def __init__(self, generator: nn.Module, discriminator: nn.Module, latent_dim: int) -> None:
        super().__init__(generator, latent_dim)
        self.discriminator = discriminator


class WassersteinGAN(Implicit):
    """A Wasserstein GAN (Arjovsky et al., 2017), with any generator and critic.

    How the critic is kept Lipschitz is a matter of training: ``clip_weights``, or the penalty of ``CriticObjective``.

    >>> from epslab.nets import PerceptronCritic, PerceptronGenerator
    >>> gan = WassersteinGAN(PerceptronGenerator((2,), 4), PerceptronCritic((2,)), latent_dim=4)
    >>> gan.sample(3).shape
    torch.Size([3, 2])

    Args:
        generator: Latents [n D] to images in [0, 1], [n c h w], or points [n d].
        critic: f: those to one number each, [n]; real examples should get the greater ones.
        latent_dim: D.

    Raises:
        UserError: latent_dim is below 1.
    """

    def __init__(self, generator: nn.Module, critic: nn.Module, latent_dim: int) -> None:
        super().__init__(generator, latent_dim)
        self.critic = critic
