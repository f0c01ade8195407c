"""The training objective of a VAE: the negative ELBO with a weighted KL term, warm-up and free bits."""

from collections.abc import Callable
from dataclasses import dataclass

from epslab.errors import UserError
from epslab.generative.vae import VAE
from epslab.probability.bounds import bits_per_dim
from epslab.runs import Column
from epslab.types import Batch, Latents, Observations, PerExample, Progress, Seeds


@dataclass(frozen=True)
class VAEObjective:
    """−ELBO with the KL term as trained, and the plain bound (beta = 1, no floor), per image in nats.

    Each entry is a curve: ``loss`` (what is minimised), ``reconstruction`` (−E_q log p(x given z); falls), ``kl``
    (grows while the code is learnt; near 0 the posterior has collapsed), ``bits_per_dim`` (the ELBO in bits per pixel).

    >>> from epslab.nets import PerceptronDecoder, PerceptronEncoder
    >>> from epslab.probability.likelihoods import Bernoulli
    >>> vae = VAE(PerceptronEncoder((1, 8, 8), 2), PerceptronDecoder((1, 8, 8), 2), Bernoulli())
    >>> sorted(VAEObjective(vae, warmup_epochs=5.0).columns)
    ['bits_per_dim', 'kl', 'loss', 'reconstruction']

    Args:
        vae: The model; its ``beta`` weighs the KL term.
        samples: Draws of z per image.
        free_bits: λ in nats per dimension: the KL term is Σ_d max(λ, batch mean of KL_d), so dimensions below λ get no
            gradient (Kingma et al., 2016, eq. 15). A batch quantity, not a metric.
        warmup_epochs: β_t rises linearly from 0 to beta over this number of epochs.
        prepare: Applied to the images first, with the examples' seeds, e.g. dynamic binarisation.

    Raises:
        UserError: A negative floor or warm-up, or fewer than one sample.
    """

    vae: VAE
    samples: int = 1
    free_bits: float = 0.0
    warmup_epochs: float = 0.0
    prepare: Callable[[Observations, Seeds], Observations] | None = None

    def __post_init__(self) -> None:
        for name in ("free_bits", "warmup_epochs"):
            if not getattr(self, name) >= 0:
                raise UserError(f"{name} must be 0 or more, not {getattr(self, name)}.")
        if self.samples < 1:
            raise UserError(f"samples counts draws of z per image and must be 1 or more, not {self.samples}.")

    @property
    def columns(self) -> dict[str, Column]:
        """What the entries are; the loss where it is not the bound itself."""
        weighted = self.vae.beta != 1 or self.free_bits > 0 or self.warmup_epochs > 0
        return {
            **({"loss": Column("Training objective", "nats", better="lower")} if weighted else {}),
            "bits_per_dim": Column("Negative ELBO", "bits/dim", better="lower"),
            "reconstruction": Column("Reconstruction −E log p(x|z)", "nats", better="lower"),
            "kl": Column("KL from posterior to prior", "nats"),
        }

    def __call__(self, batch: Batch, progress: Progress) -> dict[str, PerExample]:
        """Loss, reconstruction, KL and bits/dim of each image."""
        images = batch.examples if self.prepare is None else self.prepare(batch.examples, batch.seeds)
        mean, log_std = self.vae.encode(images)
        reconstruction, kl = self.vae.terms_at(mean, log_std, images, self.samples, batch.seeds)
        trained_kl = kl if self.free_bits == 0 else self._floored_kl(mean, log_std)
        loss = reconstruction + self.beta(progress) * trained_kl
        bits = bits_per_dim(reconstruction.detach() + kl.detach(), tuple(images.shape[1:]))
        return {"loss": loss, "reconstruction": reconstruction.detach(), "kl": kl.detach(), "bits_per_dim": bits}

    def beta(self, progress: Progress) -> float:
        """β_t: the warm-up's ramp in training, the full weight in validation, where epochs are compared."""
        ramp = self.warmup_epochs * progress.steps_per_epoch
        if not progress.training or progress.step >= ramp:
            return self.vae.beta
        return self.vae.beta * progress.step / ramp

    def _floored_kl(self, mean: Latents, log_std: Latents) -> PerExample:
        """The KL term with its free bits: the same number for every example of the batch."""
        per_dimension = self.vae.kl_per_dimension_at(mean, log_std).mean(0)
        return per_dimension.clamp(min=self.free_bits).sum().expand(len(mean))
