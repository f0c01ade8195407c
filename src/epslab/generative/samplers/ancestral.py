"""Ancestral sampling: the reverse chain of DDPM, step by step. Ho et al. (2020), algorithm 2."""

from collections.abc import Iterable, Sequence

from jaxtyping import Float, Shaped
from torch import Generator, Tensor

from epslab.errors import unknown
from epslab.generative.samplers.predictions import Clip, Predict
from epslab.generative.samplers.walk import Walk, tracking
from epslab.probability.schedules import Schedule

VARIANCES = ("posterior", "beta")


def ancestral(
    predict: Predict,
    schedule: Schedule,
    shape: Sequence[int],
    generator: Generator | None = None,
    *,
    predicts: str = "noise",
    start: Float[Tensor, "n ..."] | None = None,
    clip: Clip = False,
    times: Shaped[Tensor, "..."] | Sequence[int] | None = None,
    noise: Iterable[Tensor] | None = None,
    variance: str = "posterior",
) -> Float[Tensor, "n ..."]:
    """Samples by the reverse chain of DDPM (Ho et al., 2020, algorithm 2 and eq. 7).

    From x_T ~ N(0, I), for each step from t to the next time s, with α = ᾱ_t/ᾱ_s and β = 1 − α (so α_t and β_t when
    s = t − 1):

        x_s = (x_t − β/√(1−ᾱ_t)·eps)/√α + sigma_t·z,    sigma_t² = (1−ᾱ_s)/(1−ᾱ_t)·β    or    sigma_t² = β,

    z ~ N(0, I), and without noise at the last step. No gradients are kept, except through a ``start`` that requires
    them.

    Args:
        predict: (x_t [n …], t int64 [n] in 0..T−1) to the prediction [n …].
        schedule: ᾱ at each time.
        shape: Shape of all samples, n first.
        generator: Draws one seed per sample, from which all its noise follows (None: torch's default generator).
        predicts: What the predictor gives: "noise" (eps), "v" or "image" (x_0).
        start: x_T, instead of a draw; its device and type are the samples'.
        clip: Clamp the estimate of x_0 at each step: True for [−1, 1], or (low, high).
        times: The times to visit, falling; None: all, T−1..0.
        noise: Tensors in place of the generator: x_T unless ``start`` gives it, then one for each step but the last.
        variance: "posterior", exact where the data are a point, or "beta", exact where they are N(0, I).

    >>> from epslab.probability.schedules import linear
    >>> ancestral(lambda x_t, t: 0.9 * x_t, linear(50), (4, 2)).shape
    torch.Size([4, 2])

    Raises:
        UserError: An unknown prediction or variance, times that do not fall within T−1..0, or noise, a start or a
            prediction of another shape.
    """
    if variance not in VARIANCES:
        raise unknown("variance", variance, VARIANCES)
    with tracking(start):
        walk = Walk(predict, schedule, shape, generator, noise=noise, start=start, predicts=predicts, clip=clip)
        for t, alpha_bar_t, alpha_bar_s in walk.steps(range(len(schedule) - 1, -1, -1) if times is None else times):
            walk.x = reverse_step(walk, t, alpha_bar_t, alpha_bar_s, variance)
        return walk.x.to(walk.dtype)


def reverse_step(
    walk: Walk, t: int, alpha_bar_t: Float[Tensor, ""], alpha_bar_s: Float[Tensor, ""], variance: str
) -> Float[Tensor, "n ..."]:
    """x_s given the walk's x_t: the posterior's mean at the estimate of x_0, eq. 7, and noise unless s is the image.

    The mean equals that of ``ancestral``, and holds for a clamped x_0 as well.
    """
    x_0, _, _ = walk.estimate(t)
    alpha = alpha_bar_t / alpha_bar_s
    beta = 1 - alpha
    of_x_0 = alpha_bar_s.sqrt() * beta / (1 - alpha_bar_t)
    of_x_t = alpha.sqrt() * (1 - alpha_bar_s) / (1 - alpha_bar_t)
    x_s = of_x_0 * x_0 + of_x_t * walk.x
    if alpha_bar_s < 1:
        sigma_squared = beta if variance == "beta" else (1 - alpha_bar_s) / (1 - alpha_bar_t) * beta
        x_s = x_s + sigma_squared.sqrt() * next(walk.draws)
    return x_s
