"""p(x given parameters): what a decoder's output means, a distribution over images with independent pixels.

A likelihood turns parameters [n p h w] into log p(x) [n], in nats, summed over pixels and channels; into E[x], to look
at; and into draws of x. A mean is not a sample. Probabilities are computed in float32 or wider, also for parameters in
half precision: log p(x) is float32 or float64, means and draws have the parameters' dtype.

A draw of x is a function of its parameters and its example's seed alone; seeds that are not given come from the
generator.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Generator, Tensor

from epslab.errors import UserError
from epslab.probability.densities import wide
from epslab.seeds import draw, noise, uniform
from epslab.types import Images, Observations, PerExample, Seeds, dequantise, quantise

Parameters = Float[Tensor, "n p h w"]
Means = Float[Tensor, "n *means"]


@dataclass(frozen=True)
class Categorical:
    """Each pixel is one of K levels: log p(x) = −cross-entropy of the K logits with the pixel's level.

    Parameters are logits [n c·K h w], the levels of the first channel first. Images are quantised inside
    (``types.quantise``); means and samples are levels shown as k/(K−1).

    Args:
        levels: Number of levels K ≥ 2.

    Raises:
        UserError: ``levels`` < 2, or parameters whose channels do not fit.

    >>> likelihood = Categorical(levels=16)
    >>> logits = torch.zeros(1, likelihood.channels(1), 28, 28)
    >>> -likelihood.log_prob(logits, torch.rand(1, 1, 28, 28)).round()  # 784 ln 16
    tensor([2174.])
    """

    levels: int

    def __post_init__(self) -> None:
        _require_levels(self.levels)

    def channels(self, image_channels: int) -> int:
        """K logits for each image channel."""
        return self.levels * image_channels

    def log_prob(self, parameters: Parameters, images: Images) -> PerExample:
        """Log-probability of the images' levels, in nats, summed over pixels and channels."""
        _require_channels(parameters, self.channels(images.shape[1]))
        logits = self._logits(wide(parameters))  # [n c K h w]
        x = quantise(images, self.levels)
        if logits.stride(2) == 1:
            # channels_last: permuted, the memory is contiguous with K last, where softmax and gather are fastest.
            log_p = logits.permute(0, 3, 4, 1, 2).log_softmax(-1).gather(-1, x.permute(0, 2, 3, 1).unsqueeze(-1))
        else:
            log_p = logits.log_softmax(2).gather(2, x.unsqueeze(2))
        return log_p.flatten(1).sum(1)

    def mean(self, parameters: Parameters) -> Images:
        """E[x] = Σ_k p_k·k/(K−1)."""
        p = self._logits(wide(parameters)).softmax(2)
        x = torch.arange(self.levels, device=p.device).to(p.dtype) / (self.levels - 1)
        return (p * x[:, None, None]).sum(2).to(parameters.dtype)

    def sample(self, parameters: Parameters, generator: Generator | None = None, seeds: Seeds | None = None) -> Images:
        """One level drawn for every pixel."""
        x = _categorical_draw(self._logits(wide(parameters)), _seeds(parameters, generator, seeds), 0)
        return dequantise(x, self.levels).to(parameters.dtype)

    def _logits(self, parameters: Parameters) -> Float[Tensor, "n c levels h w"]:
        if parameters.shape[1] % self.levels:
            raise UserError(
                f"The parameters have {parameters.shape[1]} channels, but {self} needs a multiple of {self.levels};"
                " build the decoder with likelihood.channels(image_channels) channels."
            )
        n, p, h, w = parameters.shape
        return parameters.view(n, p // self.levels, self.levels, h, w)


@dataclass(frozen=True)
class Bernoulli:
    """Each pixel is 0 or 1: log p(x) = x·l − log(1 + e^l), parameters [n c h w] are the logits l.

    For a grey image, x in [0, 1], this is the expected log-probability of a binary image drawn with probabilities x.
    It is not a normalised distribution over grey values.

    >>> images = torch.ones(2, 1, 4, 4)
    >>> Bernoulli().log_prob(torch.zeros_like(images), images)  # 16 ln ½
    tensor([-11.0904, -11.0904])
    """

    def channels(self, image_channels: int) -> int:
        """One logit for each image channel."""
        return image_channels

    def log_prob(self, parameters: Parameters, images: Images) -> PerExample:
        """Log-probability of the images, in nats, summed over pixels and channels."""
        _require_channels(parameters, self.channels(images.shape[1]))
        logits = wide(parameters)
        return -F.binary_cross_entropy_with_logits(logits, images.to(logits.dtype), reduction="none").flatten(1).sum(1)

    def mean(self, parameters: Parameters) -> Images:
        """E[x] = sigmoid(l)."""
        return parameters.sigmoid()

    def sample(self, parameters: Parameters, generator: Generator | None = None, seeds: Seeds | None = None) -> Images:
        """0 or 1 drawn for every pixel."""
        p = wide(parameters).sigmoid()
        return (_uniform(p, _seeds(parameters, generator, seeds), 0) < p).to(parameters.dtype)


@dataclass(frozen=True)
class Normal:
    """Each pixel is normal around its parameter, with one standard deviation for all: a density, not a probability.

    Parameters [n c h w] are the means. Draws are not clipped to [0, 1]. Points [n d] have means [n d].

    Args:
        std: Standard deviation > 0, in units of the pixel range [0, 1], or of the points.

    Raises:
        UserError: ``std`` is not positive and finite, or parameters whose channels do not fit.

    >>> Normal(std=0.1).log_prob(torch.zeros(1, 1, 1, 1), torch.zeros(1, 1, 1, 1))  # −log(0.1·√2π)
    tensor([1.3836])
    """

    std: float

    def __post_init__(self) -> None:
        if not 0 < self.std < math.inf:
            raise UserError(f"The standard deviation is {self.std}, but must be positive and finite; try std=0.1.")

    def channels(self, image_channels: int) -> int:
        """One mean for each image channel."""
        return image_channels

    def log_prob(self, parameters: Means, images: Observations) -> PerExample:
        """Log-density in nats, summed over pixels and channels, or coordinates; it can be positive."""
        _require_channels(parameters, self.channels(images.shape[1]))
        squares = (wide(images) - wide(parameters)).square().flatten(1).sum(1)
        pixels = math.prod(images.shape[1:])
        return -squares / (2 * self.std**2) - pixels * (math.log(self.std) + 0.5 * math.log(2 * math.pi))

    def mean(self, parameters: Means) -> Observations:
        """E[x]: the parameters."""
        return parameters

    def sample(self, parameters: Means, generator: Generator | None = None, seeds: Seeds | None = None) -> Observations:
        """Parameters + std·eps."""
        own = _seeds(parameters, generator, seeds)
        return parameters + self.std * noise(own, 0, tuple(parameters.shape[1:]), parameters.dtype)


@dataclass(frozen=True)
class DiscretisedLogisticMixture:
    """Each pixel is one of K levels, whose probabilities are the bins of a mixture of logistic densities.

    Salimans et al. (2017), eq. 2, with independent channels. Level k lies at 2k/(K−1) − 1, and

        P(k) = Σ_i w_i [σ((k⁺ − m_i)/s_i) − σ((k⁻ − m_i)/s_i)],

    with k± half a level to either side, k⁻ = −∞ at the first level and k⁺ = +∞ at the last. Parameters [n c·3·M h w]
    are, for each channel in turn, the M logits of the weights w, the M means m and the M logarithms of the scales s,
    clamped to [−7, 7].

    Args:
        levels: Number of levels K ≥ 2.
        mixtures: Number of components M ≥ 1.

    Raises:
        UserError: ``levels`` < 2, ``mixtures`` < 1, or parameters whose channels do not fit.

    >>> likelihood = DiscretisedLogisticMixture(levels=256, mixtures=5)
    >>> likelihood.channels(image_channels=3), likelihood.sample(torch.zeros(2, 45, 4, 4)).shape
    (45, torch.Size([2, 3, 4, 4]))
    """

    levels: int = 256
    mixtures: int = 10

    def __post_init__(self) -> None:
        _require_levels(self.levels)
        if self.mixtures < 1:
            raise UserError(f"The number of mixture components is {self.mixtures}, but must be at least 1.")

    def channels(self, image_channels: int) -> int:
        """A weight, a mean and a scale of each component, for each image channel."""
        return 3 * self.mixtures * image_channels

    def log_prob(self, parameters: Parameters, images: Images) -> PerExample:
        """Log-probability of the images' levels, in nats, summed over pixels and channels."""
        _require_channels(parameters, self.channels(images.shape[1]))
        logit_w, m, log_s = self._split(parameters)
        k = quantise(images, self.levels).unsqueeze(2)  # [n c 1 h w]
        x = 2 * k.to(m.dtype) / (self.levels - 1) - 1
        half, inverse_s = 1 / (self.levels - 1), (-log_s).exp()
        above, below = (x + half - m) * inverse_s, (x - half - m) * inverse_s
        # σ(a) − σ(b) = σ(a)·σ(−b)·(1 − e^(b−a)): a sum of logarithms without cancellation, however small the bin.
        log_bin = F.logsigmoid(above) + F.logsigmoid(-below) + torch.log(-torch.expm1(-2 * half * inverse_s))
        log_bin = torch.where(k == 0, F.logsigmoid(above), log_bin)
        log_bin = torch.where(k == self.levels - 1, F.logsigmoid(-below), log_bin)
        return (logit_w.log_softmax(2) + log_bin).logsumexp(2).flatten(1).sum(1)

    def mean(self, parameters: Parameters) -> Images:
        """E[x], exact: Σ_{k≥1} P(level ≥ k)/(K−1)."""
        logit_w, m, log_s = self._split(parameters)
        w, inverse_s = logit_w.softmax(2), (-log_s).exp()
        total = torch.zeros_like(m[:, :, 0])
        for k in range(1, self.levels):
            edge = (2 * k - 1) / (self.levels - 1) - 1
            total = total + (w * ((m - edge) * inverse_s).sigmoid()).sum(2)
        return (total / (self.levels - 1)).to(parameters.dtype)

    def sample(self, parameters: Parameters, generator: Generator | None = None, seeds: Seeds | None = None) -> Images:
        """One level drawn for every pixel: a component, a logistic draw of it, the level whose bin it falls in."""
        logit_w, m, log_s = self._split(parameters)
        own = _seeds(parameters, generator, seeds)
        component = _categorical_draw(logit_w, own, 0).unsqueeze(2)
        m, log_s = (values.gather(2, component).squeeze(2) for values in (m, log_s))
        tiny = torch.finfo(m.dtype).eps / 2
        u = _uniform(m, own, 1).clamp(tiny, 1 - tiny)
        x = m + log_s.exp() * u.logit()
        k = ((x + 1) / 2 * (self.levels - 1)).round().clamp(0, self.levels - 1)
        return (k / (self.levels - 1)).to(parameters.dtype)

    def _split(self, parameters: Parameters) -> list[Float[Tensor, "n c mixtures h w"]]:
        """Logits of the weights, means, logarithms of the scales; float32 or wider."""
        per_channel = self.channels(1)
        if parameters.shape[1] % per_channel:
            raise UserError(
                f"The parameters have {parameters.shape[1]} channels, but {self} needs a multiple of {per_channel};"
                " build the decoder with likelihood.channels(image_channels) channels."
            )
        n, p, h, w = parameters.shape
        logit_w, m, log_s = wide(parameters).view(n, p // per_channel, 3, self.mixtures, h, w).unbind(2)
        return [logit_w, m, log_s.clamp(-7.0, 7.0)]


def _require_levels(levels: int) -> None:
    if levels < 2:
        raise UserError(f"The number of pixel levels is {levels}, but must be at least 2.")


def _require_channels(parameters: Tensor, expected: int) -> None:
    if parameters.shape[1] != expected:
        raise UserError(
            f"The decoder gives {parameters.shape[1]} parameter channels, but the likelihood needs {expected} for these"
            " images; build it with likelihood.channels(image_channels) channels."
        )


def _seeds(parameters: Tensor, generator: Generator | None, seeds: Seeds | None) -> Seeds:
    """Those given, or one drawn for each example."""
    return draw(len(parameters), generator, parameters.device) if seeds is None else seeds


def _uniform(like: Float[Tensor, "n *shape"], seeds: Seeds, counter: int) -> Float[Tensor, "n *shape"]:
    return uniform(seeds, counter, tuple(like.shape[1:]), like.dtype)


def _categorical_draw(logits: Float[Tensor, "n c k h w"], seeds: Seeds, counter: int) -> Int[Tensor, "n c h w"]:
    """The first index up to which softmax(logits) sums to more than a uniform number."""
    upper = logits.softmax(2).cumsum(2)
    u = _uniform(upper[:, :, -1], seeds, counter) * upper[:, :, -1]  # the last is 1 up to rounding
    return (u.unsqueeze(2) >= upper).sum(2).clamp_(max=logits.shape[2] - 1)
