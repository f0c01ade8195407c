"""The autoencoder: a code of few numbers from which the example is decoded again.

Rumelhart, Hinton & Williams (1986); Hinton & Salakhutdinov (2006), "Reducing the dimensionality of data with neural
networks". Linear, with squared error, it spans the principal subspace of PCA (Baldi & Hornik, 1989).
"""

from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from epslab.errors import UserError
from epslab.probability.densities import wide
from epslab.runs import Column
from epslab.types import Batch, Latents, PerExample, Progress


class Autoencoder(nn.Module):
    """z = f(x), x̂ = g(z), trained for the least squared error ‖x − x̂‖².

    It has no ``sample``: training says nothing about how codes are distributed, so there is no law to draw them from.

    >>> from epslab.nets.codes import perceptron_pair
    >>> model = Autoencoder(*perceptron_pair((1, 8, 8), latent_dim=5, hidden=(32,)), shape=(1, 8, 8))
    >>> images = torch.rand(3, 1, 8, 8)
    >>> model.encode(images).shape, model.reconstruct(images).shape, model.squared_error(images).shape
    (torch.Size([3, 5]), torch.Size([3, 1, 8, 8]), torch.Size([3]))

    Args:
        encoder: f, from examples [n *shape] to codes [n D].
        decoder: g, from codes to examples. It is not clipped: a reconstruction may leave [0, 1] a little.
        shape: Of one example: (channels, height, width) of images, or (d,) of points.

    Raises:
        UserError: When called: examples of another shape.
    """

    def __init__(
        self, encoder: Callable[[Tensor], Tensor], decoder: Callable[[Tensor], Tensor], shape: tuple[int, ...]
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.shape = tuple(shape)

    def encode(self, examples: Float[Tensor, "n *shape"]) -> Latents:
        """The codes z = f(x), [n D]."""
        require_shape(examples, self.shape)
        return self.encoder(examples)

    def decode(self, z: Latents) -> Float[Tensor, "n *shape"]:
        """g(z), [n *shape]."""
        return self.decoder(z)

    def reconstruct(self, examples: Float[Tensor, "n *shape"]) -> Float[Tensor, "n *shape"]:
        """x̂ = g(f(x))."""
        return self.decode(self.encode(examples))

    def squared_error(self, examples: Float[Tensor, "n *shape"]) -> PerExample:
        """‖x − x̂‖² of each example, summed over its dimensions, [n]."""
        return wide(self.reconstruct(examples) - examples).square().flatten(1).sum(1)


@dataclass(frozen=True)
class AutoencoderObjective:
    """The squared error ‖x − x̂‖², the only curve: ``loss``.

    Args:
        model: What is trained.
    """

    model: Autoencoder

    @property
    def columns(self) -> dict[str, Column]:
        """What the loss is."""
        return {"loss": Column("Squared error ‖x − x̂‖²", better="lower")}

    def __call__(self, batch: Batch, progress: Progress) -> dict[str, PerExample]:
        """The squared error of each example."""
        return {"loss": self.model.squared_error(batch.examples)}


def require_shape(examples: Tensor, shape: tuple[int, ...]) -> None:
    """Make sure that examples have the shape a model was built for.

    Raises:
        UserError: They have another.
    """
    if tuple(examples.shape[1:]) != shape:
        wanted, given = ("×".join(map(str, own)) for own in (shape, tuple(examples.shape[1:])))
        raise UserError(f"The model was built for examples of shape {wanted}, but was given {given}.")
