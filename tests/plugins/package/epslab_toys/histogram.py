"""A model of images whose likelihood is exact: every pixel has its own frequencies of grey levels."""

from dataclasses import dataclass

import torch
from torch import nn

from epslab.data import dequantise, quantise
from epslab.evaluation import Exact, evaluate_likelihood
from epslab.recipes import Plan, TrainingSettings
from epslab.runs import Measured


class PixelHistogram(nn.Module):
    """log p(x) = Σ_i log p_i(x_i), p_i a categorical distribution over K levels."""

    def __init__(self, shape, levels):
        super().__init__()
        self.levels = levels
        self.logits = nn.Parameter(torch.zeros(*shape, levels))

    def log_prob(self, images):
        levels = quantise(images, self.levels)[..., None]  # [n c h w 1]
        return self.logits.log_softmax(-1).expand(len(images), -1, -1, -1, -1).gather(-1, levels).flatten(1).sum(1)

    def sample(self, n, generator=None):
        flat = self.logits.softmax(-1).flatten(0, -2)
        drawn = torch.multinomial(flat, n, replacement=True, generator=generator).T
        return dequantise(drawn.reshape(n, *self.logits.shape[:-1]), self.levels)


@dataclass(frozen=True)
class Histogram(TrainingSettings):
    """A histogram of grey levels for every pixel, with an exact likelihood."""

    levels: int = 16
    """Grey levels K."""

    def plan(self, images, seed):
        model = PixelHistogram(images.image_shape, self.levels)
        return Plan(model, lambda batch, progress: {"loss": -model.log_prob(batch.images)}, measure=measure)


def measure(model, run, images, asked):
    report = evaluate_likelihood(model, images, {"log_p": Exact()}, batch_size=asked.batch_size, seed=asked.seed)
    return Measured(report.measurements())
