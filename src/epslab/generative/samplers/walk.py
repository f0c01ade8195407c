"""What every sampler does around its update: the start, the precision of the state, gradients, and shapes."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
from jaxtyping import Shaped
from torch import Generator, Tensor

from epslab.errors import UserError
from epslab.generative.samplers.grids import checked_times
from epslab.generative.samplers.noise import source
from epslab.generative.samplers.predictions import Clip, Predict, asked, clamped, image_and_noise
from epslab.probability.densities import wide
from epslab.probability.schedules import Schedule


@contextmanager
def tracking(start: Tensor | None) -> Iterator[None]:
    """No gradients are kept, except through a start that requires them (an attack through the sampler)."""
    with torch.set_grad_enabled(torch.is_grad_enabled() and start is not None and start.requires_grad):
        yield


def level(value: float | int, x: Tensor, dtype: torch.dtype) -> Shaped[Tensor, " n"]:
    """The same time or noise level for every sample."""
    return torch.full((len(x),), value, dtype=dtype, device=x.device)


class Walk:
    """One run of a sampler down the times of a schedule: its state starts as x_T, and it asks the predictor.

    Args:
        predict: (x_t, t) to what ``predicts`` says.
        schedule: ᾱ at each time.
        shape: Shape of all samples, n first.
        generator: Draws the noise.
        noise: Brings the noise instead.
        start: x_T instead of the first draw.
        predicts: "noise", "v" or "image".
        clip: Whether the estimate of x_0 is clamped.
        like: A tensor whose device and type the samples have; None: those of the start, or of the draws.

    Raises:
        UserError: The start has another shape, or there are no samples.
    """

    def __init__(
        self,
        predict: Predict,
        schedule: Schedule,
        shape: Sequence[int],
        generator: Generator | None,
        *,
        noise: Iterable[Tensor] | None,
        start: Tensor | None,
        predicts: str,
        clip: Clip,
        like: Tensor | None = None,
    ) -> None:
        if start is not None and tuple(start.shape) != tuple(shape):
            raise UserError(f"`start` has shape {list(start.shape)}, but samples of shape {list(shape)} are asked for.")
        if len(shape) < 2:
            raise UserError(f"The shape of samples is (n, …), such as (16, 1, 28, 28), not {tuple(shape)}.")
        self.predict, self.schedule, self.predicts, self.clip = predict, schedule, predicts, clip
        like = start if like is None else like
        self.draws = source(shape, generator, noise, None if like is None else wide(like))
        self.x = next(self.draws) if start is None else wide(start)
        self.dtype = self.x.dtype if like is None else like.dtype

    def steps(self, times: Tensor | Sequence[int]) -> Iterator[tuple[int, Tensor, Tensor]]:
        """(t, ᾱ_t, ᾱ_s) for every step from t down to s, the next time; after the last comes the image, ᾱ_s = 1."""
        listed = checked_times(times, self.schedule)
        alpha_bar = self.schedule.alpha_bar
        for t, s in zip(listed, [*listed[1:], None], strict=True):
            yield t, alpha_bar[t], alpha_bar.new_ones(()) if s is None else alpha_bar[s]

    def estimate(self, t: int) -> tuple[Tensor, Tensor, Tensor]:
        """x_0 (clamped if asked for), the eps that fits x_t = √ᾱ_t·x_0 + √(1−ᾱ_t)·eps, and eps as predicted."""
        alpha_bar = self.schedule.alpha_bar[t]
        output = asked(self.predict, self.x, level(t, self.x, torch.int64), self.dtype)
        x_0, eps = image_and_noise(output, self.x, alpha_bar, self.predicts)
        if self.clip is False:
            return x_0, eps, eps
        x_0 = clamped(x_0, self.clip)
        return x_0, (self.x - alpha_bar.sqrt() * x_0) / (1 - alpha_bar).sqrt(), eps
