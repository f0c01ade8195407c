"""Disentanglement, completeness and informativeness (Eastwood & Williams, 2018), by random forests."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from epslab import seeds
from epslab.types import Latents

_TREES = 10


@dataclass(frozen=True, eq=False)
class DCI:
    """What forests that predict each factor from the code say about it.

    Args:
        importance: R, how much of a forest's decisions rest on a dimension, [D F]; columns sum to 1, or to 0 where
            nothing was learnt.
        accuracy: Share of held-out images whose factor is predicted right, [F].
    """

    importance: Float[Tensor, "d f"]
    accuracy: Float[Tensor, " f"]

    @property
    def disentanglement(self) -> float:
        """Whether each dimension serves one factor, 0 to 1.

            D = Σ_j ρ_j (1 − H_F(P_j)),   P_jk = R_jk / Σ_k' R_jk',   ρ_j = Σ_k R_jk / Σ_jk R_jk

        with the entropy H_F to base F.
        """
        return _one_sided(self.importance)

    @property
    def completeness(self) -> float:
        """Whether each factor is in one dimension, 0 to 1: the same of Rᵀ, its factors weighed by their share of R."""
        return _one_sided(self.importance.T)

    @property
    def informativeness(self) -> float:
        """Mean accuracy over the factors, 0 to 1."""
        return float(self.accuracy.mean())


def _one_sided(importance: Float[Tensor, "a b"]) -> float:
    """The weighted mean over rows of 1 − their normalised entropy; 0 where nothing is important."""
    if importance.sum() == 0:
        return 0.0
    if importance.shape[1] == 1:
        return 1.0
    share = importance / importance.sum(1, keepdim=True).clamp_min(torch.finfo(importance.dtype).tiny)
    entropy = -torch.special.xlogy(share, share).sum(1) / math.log(importance.shape[1])
    return float(((1 - entropy) * importance.sum(1)).sum() / importance.sum())


def dci(z: Latents, factors: Int[Tensor, "n f"], seed: int = 0) -> DCI:
    """Fit a forest per factor on one half of the codes and try it on the other.

    Args:
        z: One sample of q(z given x) per image, [N D].
        factors: The value of each factor, [N F].
        seed: Of the halves and of the forests.
    """
    # Here, since importing scikit-learn takes a second.
    from sklearn.ensemble import RandomForestClassifier

    half = len(z) // 2
    order = torch.randperm(len(z), generator=seeds.generator(seed, "dci"))
    x, y = z[order].double().cpu().numpy(), factors[order].cpu().numpy()
    importance, accuracy = [], []
    for k in range(y.shape[1]):
        # Every split may use every dimension: otherwise some have to use one that says nothing.
        forest = RandomForestClassifier(_TREES, max_features=None, min_samples_leaf=2, random_state=seed)
        forest.fit(x[:half], y[:half, k])
        importance.append(torch.from_numpy(forest.feature_importances_))
        accuracy.append(float((forest.predict(x[half:]) == y[half:, k]).mean()))
    return DCI(torch.stack(importance, 1), torch.tensor(accuracy, dtype=torch.float64))
