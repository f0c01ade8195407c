"""Whether a code holds each known factor of variation in a dimension of its own, from **samples** of q(z given x).

Three measures that can disagree: the mutual information gap (MIG), disentanglement, completeness and informativeness
(DCI), and the FactorVAE score. None can be maximised without labels in general (Locatello et al., 2019): a rotation of
a normal prior leaves the model's law as it is, and the code entangled.
"""

from epslab.evaluation.disentanglement.dci import DCI, dci
from epslab.evaluation.disentanglement.factor_vae import factor_vae_score
from epslab.evaluation.disentanglement.information import factor_information, gaps
from epslab.evaluation.disentanglement.report import DisentanglementReport, evaluate_disentanglement

__all__ = [
    "DCI",
    "DisentanglementReport",
    "dci",
    "evaluate_disentanglement",
    "factor_information",
    "factor_vae_score",
    "gaps",
]
