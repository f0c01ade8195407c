"""What ``evaluate_samples`` found: numbers, a table beside the yardsticks, words."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import comb, isnan, nan
from pathlib import Path

from epslab.evaluation.estimate import Estimate
from epslab.evaluation.samples.memorisation import Memorisation
from epslab.evaluation.samples.yardsticks import GAUSSIAN
from epslab.evaluation.short_page import short_page, written
from epslab.runs import Cell, Measurement, Table, number, percent, with_error
from epslab.runs.columns import Better
from epslab.types import PerExample

SAMPLES = "samples"
"""The entry of what was evaluated; the others are yardsticks."""
MEASURES: Mapping[str, tuple[str, Better]] = {
    "frechet_distance": ("Fréchet distance", "lower"),
    "kernel_distance": ("kernel distance", "lower"),
    "precision": ("precision", "higher"),
    "recall": ("recall", "higher"),
    "density": ("density", "higher"),
    "coverage": ("coverage", "higher"),
}
"""By key: the name, and which direction is good."""
_SHARES = ("precision", "recall", "coverage")


@dataclass(frozen=True)
class SampleEntry:
    """How one set of samples lies beside held-out examples.

    Args:
        frechet_distance: Of the features' means and covariances; 0 for equal ones.
        kernel_distance: Squared maximum mean discrepancy, unbiased: around 0 for samples of the data's law.
        precision: Share of samples that lie where held-out examples do.
        recall: Share of held-out examples that lie where samples do.
        density: Held-out neighbourhoods a sample lies in, of those it is expected to: around 1 for the data's law.
        coverage: Share of held-out examples with a sample in their neighbourhood.
    """

    frechet_distance: float
    kernel_distance: Estimate
    precision: Estimate
    recall: Estimate
    density: Estimate
    coverage: Estimate

    def __getitem__(self, key: str) -> Estimate:
        """A measure by its key; the Fréchet distance without a standard error."""
        found = getattr(self, key)
        return found if isinstance(found, Estimate) else Estimate(found, nan, 0)


@dataclass(frozen=True, eq=False)
class SampleReport:
    """What ``evaluate_samples`` found; ``print(report)`` tells it.

    Args:
        entries: ``"samples"``, then the yardsticks if there were training examples.
        features: The name of what was compared.
        dimensions: Features of one example.
        samples: Number of samples, the same in every entry.
        reference: Number of held-out examples.
        neighbours: k: a neighbourhood reaches to the k-th nearest neighbour.
        per_reference: For each held-out example, whether a sample's neighbourhood holds it ("recall") and whether its
            own holds a sample ("coverage"), [reference] each.
        noun: "images" or "points".
        memorisation: Nearest training examples; None without training examples.
    """

    entries: Mapping[str, SampleEntry]
    features: str
    dimensions: int
    samples: int
    reference: int
    neighbours: int
    per_reference: Mapping[str, PerExample]
    noun: str = "images"
    memorisation: Memorisation | None = None

    @property
    def title(self) -> str:
        """What was compared with what."""
        return f"{self.samples:,} samples beside {self.reference:,} held-out {self.noun}"

    @property
    def headline(self) -> str:
        """The kernel distance, and whose features it is of."""
        return f"Kernel distance {self.entries[SAMPLES].kernel_distance} between features of {self.features}."

    def __getitem__(self, key: str) -> Estimate:
        """A measure of the samples by its key, e.g. ``report["coverage"]``."""
        return self.entries[SAMPLES][key]

    def __repr__(self) -> str:
        return f"<SampleReport: {self.title}. {self.headline}>"

    def __str__(self) -> str:
        table = self.table()
        rows = [table.columns, *([number(cell) for cell in row] for row in table.rows)]
        wide = [max(len(str(row[i])) for row in rows) for i in range(len(table.columns))]
        lines = ("  ".join(f"{cell!s:<{w}}" for cell, w in zip(row, wide, strict=True)).rstrip() for row in rows)
        return "\n".join([self.title, *(f"  {line}" for line in lines), *self.statements, *self.warnings])

    def _repr_html_(self) -> str:
        return self.table()._repr_html_()

    def to_html(self, out: Path | str | None = None) -> str:
        """A self-contained page with the tables.

        Args:
            out: A file to write it to as well.

        Raises:
            UserError: ``out`` cannot be written.
        """
        return written(short_page(self.title, self.headline, self.tables(), self.warnings), out)

    @property
    def expected_coverage(self) -> float:
        """What coverage would be on average for samples of the data's own law: 1 − C(N−1, k)/C(N−1+M, k)."""
        n, m, k = self.reference, self.samples, self.neighbours
        return 1 - comb(n - 1, k) / comb(n - 1 + m, k)

    def measurements(self) -> list[Measurement]:
        """The samples' numbers as a run keeps them; the kernel distance is the headline."""
        of = f"features of {self.features}, {self.samples:,} samples"
        found = []
        for key, (name, better) in MEASURES.items():
            value = self[key]
            error = None if isnan(value.standard_error) else value.standard_error
            found.append(
                Measurement(
                    key, name, "fraction" if key in _SHARES else "", value.mean, standard_error=error, better=better,
                    headline=key == "kernel_distance", note=of,
                )
            )  # fmt: skip
        if self.memorisation is not None:
            share, distance = self.memorisation.share, Estimate.of(self.memorisation.samples.distance[:, 0])
            found += [
                Measurement("nearest_training", f"distance to the nearest training {self.noun[:-1]}", "",
                            distance.mean, standard_error=distance.standard_error),
                Measurement("copies", f"copies of training {self.noun}", "fraction", float(share), share.interval(),
                            better="lower"),
            ]  # fmt: skip
        return found

    def tables(self) -> list[Table]:
        """The measures beside the yardsticks', and the nearest training examples where they are known."""
        return [self.table(), *([] if self.memorisation is None else [self._nearest(self.memorisation)])]

    def table(self) -> Table:
        """The measures of the samples and of every yardstick, one row each."""
        rows: list[tuple[Cell, ...]] = []
        for name, entry in self.entries.items():
            shown = "the model" if name == SAMPLES and len(self.entries) > 1 else name
            rows.append((shown, *(cell(key, entry[key]) for key in MEASURES)))
        return Table(self.title, ("samples of", *(name for name, _ in MEASURES.values())), rows, self.note)

    @property
    def note(self) -> str:
        """What the numbers of the table mean."""
        real = "The real data are training examples: as good as any sampler can be. " if len(self.entries) > 1 else ""
        return (
            f"All compare features of {self.features}, {self.dimensions} for each of the {self.noun}. Fréchet distance:"
            " of means and covariances; it depends on the number of samples. Kernel distance: unbiased, 0 for the"
            " data's own law. The others look at neighbourhoods that reach to the"
            f" {_ordinal(self.neighbours)} nearest neighbour. Precision: samples that lie where held-out"
            f" {self.noun} do; recall: the reverse; density: around 1 for the data's own law; coverage: held-out"
            f" {self.noun} with a sample in their neighbourhood, {percent(self.expected_coverage)} for the data's own"
            f" law. {real}± is the standard error with the neighbourhoods as they are."
        )

    @property
    def statements(self) -> list[str]:
        """Whether the samples are better than the Gaussian per class, and whether they are copies, in sentences."""
        told = []
        if GAUSSIAN in self.entries:
            told.append(beaten(self.entries[SAMPLES], self.entries[GAUSSIAN]))
        if self.memorisation is not None and not self.memorisation.found:
            share, other = self.memorisation.share, self.memorisation.held_out_share
            told.append(
                f"No sign of memorised training {self.noun}: {percent(float(share))} of samples lie three times nearer"
                f" to one of them than to any other; of held-out {self.noun}, {percent(float(other))} do."
            )
        return told

    @property
    def warnings(self) -> list[str]:
        """Whether the samples are copies of training examples, a sentence."""
        if self.memorisation is None or not self.memorisation.found:
            return []
        share, other = self.memorisation.share, self.memorisation.held_out_share
        return [
            f"The model repeats training {self.noun}: {percent(float(share))} of samples lie three times nearer to one"
            f" of them than to any other; of held-out {self.noun}, only {percent(float(other))} do."
        ]

    def _nearest(self, found: Memorisation) -> Table:
        rows = [
            (name, str(Estimate.of(near.distance[:, 0])), str(share))
            for name, near, share in (
                ("samples", found.samples, found.share),
                (f"held-out {self.noun}", found.held_out, found.held_out_share),
            )
        ]
        what = "pixel values" if self.noun == "images" else "coordinates"
        return Table(
            f"Nearest training {self.noun[:-1]}",
            ("of", "Euclidean distance", "three times nearer than the second nearest"),
            rows,
            f"Distances between {what}, means. A copy lies far nearer to one training {self.noun[:-1]} than to any"
            " other. That samples lie near says little alone: smooth images lie near everything.",
        )


def beaten(samples: SampleEntry, yardstick: SampleEntry) -> str:
    """By which measures the samples are better than this yardstick, a sentence."""
    better = [
        name
        for key, (name, direction) in MEASURES.items()
        if key != "density" and (samples[key].mean < yardstick[key].mean) == (direction == "lower")
        and samples[key].mean != yardstick[key].mean
    ]  # fmt: skip
    of = len(MEASURES) - 1
    if len(better) == of:
        return "The samples are better than those of a Gaussian per class by every measure."
    if not better:
        return "The samples are no better than those of a Gaussian per class by any measure."
    by = f"{len(better)} of {of} measures: {', '.join(better)}"
    return f"The samples are better than those of a Gaussian per class by {by}."


def cell(key: str, value: Estimate) -> str:
    """A measure with its error: "93.1 ± 1.3 %", "0.0036 ± 0.0012"."""
    if key in _SHARES:
        return f"{with_error(100 * value.mean, 100 * value.standard_error)} %"
    return number(value.mean) if isnan(value.standard_error) else str(value)


def _ordinal(n: int) -> str:
    ending = "th" if 10 <= n % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{n}{ending}"
