"""What diffusion does to normal data, exactly: predictors, denoisers and paths for N(mean, covariance)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from epslab.probability.schedules import Schedule


def identity(d: int) -> Tensor:
    return torch.eye(d, dtype=torch.float64)


@dataclass(frozen=True)
class Normal:
    """Data x_0 ~ N(mean, covariance) and what is known of them with noise on."""

    mean: Tensor
    covariance: Tensor

    def denoise(self, x: Tensor, sigma: Tensor) -> Tensor:
        """E[x_0 given x = x_0 + sigma·eps], [n d]."""
        C = self.covariance
        widened = C + sigma.to(C).square()[:, None, None] * identity(len(C))
        return self.mean + ((x.to(C) - self.mean)[:, None] @ torch.linalg.solve(widened, C.expand_as(widened)))[:, 0]

    def predict(self, schedule: Schedule, kind: str):  # type: ignore[no-untyped-def]
        """(x_t, t) to E[eps], E[v] or E[x_0] given x_t."""

        def prediction(x_t: Tensor, t: Tensor) -> Tensor:
            assert t.dtype == torch.int64
            assert t.shape == (len(x_t),)
            alpha_bar = schedule.alpha_bar[t][:, None]
            signal, noise = alpha_bar.sqrt(), (1 - alpha_bar).sqrt()
            x_0 = self.denoise(x_t / signal, schedule.sigma[t])
            eps = (x_t - signal * x_0) / noise
            return {"noise": eps, "v": signal * eps - noise * x_0, "image": x_0}[kind]

        return prediction

    def flow(self, x: Tensor, sigma: float, following: float) -> Tensor:
        """Where the probability-flow ODE takes x from one noise level to another; 1-D standard deviations by axis."""
        values, vectors = torch.linalg.eigh(self.covariance)
        ratio = ((values + following**2) / (values + sigma**2)).sqrt()
        return self.mean + ((x - self.mean) @ vectors * ratio) @ vectors.T


def correlated() -> Normal:
    covariance = torch.tensor([[1.0, 0.6, 0.0], [0.6, 0.5, 0.1], [0.0, 0.1, 0.3]], dtype=torch.float64)
    return Normal(torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64), covariance)


def on_the_line(std: float, mean: float = 0.0) -> Normal:
    return Normal(torch.tensor([mean], dtype=torch.float64), torch.tensor([[std**2]], dtype=torch.float64))


def moments(sampler, draws: int, d: int) -> tuple[Tensor, Tensor]:  # type: ignore[no-untyped-def]
    """The exact mean and covariance of what a sampler gives, if it is affine in its noise.

    It is run once with all noise 0, and once for each coordinate of each draw set to 1.

    Args:
        sampler: (noise, as a list of ``draws`` tensors [n d]) to samples [n d].
        draws: Tensors of noise that it takes.
        d: Dimensions.
    """
    eye = torch.eye(draws * d, dtype=torch.float64)
    unit = torch.cat([torch.zeros(1, draws * d, dtype=torch.float64), eye])
    samples = sampler(list(unit.view(-1, draws, d).unbind(1)))
    columns = samples[1:] - samples[0]
    return samples[0], columns.T @ columns
