"""What a model's latents carry: active units, KL per dimension, mutual information; whether the posterior collapsed.

The posterior is a diagonal normal, q(z given x) = N(mean, exp(log_std)²). Everything is in nats.
"""

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor

from epslab.data import Examples
from epslab.errors import UserError
from epslab.evaluation.batches import Prepare, batches
from epslab.evaluation.estimate import Estimate
from epslab.generative.elbo import ElboTerms
from epslab.nets.modes import borrowed
from epslab.runs import Measurement, Table, number
from epslab.seeds import noise, of_indices
from epslab.types import Latents, Observations, PerExample, Seeds

ACTIVE = 0.01
"""A unit is active where Var_x(E_q[z_d]) exceeds this (Burda et al., 2016, section 5)."""
NEGLIGIBLE = 0.1
"""Nats a decoder must stand to gain from a code, before it counts as listening to z."""
_SPREAD_IMAGES = 256
_SPREAD_DRAWS = 16
_ROWS = 256


@runtime_checkable
class EncodingModel(Protocol):
    """What is needed of a model: its posterior, its ELBO's terms, and its likelihood at draws from the prior."""

    beta: float

    def encode(self, images: Observations) -> tuple[Latents, Latents]:
        """Mean and log standard deviation of q(z given x), [n D] each."""
        ...

    def terms(
        self, images: Observations, samples: int = 1, generator: Generator | None = None, seeds: Seeds | None = None
    ) -> ElboTerms:
        """The negative ELBO's two terms, [n] each."""
        ...

    def kl_per_dimension(self, images: Observations) -> Float[Tensor, "n d"]:
        """KL(q(z_d given x)‖p(z_d)); raises ``UserError`` where it has no closed form."""
        ...

    def log_likelihoods(
        self, images: Observations, samples: int, *, seeds: Seeds, first: int = 0
    ) -> Float[Tensor, "samples n"]:
        """Log p(x given z_l), z_l from the prior."""
        ...


