"""Denoising diffusion: noise is added to an image step by step, and a net learns to take it away.

    q(x_t given x_0) = N(√ᾱ_t·x_0, (1 − ᾱ_t) I),    so    x_t = √ᾱ_t·x_0 + √(1 − ᾱ_t)·ε,    ε ~ N(0, I).

Ho et al. (2020), eq. 4, with t = 0, …, T − 1: x_t at t = 0 already carries one step of noise. The net predicts one of

    the noise ε,    v = √ᾱ_t·ε − √(1 − ᾱ_t)·x_0 (Salimans & Ho, 2022),    or x_0 itself;

with x_t given, each of the three determines the other two.
"""

import math
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Int, Shaped
from torch import Generator, Tensor, nn

from epslab.errors import UserError, unknown
from epslab.generative.diffusion.bound import BoundTerms, Decoder, bound_terms
from epslab.generative.diffusion.sampling import draw_from
from epslab.generative.samplers import image_and_noise, noise_of
from epslab.generative.samplers.ancestral import VARIANCES
from epslab.generative.samplers.predictions import roots
from epslab.nets.modes import evaluating
from epslab.probability.densities import log_normal, wide
from epslab.probability.discretised import log_discretised_normal
from epslab.probability.schedules import Schedule
from epslab.seeds import draw
from epslab.types import PerExample, Seeds, quantise

PREDICTS = ("noise", "v", "image", "flow")
"""What a net's output may mean; "flow" is the velocity of flow matching."""
_AT_ONCE = 512  # samples in one pass of the net
_FLOW_TIME = 1000.0  # a flow's time in [0, 1] in units that time embeddings resolve


