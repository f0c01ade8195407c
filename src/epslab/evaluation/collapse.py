"""Mode collapse: how far a model's samples spread beside the data, and which classes it leaves out."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from epslab.errors import UserError
from epslab.evaluation.estimate import Estimate
from epslab.probability.densities import wide
from epslab.runs import Measurement, Table, number, percent

NARROW = 0.5
"""Samples that spread less than this, relative to the data, have collapsed whatever classes they show."""
_CHANCE = 1e-3  # a class is missing if a model of the data's shares would leave any out this rarely


@dataclass(frozen=True, eq=False)
class CollapseReport:
    """What ``evaluate_collapse`` found.

    Args:
        samples: Number of samples.
        spread: Mean distance of two samples over that of two examples: 1 for the data's own law.
        counts: Samples of each class, [k]; None where the data has no classes.
        shares: The classes' shares of the data, [k].
        classes: Their names.
    """

    samples: int
    spread: Estimate
    counts: Int[Tensor, " k"] | None = None
    shares: Float[Tensor, " k"] | None = None
    classes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"<CollapseReport: {self.statement}>"

    def _repr_html_(self) -> str:
        rows = [(one.name, one.text, one.note) for one in self.measurements()]
        return Table("Mode collapse", ("quantity", "value", "note"), rows, self.statement)._repr_html_()

    @property
    def missing(self) -> tuple[str, ...]:
        """Classes without a sample, where chance would hardly leave any out."""
        if self.counts is None or self.shares is None:
            return ()
        chance = (1 - self.shares) ** self.samples * len(self.shares)
        gone = (self.counts == 0) & (chance < _CHANCE) & (self.shares > 0)
        return tuple(name for name, one in zip(self.classes, gone.tolist(), strict=True) if one)

    @property
    def collapsed(self) -> bool:
        """Whether a class is missing, or the samples spread less than half as far as the data."""
        return bool(self.missing) or self.spread.mean < NARROW

    @property
    def imbalance(self) -> float:
        """KL from the classes' shares of the samples to those of the data, nats; NaN where there are no classes."""
        if self.counts is None or self.shares is None:
            return math.nan
        own = self.counts.double() / self.samples
        return float(torch.where(own > 0, own * (own / self.shares).log(), torch.zeros_like(own)).sum())

    @property
    def statement(self) -> str:
        """Whether the model has collapsed, and what tells it, in a sentence or two."""
        far = f"two samples lie {self.spread} times as far apart as two examples of the data"
        if self.spread.mean < NARROW:
            return f"The model has collapsed: {far}."
        if self.counts is None:
            return f"No sign of mode collapse: {far}."
        if self.missing:
            return f"The model has collapsed in part: none of {self.samples:,} samples is a {self._named()}; {far}."
        return f"No sign of mode collapse: samples show all {len(self.classes)} classes{self._rarest()}; {far}."

    def _named(self) -> str:
        """The missing classes: "3, 4 or 8"."""
        *first, last = (f"'{name}'" for name in self.missing)
        return f"{', '.join(first)} or {last}" if first else last

    def _rarest(self) -> str:
        """The class that is rarest beside its share of the data, if that is less than half of it."""
        assert self.counts is not None
        assert self.shares is not None
        own = self.counts.double() / self.samples
        rare = int((own / self.shares).argmin())
        if own[rare] >= self.shares[rare] / 2:
            return ""
        real = percent(float(self.shares[rare]))
        return f", though only {percent(float(own[rare]))} of them '{self.classes[rare]}', of the data {real}"

    def measurements(self) -> list[Measurement]:
        """The numbers as a run keeps them."""
        found = [
            Measurement(
                "spread", "spread of samples, relative to the data's", value=self.spread.mean,
                standard_error=self.spread.standard_error,
                note="mean distance of two samples over that of two examples; 1 for the data's own law",
            )
        ]  # fmt: skip
        if self.counts is None:
            return found
        ideal = (len(self.classes) - 1) / (2 * self.samples)
        return [
            *found,
            Measurement(
                "classes_drawn", "classes drawn", value=int((self.counts > 0).sum()), better="higher",
                note=f"of {len(self.classes)}; a sample has the class of its nearest training example",
            ),
            Measurement(
                "class_imbalance", "KL from the classes' shares of the samples to those of the data", "nats",
                self.imbalance, better="lower", note=f"{number(ideal)} on average for the data's own law",
            ),
        ]  # fmt: skip


def evaluate_collapse(
    samples: Float[Tensor, "n *shape"],
    examples: Float[Tensor, "m *shape"],
    labels: tuple[Int[Tensor, " n"], Int[Tensor, " data"]] | None = None,
    classes: tuple[str, ...] = (),
) -> CollapseReport:
    """Compare the spread of samples with that of examples, and their classes with the data's.

    >>> data = torch.randn(200, 3)
    >>> evaluate_collapse(torch.zeros(100, 3), data).collapsed, evaluate_collapse(torch.randn(100, 3), data).collapsed
    (True, False)

    Args:
        samples: Independent draws from the model, at least 4.
        examples: Independent examples of the data, in random order, at least 4.
        labels: The class of each sample, as somebody classified it, [n], and of each example of the data, any number;
            None: only the spread is measured.
        classes: Their names, by label.

    Raises:
        UserError: Fewer than 4 samples or examples.
    """
    if min(len(samples), len(examples)) < 4:
        raise UserError(
            f"{len(samples)} samples and {len(examples)} examples are too few to compare; give 4 of each or more."
        )
    own, real = (Estimate.of(_distances(x)) for x in (samples, examples))
    relative = math.hypot(own.standard_error / max(own.mean, 1e-12), real.standard_error / max(real.mean, 1e-12))
    ratio = own.mean / max(real.mean, 1e-12)
    spread = Estimate(ratio, ratio * relative, own.n)
    if labels is None:
        return CollapseReport(len(samples), spread)
    counts, data = (torch.bincount(one.cpu(), minlength=len(classes)) for one in labels)
    return CollapseReport(len(samples), spread, counts, data.double() / len(labels[1]), classes)


def _distances(x: Float[Tensor, "n *shape"]) -> Float[Tensor, " pairs"]:
    """Between the first and the second, the third and the fourth, …: independent of one another."""
    flat = wide(x).flatten(1)
    even = len(flat) // 2 * 2
    distances: Tensor = (flat[0:even:2] - flat[1:even:2]).norm(dim=1)
    return distances