@dataclass(frozen=True, eq=False)
class LatentReport:
    """What ``evaluate_latents`` measured; arrays are on the CPU.

    Args:
        means: E_q[z], [n D].
        log_stds: Logarithm of q's standard deviations, [n D].
        variance_of_means: Var_x(E_q[z_d]), divided by n, [D].
        active: Which units are active, [D].
        kl_per_dimension: KL(q(z_d given x)‖p(z_d)), nats, mean over images, [D]; None where the prior's KL does not
            split into dimensions.
        kl: KL(q(z given x)‖p(z)), nats, [n]; from one draw of z per image where there is no closed form.
        information: log q(z_i given x_i) − log q̂(z_i), nats, [n]: see ``mutual_information``.
        decoder_spread: Var_z(log p(x given z)) over the prior, nats², mean over the first 256 images, by 16 draws each:
            0 where the decoder ignores z.
        beta: The weight the KL term was trained with.
    """

    means: Latents
    log_stds: Latents
    variance_of_means: Float[Tensor, " d"]
    active: Bool[Tensor, " d"]
    kl_per_dimension: Float[Tensor, " d"] | None
    kl: PerExample
    information: PerExample
    decoder_spread: float
    beta: float

    def __repr__(self) -> str:
        return f"<LatentReport: {self.statement}>"

    def _repr_html_(self) -> str:
        rows = [(one.name, one.text, one.note) for one in self.measurements()]
        return Table("Latent space", ("quantity", "value", "note"), rows, self.statement)._repr_html_()

    @property
    def active_units(self) -> int:
        """The number of active units."""
        return int(self.active.sum())

    @property
    def mutual_information(self) -> Estimate:
        """I(x; z) under q and the empirical distribution of these images, nats: 0 to ln n.

        From one draw of z per image. It is unbiased for the information about which of these n images z came from. As
        an estimate for images in general it is biased low: it cannot exceed ln n.
        """
        return Estimate.of(self.information)

    @property
    def marginal_kl(self) -> Estimate:
        """KL(q(z)‖p(z)) = KL − I, nats: how far all codes together are from the prior (Hoffman & Johnson, 2016).

        Biased high by as much as ``mutual_information`` is biased low.
        """
        return Estimate.of(self.kl.double() - self.information.double())

    @property
    def collapsed(self) -> bool:
        """Whether no unit is active."""
        return self.active_units == 0

    @property
    def statement(self) -> str:
        """Whether the posterior has collapsed, and why, in a sentence or two."""
        units, active = len(self.active), self.active_units
        kl = self.kl.double().mean().item()
        facts = f"{active} of {units} units {'is' if active == 1 else 'are'} active, KL {number(kl)} nats"
        if active == units:
            return f"The posterior has not collapsed: {facts}."
        weighed = (
            f"β={self.beta:g} weighs the KL more than the likelihood does: lower β"
            if self.beta > 1
            else "the likelihood gains nothing from a code that pays its KL: give free bits or warm the KL up"
        )
        if active:
            idle = (
                ""
                if self.kl_per_dimension is None
                else f" with {number(self.kl_per_dimension[~self.active].sum().item())} nats"
            )
            return (
                f"The posterior has collapsed in part: {facts}; the other {units - active}{idle} say nothing of the"
                f" image. Either they are not needed, or {weighed}."
            )
        return f"The posterior has collapsed: {facts}; {self._cause(kl, weighed)}."

    def measurements(self) -> list[Measurement]:
        """The numbers as a run keeps them."""
        information, marginal = self.mutual_information, self.marginal_kl
        most = f"at most ln {information.n} = {number(math.log(information.n))}"
        return [
            Measurement(
                "active_units", "active latent dimensions", value=self.active_units, note=f"of {len(self.active)}"
            ),
            Measurement(
                "mutual_information", "mutual information of image and code", "nats", information.mean,
                standard_error=information.standard_error, note=most,
            ),
            Measurement(
                "marginal_kl", "KL from all codes together to the prior", "nats", marginal.mean,
                standard_error=marginal.standard_error, better="lower",
            ),
            Measurement(
                "decoder_spread", "variance of log p(x|z) over z from the prior", "nats²", self.decoder_spread
            ),
        ]  # fmt: skip

    def _cause(self, kl: float, weighed: str) -> str:
        """Why no unit is active, by who ignores what."""
        # To second order, the ideal posterior of a decoder with this spread is half of it away from the prior.
        worth = self.decoder_spread / 2
        if worth < NEGLIGIBLE:
            return f"the decoder ignores z; {weighed}, or take a decoder that needs z"
        if kl < NEGLIGIBLE:
            return (
                f"the decoder listens to z (log p(x|z) varies by {number(math.sqrt(self.decoder_spread))} nats), but"
                f" the encoder answers with the prior whatever the image; {weighed}, or train the encoder longer"
            )
        return (
            "the encoder gives every image the same code, yet away from the prior: its KL buys nothing; look for a"
            " saturated or disconnected encoder"
        )


