"""From a diffusion model's settings to its plan: the net for images or points, and what it minimises."""

from functools import partial

from torch import nn

from epslab import seeds
from epslab.data import ImageSet, PointSet
from epslab.generative.diffusion import Diffusion, DiffusionObjective, FlowMatchingObjective
from epslab.nets import TimePerceptron, UNet
from epslab.probability import schedules
from epslab.recipes.diffusion.measure import measure
from epslab.recipes.diffusion.settings import DiffusionRecipe
from epslab.recipes.plan import Plan, draw_samples
from epslab.runs import Run


def plan(settings: DiffusionRecipe, images: ImageSet | PointSet, seed: int) -> Plan:
    """The diffusion model for examples of this shape, its loss, samples at the epochs the settings name."""
    model = build(settings, tuple(images.shape), seed)
    if isinstance(images, PointSet):
        model.standardise(images.points)
    sample = partial(model.sample, sampler=settings.sampler_for(tuple(images.shape)), steps=settings.sampling_steps)

    def look(model: Diffusion, epoch: int, run: Run) -> None:
        if epoch in settings.sample_epochs or epoch == settings.epochs:
            draw_samples(sample, run, epoch, seed)

    objective = FlowMatchingObjective(model) if settings.predicts == "flow" else DiffusionObjective(model)
    return Plan(model, objective, look=look, measure=partial(measure, settings), sample=sample)


def build(settings: DiffusionRecipe, shape: tuple[int, ...], seed: int) -> Diffusion:
    """The untrained model for examples of this shape; the same seed gives the same weights."""
    net: nn.Module
    with seeds.seeded(seed, "weights"):
        if len(shape) == 3:
            net = UNet(shape, settings.width, settings.multipliers, settings.blocks)
        else:
            net = TimePerceptron(shape[0], settings.hidden, settings.layers)
    schedule = {"cosine": schedules.cosine, "linear": schedules.linear}[settings.noise_schedule](settings.timesteps)
    return Diffusion(net, schedule, shape, settings.predicts, settings.levels, settings.variance)
