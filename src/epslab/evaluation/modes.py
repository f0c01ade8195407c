"""Which modes of a known mixture a model's samples reach, and how many of the samples lie in one."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from epslab.classifiers.proportion import Proportion
from epslab.data import Modes
from epslab.data.modes import chi_squared
from epslab.errors import UserError
from epslab.probability.divergences import entropy
from epslab.runs import Measurement, Table, number, percent

DEVIATIONS = 3.0
"""A sample is good within this many standard deviations of the nearest centre (Srivastava et al., 2017)."""


@dataclass(frozen=True, eq=False)
class ModesReport:
    """What ``evaluate_modes`` counted.

    Args:
        modes: The modes of the data.
        deviations: How far from its centre a good sample may lie, in standard deviations.
        samples: Number of samples, those that are not finite among them.
        counts: Good samples of each mode, [k].
        spread: Root mean square distance of the good samples from their centres, relative to the data's: 1 where modes
            are as wide as the data's, 0 where each is a point, NaN without a good sample.
    """

    modes: Modes
    deviations: float
    samples: int
    counts: Int[Tensor, " k"]
    spread: float

    def __repr__(self) -> str:
        return f"<ModesReport: {self.statement}>"

    def _repr_html_(self) -> str:
        rows = [(one.name, one.text, one.note) for one in self.measurements()]
        return Table("Modes", ("quantity", "value", "note"), rows, self.statement)._repr_html_()

    @property
    def found(self) -> int:
        """Modes with at least one good sample."""
        return int((self.counts > 0).sum())

    @property
    def good(self) -> Proportion:
        """The share of good samples; a perfect sampler's is ``modes.within(deviations)``, not 1."""
        return Proportion(int(self.counts.sum()), self.samples)

    @property
    def imbalance(self) -> float:
        """KL from the modes' shares of the good samples to equal shares, in nats: 0 to ln k; NaN without a good sample.

        Modes that are found but rare raise it. A perfect sampler's is (k − 1)/(2n) on average, to first order.
        """
        total = int(self.counts.sum())
        if total == 0:
            return math.nan
        return max(0.0, math.log(len(self.modes)) - float(entropy(self.counts.double() / total)))

    @property
    def statement(self) -> str:
        """The two numbers of a study of mode collapse, in a sentence."""
        return (
            f"{self.found} of {len(self.modes)} modes have a sample within {self.deviations:g} standard deviations;"
            f" {self.good} of {self.samples:,} samples lie in one."
        )

    def measurements(self) -> list[Measurement]:
        """The numbers as a run keeps them."""
        good, perfect = self.good, percent(self.modes.within(self.deviations))
        ideal = (len(self.modes) - 1) / (2 * self.samples)
        return [
            Measurement(
                "modes_found", "modes found", value=self.found, better="higher", headline=True,
                note=f"of {len(self.modes)}: those with a good sample",
            ),
            Measurement(
                "good_samples", "good samples", "fraction", float(good), interval=good.interval(), better="higher",
                note=f"within {self.deviations:g} standard deviations of a centre; {perfect} of the data's own",
            ),
            Measurement(
                "mode_imbalance", "KL from the modes' shares to equal shares", "nats", self.imbalance, better="lower",
                note=f"{number(ideal)} on average for as many samples of the data's own",
            ),
            Measurement(
                "mode_spread", "width of a mode, relative to the data's", value=self.spread,
                note="of the good samples; 1 is as wide as the data's, 0 a point",
            ),
        ]  # fmt: skip


def evaluate_modes(samples: Float[Tensor, "n d"], modes: Modes, deviations: float = DEVIATIONS) -> ModesReport:
    """Count the samples in each mode. A sample that is NaN or infinite lies in none, and counts as a sample.

    >>> from epslab.data import load_examples
    >>> test = load_examples("ring", "test")
    >>> report = evaluate_modes(test.points, test.modes)
    >>> report.found, str(report.good)
    (8, '99.0 % [98.5, 99.4]')

    Args:
        samples: Points drawn from a model, [n d], n ≥ 1.
        modes: Those of the data, ``PointSet.modes``.
        deviations: How far from the nearest centre a good sample may lie, in the modes' standard deviations.

    Raises:
        UserError: There are no samples, or they have another number of coordinates than the centres.
    """
    d = modes.centres.shape[1]
    if samples.ndim != 2 or samples.shape[1] != d or not len(samples):
        raise UserError(f"The samples are {list(samples.shape)}, but must be [n {d}], n ≥ 1: points like the centres.")
    if not deviations > 0:
        raise UserError(
            f"deviations={deviations}: a good sample lies within some standard deviations; give more than 0."
        )
    with torch.no_grad():
        distance, nearest = modes.nearest(samples.double())
        good = distance <= deviations * modes.std
        counts = torch.bincount(nearest[good], minlength=len(modes)).cpu()
        # Mean χ²_d of what lies within: d·P(χ²_{d+2} ≤ r²)/P(χ²_d ≤ r²).
        ideal = d * modes.std**2 * chi_squared(d + 2, deviations) / chi_squared(d, deviations)
        spread = math.sqrt(float(distance[good].square().mean()) / ideal) if bool(good.any()) else math.nan
    return ModesReport(modes, deviations, len(samples), counts, spread)