@torch.no_grad()
def evaluate_latents(
    model: EncodingModel,
    images: Examples,
    *,
    batch_size: int = 256,
    seed: int = 0,
    prepare: Prepare | None = None,
) -> LatentReport:
    """Measure a model's latents on images, in eval mode; the model comes back as it was.

    Args:
        model: A VAE, or anything with its methods.
        images: At least two; the cost of the mutual information grows with the square of their number (10,000 images
            and 20 latents: some 10 GFLOP).
        batch_size: Images at a time.
        seed: Seed of the draws of z; those of image i are a function of the seed and i.
        prepare: Applied to each batch first.

    Raises:
        UserError: Fewer than two images, batch_size < 1, or a posterior that is a flow.
    """
    if len(images) < 2:
        raise UserError(f"Latents vary from image to image: give at least 2 images, not {len(images)}.")
    if batch_size < 1:
        raise UserError(f"batch_size is {batch_size}, but must be at least 1.")
    if not getattr(getattr(model, "posterior", None), "normal", True):
        raise UserError("Latents are measured of a diagonal normal posterior, but this model's is a flow.")
    means, log_stds, kl, per_dimension, variances, own = [], [], [], [], [], []
    with borrowed(model):
        for x, indices in batches(model, images, batch_size, seed, prepare):
            draws = of_indices(seed, indices, "evaluation", "latents")
            mean, log_std = model.encode(x)
            means.append(mean.cpu())
            log_stds.append(log_std.cpu())
            if (left := _SPREAD_IMAGES - int(indices[0])) > 0:
                variances.append(_decoder_spread(model, x[:left], draws[:left]).cpu())
            kl.append(model.terms(x, seeds=draws).regularisation.cpu())
            per_dimension.append(_kl_per_dimension(model, x))
            own.append(draws.cpu())
    mean, log_std = torch.cat(means), torch.cat(log_stds)
    split = [part for part in per_dimension if part is not None]
    variance_of_means = mean.double().var(0, correction=0)
    return LatentReport(
        means=mean,
        log_stds=log_std,
        variance_of_means=variance_of_means,
        active=variance_of_means > ACTIVE,
        kl_per_dimension=torch.cat(split).double().mean(0) if split else None,
        kl=torch.cat(kl),
        information=pointwise_information(mean, log_std, torch.cat(own)),
        decoder_spread=torch.cat(variances).mean().item(),
        beta=model.beta,
    )


def pointwise_information(means: Latents, log_stds: Latents, seeds: Seeds) -> PerExample:
    """The values log q(z_i given x_i) − log (1/N) Σ_j q(z_i given x_j) at one draw z_i per image, nats, [N].

    The aggregated posterior is that of the N images, image i among them (leave-in), so each value is at most ln N. The
    mean is unbiased for the mutual information between an image's index and z. In expectation it is a lower bound of
    I(x; z) for images in general: the multi-sample bound of Poole et al. (2019), eq. 12, at its best critic. Memory is
    256·N numbers.

    Args:
        means: Means of q, [N D].
        log_stds: Logarithms of its standard deviations, [N D].
        seeds: One seed per image, for its draw of z.
    """
    mu, log_sigma = means.double(), log_stds.double()
    z = mu + log_sigma.exp() * noise(seeds, 0, (mu.shape[1],), torch.float64)
    precision = (-2.0 * log_sigma).exp()
    constant = -0.5 * (mu**2 * precision).sum(1) - log_sigma.sum(1)  # of image j, without the π that cancels
    values = []
    for first in range(0, len(z), _ROWS):
        rows = torch.arange(first, min(first + _ROWS, len(z)))
        # The square multiplied out makes two matrix products of what would be an [N N D] array.
        log_q = constant + z[rows] @ (mu * precision).T - 0.5 * z[rows] ** 2 @ precision.T  # [rows N]
        values.append(log_q[torch.arange(len(rows)), rows] - log_q.logsumexp(1) + math.log(len(z)))
    return torch.cat(values).to(means.dtype)


def _decoder_spread(model: EncodingModel, images: Observations, seeds: Seeds) -> Float[Tensor, " n"]:
    """The variance of log p(x given z) over the prior, unbiased; two draws at a time go through the decoder."""
    pairs = [model.log_likelihoods(images, 2, seeds=seeds, first=k) for k in range(0, _SPREAD_DRAWS, 2)]
    return torch.cat(pairs).double().var(0)


def _kl_per_dimension(model: EncodingModel, images: Observations) -> Float[Tensor, "n d"] | None:
    """The KL of each dimension, or None where the prior has no closed form for it."""
    try:
        return model.kl_per_dimension(images).cpu()
    except UserError:
        return None
