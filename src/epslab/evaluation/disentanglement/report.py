"""All measures of a model's code at once."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from epslab.classifiers import Proportion
from epslab.data import FactorSet, ImageSet
from epslab.errors import UserError
from epslab.evaluation.batches import batches
from epslab.evaluation.disentanglement.dci import DCI, dci
from epslab.evaluation.disentanglement.factor_vae import factor_vae_score
from epslab.evaluation.disentanglement.information import entropies, factor_information, gaps
from epslab.evaluation.estimate import Estimate
from epslab.nets.modes import borrowed
from epslab.runs import Measurement, Table, number, whole_percent
from epslab.seeds import noise, of_indices
from epslab.types import Images, Latents


@runtime_checkable
class Encoder(Protocol):
    """What is needed of a model: its posterior."""

    def encode(self, images: Images) -> tuple[Latents, Latents]:
        """Mean and log standard deviation of q(z given x), [n D] each."""
        ...


@dataclass(frozen=True, eq=False)
class DisentanglementReport:
    """What ``evaluate_disentanglement`` measured.

    Args:
        factor_names: The factors, F of them.
        information: I(z_j; v_k) as a share of H(v_k), 0 to 1, [D F].
        gap: The mutual information gap of each image, the mean over factors, [N]; their mean is the MIG.
        dci: Disentanglement, completeness, informativeness.
        factor_vae: The FactorVAE score.
    """

    factor_names: tuple[str, ...]
    information: Float[Tensor, "d f"]
    gap: Float[Tensor, " n"]
    dci: DCI
    factor_vae: Proportion

    @property
    def mig(self) -> Estimate:
        """The mutual information gap; its standard error is that of the draws and images, not of the training."""
        return Estimate.of(self.gap)

    @property
    def table(self) -> Table:
        """Which dimension knows most of each factor."""
        best = self.information.topk(min(2, len(self.information)), dim=0)
        rows = [
            (
                name,
                f"z{int(best.indices[0, k]) + 1}",
                whole_percent(float(best.values[0, k])),
                whole_percent(float(best.values[-1, k])) if len(best.values) > 1 else "",
                whole_percent(float(self.dci.accuracy[k])),
            )
            for k, name in enumerate(self.factor_names)
        ]
        return Table(
            "Which latent dimension knows which factor",
            ("factor", "dimension that knows most", "share of the factor's entropy", "next dimension", "predicted"),
            rows,
            "Shares: mutual information of one dimension and the factor by the factor's entropy. Predicted: accuracy of"
            " a random forest on samples of the code.",
        )

    def measurements(self) -> list[Measurement]:
        """The numbers as a run keeps them."""
        low, high = self.factor_vae.interval()
        chance = f"{number(1 / len(self.factor_names))} by chance"
        return [
            Measurement(
                "mig", "mutual information gap", "", self.mig.mean, standard_error=self.mig.standard_error,
                better="higher", note="0 to 1",
            ),
            Measurement("dci_disentanglement", "DCI disentanglement", "", self.dci.disentanglement, better="higher"),
            Measurement("dci_completeness", "DCI completeness", "", self.dci.completeness, better="higher"),
            Measurement(
                "dci_informativeness", "DCI informativeness", "", self.dci.informativeness, better="higher",
                note="mean accuracy of predicted factors",
            ),
            Measurement(
                "factor_vae", "FactorVAE score", "", float(self.factor_vae), interval=(low, high), better="higher",
                note=chance,
            ),
        ]  # fmt: skip


@torch.no_grad()
def evaluate_disentanglement(
    model: Encoder, images: ImageSet, *, batch_size: int = 256, seed: int = 0
) -> DisentanglementReport:
    """Measure a model's code on images whose factors are known, in eval mode; the model comes back as it was.

    Every measure takes one sample of q(z given x) per image, a function of the seed and the image's index: a mean that
    moves by less than the posterior's noise counts for nothing.

    >>> from epslab.data import load
    >>> class Corner:  # the brightness of the image's left and upper half, with little noise
    ...     def encode(self, x):
    ...         mean = torch.stack([x[..., :8].mean((1, 2, 3)), x[..., :8, :].mean((1, 2, 3))], 1)
    ...         return mean, torch.full_like(mean, -6.0)
    >>> report = evaluate_disentanglement(Corner(), load("shapes", "test"))
    >>> report.information.argmax(0)[2:4]  # x is told by the first, y by the second
    tensor([0, 1])

    Args:
        model: Anything with ``encode``.
        images: A ``FactorSet`` of at least 4; the cost of the information grows with the square of their number.
        batch_size: Images at a time.
        seed: Of the draws of z, the forests and the votes.

    Raises:
        UserError: The set knows no factors, has fewer than 4 images, or batch_size < 1.
    """
    if not isinstance(images, FactorSet):
        raise UserError("Disentanglement is measured on images whose factors are known: give the data set 'shapes'.")
    if len(images) < 4:
        raise UserError(f"Disentanglement needs at least 4 images, not {len(images)}.")
    if batch_size < 1:
        raise UserError(f"batch_size is {batch_size}, but must be at least 1.")
    with borrowed(model):
        codes = [(*model.encode(x), indices) for x, indices in batches(model, images, batch_size, seed)]
    mean, log_std, indices = (torch.cat([code[i].cpu() for code in codes]) for i in range(3))
    own = of_indices(seed, indices, "evaluation", "disentanglement")
    factors = images.factors.cpu()
    information = factor_information(mean, log_std, factors, own)
    z = mean.double() + log_std.double().exp() * noise(own, 0, (mean.shape[1],), torch.float64)
    return DisentanglementReport(
        factor_names=images.factor_names,
        information=information.mean(0) / entropies(factors),
        gap=gaps(information, factors).mean(1),
        dci=dci(z, factors, seed),
        factor_vae=factor_vae_score(z, factors, seed),
    )