class Diffusion(nn.Module):
    """A diffusion model of images or points.

    >>> from epslab.nets import UNet
    >>> from epslab.probability.schedules import cosine
    >>> model = Diffusion(UNet((1, 8, 8), width=8), cosine(100), (1, 8, 8))
    >>> model.sample(3, steps=5).shape
    torch.Size([3, 1, 8, 8])

    The net sees images as 2x − 1, in [−1, 1], and points with ``centre`` subtracted and divided by ``scale``.

    Args:
        net: (x_t [n *shape], t [n]) to the prediction [n *shape]; any module or function.
        schedule: The noise at each time (``epslab.probability.schedules``).
        shape: Of one example: (channels, height, width), or (d,) for points.
        predicts: What the net's output means: "noise", "v", "image" (x_0; of points, too), or "flow"
            (``epslab.generative.diffusion.flow_matching``), which takes its own straight path in place of the schedule.
        levels: Grey levels K of the images, in the bound on their probability; 8-bit images have 256.
        variance: σ_t² of the steps from x_t to the next, in the bound: "posterior" or "beta"
            (``epslab.generative.diffusion.bound``).

    Raises:
        UserError: An unknown prediction or variance, a shape of neither images nor points, or fewer than 2 levels.
    """

    centre: Tensor
    scale: Tensor

    def __init__(
        self,
        net: Callable[[Tensor, Tensor], Tensor],
        schedule: Schedule,
        shape: Sequence[int],
        predicts: str = "noise",
        levels: int = 256,
        variance: str = "posterior",
    ) -> None:
        super().__init__()
        if predicts not in PREDICTS:
            raise unknown("prediction", predicts, PREDICTS)
        if variance not in VARIANCES:
            raise unknown("variance", variance, VARIANCES)
        if len(shape) not in (1, 3) or min(shape) < 1:
            raise UserError(
                f"The shape is {tuple(shape)}, but must be (channels, height, width) of images, or (d,) of points."
            )
        if levels < 2:
            raise UserError(f"levels is {levels}, but images have at least 2 grey levels.")
        self.net = net
        self.schedule = schedule
        self.shape = tuple(shape)
        self.predicts = predicts
        self.levels = levels
        self.variance = variance
        self.register_buffer("centre", torch.tensor(0.5 if self.of_images else 0.0))
        self.register_buffer("scale", torch.tensor(0.5 if self.of_images else 1.0))

    @property
    def of_images(self) -> bool:
        """Whether the examples are images in [0, 1], not points."""
        return len(self.shape) == 3

    def standardise(self, points: Float[Tensor, "n d"]) -> None:
        """Take centre and scale from points: their mean, and their standard deviation over all coordinates together."""
        self.centre.copy_(points.mean())
        if len(points) > 1:
            self.scale.copy_((points - points.mean()).square().mean().sqrt().clamp(min=1e-6))

    def inwards(self, examples: Float[Tensor, "n ..."]) -> Float[Tensor, "n ..."]:
        """Examples as the net sees them, x_0: images in [−1, 1], points standardised; float32 or wider.

        Raises:
            UserError: Examples of another shape.
        """
        if tuple(examples.shape[1:]) != self.shape:
            raise UserError(
                f"The diffusion model was built for examples of shape {self.shape}, but was given"
                f" {tuple(examples.shape[1:])}."
            )
        return (wide(examples) - wide(self.centre)) / wide(self.scale)

    def outwards(self, x_0: Float[Tensor, "n ..."]) -> Float[Tensor, "n ..."]:
        """The way back: images clamped to [0, 1]."""
        examples = x_0 * self.scale.to(x_0) + self.centre.to(x_0)
        return examples.clamp(0, 1) if self.of_images else examples

    def predict(self, x_t: Float[Tensor, "n ..."], t: Shaped[Tensor, " n"]) -> Float[Tensor, "n ..."]:
        """The net's output at x_t, in float32 or wider.

        Args:
            x_t: Noisy examples as the net sees them.
            t: Whole times 0..T−1; of a flow, times in [0, 1], which the net gets times 1000.
        """
        time = _FLOW_TIME * t if self.predicts == "flow" else t
        return wide(self.net(x_t.to(self.centre.dtype), time))

    def noisy(
        self, x_0: Float[Tensor, "n ..."], t: Int[Tensor, " n"], eps: Float[Tensor, "n ..."]
    ) -> Float[Tensor, "n ..."]:
        """x_t = √ᾱ_t·x_0 + √(1 − ᾱ_t)·ε (Ho et al., 2020, eq. 4; ᾱ, the product)."""
        signal, std = roots(self.alpha_bar(t, x_0), x_0)
        return signal * x_0 + std * eps

    def alpha_bar(self, t: Int[Tensor, " n"], like: Tensor) -> Float[Tensor, "n ..."]:
        """ᾱ_t in float64, shaped to multiply ``like``: [n 1 1 1] for images."""
        return self.schedule.alpha_bar.to(t.device)[t].view(-1, *[1] * (like.ndim - 1))

    def clean(self, x_t: Float[Tensor, "n ..."], t: Int[Tensor, " n"]) -> Float[Tensor, "n ..."]:
        """The estimate of x_0 from x_t, of images clipped to [−1, 1], where every x_0 lies.

        Raises:
            UserError: The net predicts a flow, which has no times 0..T−1.
        """
        if self.predicts == "flow":
            raise UserError("A flow has no steps of a schedule; use the samplers and the likelihood of flow matching.")
        x_0, _ = image_and_noise(self.predict(x_t, t), x_t, self.alpha_bar(t, x_t), self.predicts)
        return x_0.clamp(-1, 1) if self.of_images else x_0

    def terms(
        self,
        examples: Float[Tensor, "n ..."],
        draws: int | None = None,
        generator: Generator | None = None,
        seeds: Seeds | None = None,
    ) -> BoundTerms:
        """The parts of the variational bound on −log p(x), in nats (``epslab.generative.diffusion.bound``).

        Of images it bounds the probability of their grey levels, of points their density.

        Args:
            examples: Images [n c h w] in [0, 1], or points [n d].
            draws: Times per example at which the sum over all times is estimated; None: all of them, each once.
            generator: Draws the examples' seeds if ``seeds`` is None.
            seeds: One seed per example.

        Raises:
            UserError: Examples of another shape, draws below 1, or a flow, whose likelihood is exact.
        """
        if seeds is None:
            seeds = draw(len(examples), generator, examples.device)
        x_0 = self.inwards(examples)
        if self.of_images:
            # The value of the level; a pixel that is NaN stays one.
            k = quantise(examples, self.levels)
            x_0 = torch.where(x_0.isnan(), x_0, 2 * k.to(x_0.dtype) / (self.levels - 1) - 1)
            decoder = self._mass(k)
        else:
            decoder = self._density(x_0)
        return bound_terms(self.clean, self.schedule, x_0, decoder, seeds=seeds, draws=draws, variance=self.variance)

    def bound(
        self,
        examples: Float[Tensor, "n ..."],
        draws: int | None = None,
        generator: Generator | None = None,
        seeds: Seeds | None = None,
    ) -> PerExample:
        """The bound itself, [n] nats: in expectation no less than −log p(x). Arguments and errors as for ``terms``."""
        return self.terms(examples, draws, generator, seeds).negative_elbo

    def _mass(self, k: Int[Tensor, "n ..."]) -> Decoder:
        """−log P of the levels, given the estimate of x_0 at the last step."""

        def cost(mean: Tensor, std: float) -> PerExample:
            return -log_discretised_normal(k, mean, std, self.levels).flatten(1).sum(1)

        return cost

    def _density(self, x_0: Float[Tensor, "n d"]) -> Decoder:
        """−log p of the points, in their own units."""

        def cost(mean: Tensor, std: float) -> PerExample:
            log_std = torch.full((1,), math.log(std), dtype=x_0.dtype, device=x_0.device)
            return x_0.shape[1] * wide(self.scale).log() - log_normal(x_0, mean, log_std)

        return cost

    def sample(
        self,
        n: int,
        generator: Generator | None = None,
        *,
        sampler: str = "ancestral",
        steps: int | None = None,
        eta: float = 0.0,
    ) -> Float[Tensor, "n ..."]:
        """Examples drawn by a sampler from noise; each depends on its own seed only, not on the others.

        Args:
            n: How many.
            generator: Draws their seeds.
            sampler: See ``epslab.generative.diffusion.sampling.SAMPLERS``.
            steps: Of the sampler; None: 100 of those that add noise, 50 of the others, or T where that is less.
            eta: Noise of "ddim": 0 none, 1 as much as "ancestral".

        Raises:
            UserError: An unknown sampler, or steps it cannot take.
        """
        seeds = draw(n, generator, self.centre.device)
        with torch.no_grad(), evaluating(self):
            parts = [self._sample(part, sampler, steps, eta) for part in torch.split(seeds, _AT_ONCE)]
            return torch.cat(parts) if parts else torch.empty(0, *self.shape)

    def _sample(self, seeds: Seeds, sampler: str, steps: int | None, eta: float) -> Tensor:
        """One sample for each seed: its draw 0 is the start, draws 1, 2, … are the sampler's noise."""
        draws = noise_of(seeds, self.shape, wide(self.centre).dtype)
        x_0 = draw_from(
            self.predict,
            self.schedule,
            next(draws),
            draws,
            predicts=self.predicts,
            clip=self.of_images,
            sampler=sampler,
            steps=steps,
            eta=eta,
        )
        return self.outwards(x_0).to(self.centre.dtype)
