"""Inpainting: the missing part of an image drawn to fit the rest, with a model that knows nothing of masks.

RePaint, Lugmayr et al. (2022), algorithm 1.
"""

from collections.abc import Iterable, Sequence

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Generator, Tensor

from epslab.errors import UserError
from epslab.generative.samplers import Predict
from epslab.generative.samplers.ancestral import reverse_step
from epslab.generative.samplers.predictions import Clip
from epslab.generative.samplers.walk import Walk, tracking
from epslab.probability.schedules import Schedule


def inpaint(
    predict: Predict,
    schedule: Schedule,
    known: Float[Tensor, "n ..."],
    mask: Bool[Tensor, "..."],
    generator: Generator | None = None,
    *,
    rounds: int = 5,
    predicts: str = "noise",
    clip: Clip = False,
    times: Shaped[Tensor, "..."] | Sequence[int] | None = None,
    noise: Iterable[Tensor] | None = None,
) -> Float[Tensor, "n ..."]:
    """Examples that agree with ``known`` where the mask is True, the rest drawn by the model.

    Each step from t to the next time s takes the known part with fresh noise on and the rest from the reverse chain:

        x_s = mask·(√ᾱ_s·known + √(1−ᾱ_s)·eps) + (1 − mask)·(one step of ``ancestral``)

    The two do not know of each other yet. So x_s is carried back to t, x_t = √(ᾱ_t/ᾱ_s)·x_s + √(1 − ᾱ_t/ᾱ_s)·z, and the
    step is taken again, ``rounds`` times in all. With more rounds the drawn part fits the known one better; with more
    steps it is as varied as the model's own examples are.

    Args:
        predict: (x_t [n …], t int64 [n] in 0..T−1) to the prediction [n …].
        schedule: ᾱ at each time.
        known: x_0 [n …] as the model sees it; where the mask is False it is not read.
        mask: True where the example is known; broadcasts to it.
        generator: Draws one seed per example, from which all its noise follows.
        rounds: How often each step is taken, ≥ 1.
        predicts: What the predictor gives: "noise", "v" or "image".
        clip: Clamp the estimate of x_0 at each step: True for [−1, 1], or (low, high).
        times: The times to visit, falling; None: all.
        noise: Tensors in place of the generator.

    >>> from epslab.probability.schedules import linear
    >>> known, mask = torch.ones(4, 2), torch.tensor([True, False])
    >>> inpaint(lambda x_t, t: 0.9 * x_t, linear(20), known, mask)[:, 0]
    tensor([1., 1., 1., 1.])

    Raises:
        UserError: A mask that does not broadcast to the examples, fewer than 1 round, or what ``ancestral`` refuses.
    """
    if rounds < 1:
        raise UserError(f"Each step of inpainting is taken at least once, not in {rounds} rounds.")
    try:
        where = mask.expand(known.shape)
    except RuntimeError:
        raise UserError(
            f"A mask of shape {list(mask.shape)} does not fit examples of shape {list(known.shape)}."
        ) from None
    known = torch.where(where, known, torch.zeros_like(known))
    with tracking(known):
        walk = Walk(
            predict, schedule, known.shape, generator, noise=noise, start=None, predicts=predicts, clip=clip, like=known
        )
        for t, alpha_bar_t, alpha_bar_s in walk.steps(range(len(schedule) - 1, -1, -1) if times is None else times):
            last = bool(alpha_bar_s == 1)
            for i in range(1 if last else rounds):
                if i > 0:
                    alpha = alpha_bar_t / alpha_bar_s
                    walk.x = alpha.sqrt() * walk.x + (1 - alpha).sqrt() * next(walk.draws)
                drawn = reverse_step(walk, t, alpha_bar_t, alpha_bar_s, "posterior")
                given = known.to(walk.x)
                if not last:
                    given = alpha_bar_s.sqrt() * given + (1 - alpha_bar_s).sqrt() * next(walk.draws)
                walk.x = torch.where(where, given, drawn)
        return walk.x.to(walk.dtype)
