"""DDIM: the same marginals as DDPM with as much noise as one likes, and any number of steps. Song et al. (2021)."""

from collections.abc import Iterable, Sequence

from jaxtyping import Float, Shaped
from torch import Generator, Tensor

from epslab.errors import UserError
from epslab.generative.samplers.grids import linear_times
from epslab.generative.samplers.predictions import Clip, Predict
from epslab.generative.samplers.walk import Walk, tracking
from epslab.probability.schedules import Schedule


def ddim(
    predict: Predict,
    schedule: Schedule,
    shape: Sequence[int],
    *,
    steps: int | None = None,
    eta: float | int = 0.0,
    generator: Generator | None = None,
    predicts: str = "noise",
    start: Float[Tensor, "n ..."] | None = None,
    clip: Clip = False,
    times: Shaped[Tensor, "..."] | Sequence[int] | None = None,
    noise: Iterable[Tensor] | None = None,
    keep_noise: bool = False,
) -> Float[Tensor, "n ..."]:
    """Samples by DDIM (Song, Meng & Ermon, 2021, eq. 12 and 16).

    From x_T ~ N(0, I), for each step from t to the next time s:

        x_s = √ᾱ_s·x_0 + √(1−ᾱ_s−sigma²)·eps + sigma·z,    sigma = eta·√((1−ᾱ_s)/(1−ᾱ_t))·√(1−ᾱ_t/ᾱ_s)

    with x_0 and eps as predicted at x_t. eta = 0 is deterministic given x_T; eta = 1 at all times is ``ancestral``. No
    gradients are kept, except through a ``start`` that requires them.

    Args:
        predict: (x_t [n …], t int64 [n] in 0..T−1) to the prediction [n …].
        schedule: ᾱ at each time.
        shape: Shape of all samples, n first.
        steps: Number of steps, at equally spaced times (``linear_times``), unless ``times`` lists them.
        eta: Share of DDPM's noise, in [0, 1].
        generator: Draws one seed per sample, from which all its noise follows (None: torch's default generator).
        predicts: What the predictor gives: "noise" (eps), "v" or "image" (x_0).
        start: x_T, instead of a draw; its device and type are the samples'.
        clip: Clamp the estimate of x_0 at each step: True for [−1, 1], or (low, high).
        times: The times to visit, falling, instead of ``steps`` (or as many as ``steps``).
        noise: Tensors in place of the generator: x_T unless ``start`` gives it, then, if eta > 0, one for each step
            but the last.
        keep_noise: After clamping x_0, step with eps as it was predicted (what diffusers does by default) instead of
            the eps that fits x_t and the clamped x_0.

    >>> from epslab.probability.schedules import cosine
    >>> ddim(lambda x_t, t: 0.9 * x_t, cosine(1000), (4, 2), steps=10).shape
    torch.Size([4, 2])

    Raises:
        UserError: Neither steps nor times, or other numbers of them, steps outside 1..T, eta outside [0, 1], an unknown
            prediction, or noise, a start or a prediction of another shape.
    """
    if times is None:
        if steps is None:
            raise UserError("DDIM needs `steps`, a number of them, or `times`, the times to visit.")
        times = linear_times(schedule, steps)
    elif steps not in (None, len(times)):
        raise UserError(f"DDIM was given {len(times)} times but {steps} steps; leave `steps` out.")
    if not 0 <= eta <= 1:
        raise UserError(f"eta is the share of DDPM's noise and lies in [0, 1]; it is {eta:g}.")
    with tracking(start):
        walk = Walk(predict, schedule, shape, generator, noise=noise, start=start, predicts=predicts, clip=clip)
        for t, alpha_bar_t, alpha_bar_s in walk.steps(times):
            x_0, eps, predicted = walk.estimate(t)
            sigma = eta * ((1 - alpha_bar_s) / (1 - alpha_bar_t) * (1 - alpha_bar_t / alpha_bar_s)).sqrt()
            direction = (1 - alpha_bar_s - sigma.square()).clamp(min=0).sqrt() * (predicted if keep_noise else eps)
            walk.x = alpha_bar_s.sqrt() * x_0 + direction
            if sigma > 0:
                walk.x = walk.x + sigma * next(walk.draws)
        return walk.x.to(walk.dtype)
