"""The exact density of a trained model by its ODE, in the units of its examples. Song et al. (2021), section 4.3."""

import math

from jaxtyping import Float
from torch import Generator, Tensor

from epslab.errors import UserError
from epslab.generative.diffusion.likelihood import OdeLikelihood, flow_log_prob, ode_log_prob
from epslab.generative.diffusion.model import Diffusion
from epslab.generative.diffusion.sampling import denoiser_of
from epslab.nets.modes import borrowed
from epslab.probability.densities import wide
from epslab.seeds import draw, fork, uniform
from epslab.types import Images, Seeds, quantise


def log_density(
    model: Diffusion,
    examples: Float[Tensor, "n ..."],
    *,
    probes: int | None = None,
    tolerance: float = 1e-4,
    generator: Generator | None = None,
    seeds: Seeds | None = None,
) -> OdeLikelihood:
    """Log p(x) of examples as real numbers, with the solver's own error; nats.

    Of a flow, the density at t = 0; of a model on a schedule, that at the schedule's smallest noise, t = 0, carried
    from N(0, I) at t = T−1 by the probability-flow ODE.

    Args:
        model: A diffusion model or a flow; it comes back as it was.
        examples: Images [n c h w] in [0, 1], or points [n d].
        probes: None: the exact trace, with as many derivatives per evaluation as an example has numbers. K ≥ 1:
            Hutchinson's unbiased estimate from K random signs per example.
        tolerance: Of the solver, per step.
        generator: Draws the examples' seeds, if ``seeds`` is None.
        seeds: One seed per example.

    >>> from epslab.nets import TimePerceptron
    >>> from epslab.probability.schedules import cosine
    >>> model = Diffusion(TimePerceptron(2), cosine(100), (2,), predicts="flow")  # untrained: N(0, I)
    >>> log_density(model, torch.zeros(1, 2)).log_prob
    tensor([-1.8379])

    Raises:
        UserError: Examples of another shape, fewer than 1 probe, or an ODE that is not solved to the tolerance.
    """
    x_0 = model.inwards(examples)
    if seeds is None and probes is not None:
        seeds = draw(len(examples), generator, examples.device)
    with borrowed(model, frozen=True):
        if model.predicts == "flow":
            found = flow_log_prob(model.predict, x_0, probes=probes, tolerance=tolerance, seeds=seeds)
        else:
            sigma = model.schedule.sigma
            found = ode_log_prob(
                denoiser_of(model.predict, model.schedule, model.predicts),
                x_0,
                sigma_min=sigma[0].item(),
                sigma_max=sigma[-1].item(),
                probes=probes,
                tolerance=tolerance,
                seeds=seeds,
            )
    return found._replace(log_prob=found.log_prob - math.prod(model.shape) * wide(model.scale).log())


def log_probability(
    model: Diffusion,
    images: Images,
    *,
    probes: int | None = None,
    tolerance: float = 1e-4,
    generator: Generator | None = None,
    seeds: Seeds | None = None,
) -> OdeLikelihood:
    """A lower bound on log P(k) of the images' grey levels k = 0..K−1, from the exact density of real-valued images.

    With u uniform on [−½, ½] for every one of the M numbers of an image (Theis et al., 2016, eq. 4):

        log P(k) ≥ E_u log p((k + u)/(K−1)) − M·log(K−1)

    One u is drawn for each image, so the mean over images estimates the bound without bias.

    Args:
        model: A model of images; K is its ``levels``.
        images: [n c h w] in [0, 1].
        probes: As in ``log_density``.
        tolerance: As in ``log_density``.
        generator: As in ``log_density``.
        seeds: As in ``log_density``.

    >>> from epslab.nets import UNet
    >>> from epslab.probability.schedules import cosine
    >>> model = Diffusion(UNet((1, 8, 8), width=4), cosine(100), (1, 8, 8), predicts="v")
    >>> log_probability(model, torch.rand(2, 1, 8, 8), probes=1, tolerance=0.01).log_prob.shape
    torch.Size([2])

    Raises:
        UserError: The model is one of points, and what ``log_density`` refuses.
    """
    if not model.of_images:
        raise UserError("Points have no grey levels: use log_density, their density.")
    if seeds is None:
        seeds = draw(len(images), generator, images.device)
    u = uniform(fork(seeds, "dequantise"), 0, model.shape, wide(images).dtype) - 0.5
    real = (quantise(images, model.levels) + u) / (model.levels - 1)
    found = log_density(model, real, probes=probes, tolerance=tolerance, seeds=seeds)
    return found._replace(log_prob=found.log_prob - math.prod(model.shape) * math.log(model.levels - 1))
