"""The coupling flow: an exact density of points, or of dequantised images.

Dinh et al. (2017), "RealNVP"; Kingma & Dhariwal (2018), "Glow".
"""

import math

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from epslab.errors import UserError
from epslab.generative.flows.dequantisation import Dequantisation, UniformDequantisation, VariationalDequantisation
from epslab.generative.flows.equalise import Equalise, levels_of
from epslab.generative.flows.multiscale import MultiScale, halvable
from epslab.generative.flows.standardise import Standardise
from epslab.nets.modes import evaluating
from epslab.probability.densities import log_standard_normal, wide
from epslab.seeds import draw, noise
from epslab.types import PerExample, Seeds, dequantise, quantise

Examples = Float[Tensor, "n ..."]
"""Images [n c h w] in [0, 1], or points [n d]."""
_MOST_SCALES = 3


class CouplingFlow(nn.Module):
    """An invertible map between examples and z ~ N(0, I), made of affine couplings and mixings of the channels.

        log p(x) = log N(f(x); 0, I) + log|det ∂f/∂x|

    Points [n d] have this density exactly. Images are levels k of K, whose probability P(k) is bounded with
    dequantisation noise (``epslab.generative.flows.dequantisation``): ``bound``. Sampling draws x and gives its level.

    Args:
        shape: (c, h, w) of images with sides of 2 and more, or (d,) of points with d ≥ 2.
        levels: K, grey levels of an image.
        steps: Steps of each scale: a mixing and a coupling each.
        width: Hidden units of the couplings' nets at the first scale; twice as many at each further one.
        dequantisation: "uniform" or "variational" noise within a level; points need none.

    Raises:
        UserError: A shape, a count or a name that cannot work.

    An image whose sides can be halved has a scale for each halving, at most 3. Sides that are odd have one scale.

    >>> flow = CouplingFlow((1, 8, 8), levels=16, width=8)
    >>> images = torch.rand(5, 1, 8, 8)
    >>> flow.initialise(images)
    >>> flow.bound(images).shape, flow.sample(3).shape
    (torch.Size([5]), torch.Size([3, 1, 8, 8]))
    >>> CouplingFlow((2,)).log_prob(torch.randn(5, 2)).shape
    torch.Size([5])
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        levels: int = 256,
        steps: int = 4,
        width: int = 48,
        dequantisation: str = "uniform",
    ) -> None:
        super().__init__()
        _check(shape, levels, steps, width, dequantisation)
        self.shape = tuple(shape)
        self.levels = levels
        self.first: Equalise | Standardise = Equalise(levels) if self.of_images else Standardise(shape[0])
        self.body = MultiScale(self.shape, scales_of(self.shape), steps, width)
        self.dequantisation: Dequantisation = UniformDequantisation()
        if self.of_images and dequantisation == "variational":
            c, h, w = shape
            self.dequantisation = VariationalDequantisation((c, h, w), levels, width=max(1, width // 2))

    @property
    def of_images(self) -> bool:
        """Whether examples are images, not points."""
        return len(self.shape) == 3

    @property
    def dimensions(self) -> int:
        """M, the numbers in an example."""
        return math.prod(self.shape)

    def initialise(self, examples: Examples) -> None:
        """Set the first layer by examples: the frequencies of the levels, or mean and standard deviation of points.

        Without it the flow starts far from the data, and learns the same more slowly.
        """
        self._require(examples)
        if isinstance(self.first, Equalise):
            self.first.initialise(quantise(examples, self.levels))
        else:
            self.first.initialise(examples)

    def log_prob(self, examples: Examples) -> PerExample:
        """Log p(x) in nats, exactly: of points, or of continuous images on [0, 1]^M.

        The density of dequantised images, not of images as they are stored: for their probability see ``bound``.
        """
        z, log_det = self.forward(examples)
        return log_standard_normal(z) + log_det

    def forward(self, examples: Examples) -> tuple[Float[Tensor, "n m"], PerExample]:
        """Z = f(x), flattened, and log|det ∂f/∂x|."""
        self._require(examples)
        examples = wide(examples)
        if isinstance(self.first, Equalise):
            return self._forward_levels(*levels_of(examples, self.levels))
        x, first = self.first(examples)
        z, log_det = self.body(x)
        return z, first + log_det

    def inverse(self, z: Float[Tensor, "n m"]) -> Examples:
        """X = f⁻¹(z): points, or continuous images in [0, 1]."""
        x = self.body.inverse(wide(z))
        if isinstance(self.first, Equalise):
            k, u = self.first.inverse(x)
            return (k + u) / self.levels
        return self.first.inverse(x)

    def bound(
        self, images: Examples, samples: int = 1, generator: Generator | None = None, seeds: Seeds | None = None
    ) -> PerExample:
        """A lower bound of log P(k) in nats, [n], averaged over draws of the noise; for points log p(x) itself.

        Args:
            images: [n c h w] in [0, 1], quantised to the model's levels.
            samples: Draws of the noise per image, ≥ 1.
            generator: Draws the examples' seeds if ``seeds`` is None.
            seeds: One seed per example; draw i is a function of the example's seed and i alone.

        Raises:
            UserError: samples < 1, or images of another shape.
        """
        if samples < 1:
            raise UserError(f"A bound needs at least 1 draw of the noise per image, not {samples}.")
        if not self.of_images:
            return self.log_prob(images)
        if seeds is None:
            seeds = draw(len(images), generator, images.device)
        return self.log_weights(images, samples, seeds=seeds).mean(0)

    def log_weights(
        self, images: Examples, samples: int, *, seeds: Seeds, first: int = 0
    ) -> Float[Tensor, "samples n"]:
        """Log p(x_i)/(K^M·q(u_i given k)), u_i from q, for draws first..first+samples−1.

        Their mean is the bound, and the logarithm of their average a tighter one (Burda et al., 2016).
        """
        self._require(images)
        if not isinstance(self.first, Equalise):
            return self.log_prob(images).expand(samples, -1)
        k = quantise(images, self.levels)
        dtype = wide(self.first.logits).dtype
        found = []
        for i in range(first, first + samples):
            u, log_q = self.dequantisation(k, seeds, i, dtype)
            z, log_det = self._forward_levels(k, u)
            found.append(log_standard_normal(z) + log_det - log_q)
        # A pixel that is no number has no level, and its image no probability.
        unknown = images.flatten(1).sum(1).to(dtype) * 0
        return torch.stack(found) + unknown - self.dimensions * math.log(self.levels)

    def sample(self, n: int, generator: Generator | None = None) -> Examples:
        """Images of the levels that hold x = f⁻¹(z), or the points x, for z ~ N(0, I)."""
        like = next(self.parameters())
        seeds = draw(n, generator, like.device)
        with torch.no_grad(), evaluating(self):
            return self.decode(noise(seeds, 0, (self.dimensions,), wide(like).dtype))

    def encode(self, images: Examples, generator: Generator | None = None, seeds: Seeds | None = None) -> Tensor:
        """Z of dequantised images, or of points, [n M]."""
        if not isinstance(self.first, Equalise):
            return self.forward(images)[0]
        self._require(images)
        k = quantise(images, self.levels)
        seeds = draw(len(images), generator, images.device) if seeds is None else seeds
        u, _ = self.dequantisation(k, seeds, 0, wide(self.first.logits).dtype)
        return self._forward_levels(k, u)[0]

    def decode(self, z: Float[Tensor, "n m"]) -> Examples:
        """The image of the levels that hold x = f⁻¹(z), or the point x."""
        x = self.body.inverse(wide(z))
        if isinstance(self.first, Equalise):
            return dequantise(self.first.inverse(x)[0], self.levels).to(z.dtype)
        return self.first.inverse(x)

    def _forward_levels(self, k: Tensor, u: Tensor) -> tuple[Float[Tensor, "n m"], PerExample]:
        x, first = self.first(k, u)
        z, log_det = self.body(x)
        return z, first + log_det

    def _require(self, examples: Examples) -> None:
        if tuple(examples.shape[1:]) != self.shape:
            given, wanted = ("×".join(map(str, shape)) for shape in (examples.shape[1:], self.shape))
            kind = "images of" if self.of_images else "points of dimension"
            raise UserError(f"The flow was built for {kind} {wanted}, but was given {given}.")


def scales_of(shape: tuple[int, ...]) -> int:
    """How often the sides of an image can be halved and stay 2 or more; at least 1, at most 3."""
    halvings = 0
    while halvings < _MOST_SCALES and halvable(shape) and min(shape[1:]) >= 4:
        shape, halvings = (shape[0], shape[1] // 2, shape[2] // 2), halvings + 1
    return max(1, halvings)


def _check(shape: tuple[int, ...], levels: int, steps: int, width: int, dequantisation: str) -> None:
    given = "×".join(map(str, shape))
    if len(shape) not in (1, 3) or min(shape) < 1:
        raise UserError(f"A flow is built for images (channels, height, width) or points (d,), not for {given}.")
    if (len(shape) == 1 and shape[0] < 2) or (len(shape) == 3 and min(shape[1:]) < 2):
        raise UserError(f"A coupling needs a part that stays and a part that changes; {given} has no two of them.")
    if not 2 <= levels <= 256:
        raise UserError(f"levels counts grey levels and must be between 2 and 256, not {levels}.")
    for name, value in (("steps", steps), ("width", width)):
        if value < 1:
            raise UserError(f"{name} must be 1 or more, not {value}.")
    if dequantisation not in ("uniform", "variational"):
        raise UserError(f"dequantisation is 'uniform' or 'variational', not '{dequantisation}'.")
