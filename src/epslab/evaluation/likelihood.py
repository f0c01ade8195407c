"""How likely a model finds images: log p(x), exact or bounded, by any number of estimators side by side.

Values are per image, in nats, summed over dimensions. Means over images come with their standard errors; bits/dim are
computed in the report only.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from epslab.data import Examples
from epslab.errors import UserError
from epslab.evaluation.batches import Prepare, batches
from epslab.evaluation.estimate import Estimate
from epslab.evaluation.estimators import Estimator, Kind
from epslab.evaluation.progress import progress_bar
from epslab.evaluation.short_page import short_page, written
from epslab.nets.modes import borrowed
from epslab.probability.bounds import bits_per_dim
from epslab.runs import Measurement, Table
from epslab.seeds import of_indices
from epslab.types import PerExample

_PART_NAMES = {
    "reconstruction": "reconstruction, −E log p(x given z)",
    "kl": "KL from posterior to prior",
}


@dataclass(frozen=True, eq=False)
class LikelihoodEntry:
    """What one estimator found.

    Args:
        label: What was measured, in words.
        kind: "exact", "lower bound" or "estimate".
        log_p: Nats, [n], on the CPU.
        parts: What log_p consists of, by name: nats, [n] each, on the CPU.
    """

    label: str
    kind: Kind
    log_p: PerExample
    parts: Mapping[str, PerExample]

    def __repr__(self) -> str:
        return f"<LikelihoodEntry {self.label}: {Estimate.of(self.log_p)} nats, {self.kind}>"


@dataclass(frozen=True, eq=False)
class LikelihoodReport:
    """What ``evaluate_likelihood`` measured.

    ``print(report)`` tells it in a few lines. ``report["elbo"]`` is the mean over images in nats with its standard
    error, which holds the Monte Carlo noise of the images' values too; ``report.bits_per_dim("elbo")`` the same in bits
    per dimension.

    Args:
        entries: What each estimator found, by the name it was given.
        image_shape: The shape of one image: channels, height, width; or of one point: its dimensions.
    """

    entries: Mapping[str, LikelihoodEntry]
    image_shape: tuple[int, ...]

    @property
    def title(self) -> str:
        """What was measured on what."""
        n = len(next(iter(self.entries.values())).log_p)
        return f"Likelihood of {n:,} {'points' if len(self.image_shape) == 1 else 'images'}"

    @property
    def headline(self) -> str:
        """The first estimator's bits/dim: "Bits/dim, ELBO: 3.131 ± 0.010 (upper bound)"."""
        first = self.measurements()[0]
        return f"B{first.name[1:]}: {first.number} ({first.note})"

    def __str__(self) -> str:
        rows = [(one.name, one.text, one.note) for one in self.measurements()]
        wide = [max(map(len, column)) for column in zip(*rows, strict=True)]
        told = ("  ".join(f"{cell:<{w}}" for cell, w in zip(row, wide, strict=True)).rstrip() for row in rows)
        return "\n".join([self.title, *(f"  {line}" for line in told)])

    def __repr__(self) -> str:
        return f"<LikelihoodReport: {self.headline}>"

    def _repr_html_(self) -> str:
        rows = [(one.name, one.text, one.note) for one in self.measurements()]
        return Table(self.title, ("quantity", "value", "what it is"), rows, "± is the standard error.")._repr_html_()

    def to_html(self, out: Path | str | None = None) -> str:
        """A self-contained page: every number with its standard error, and what it is to log p(x).

        Args:
            out: A file to write it to as well.

        Raises:
            UserError: ``out`` cannot be written.
        """
        rows = [(one.name, one.text, one.note) for one in self.measurements()]
        table = Table("The numbers", ("quantity", "value", "what it is"), rows, "± is the standard error.")
        return written(short_page(self.title, f"{self.headline}.", [table]), out)

    def __getitem__(self, name: str) -> Estimate:
        """The mean of an estimator's values, nats; higher is better."""
        return Estimate.of(self._entry(name).log_p)

    @property
    def per_example(self) -> Mapping[str, PerExample]:
        """Every estimator's values and parts by their keys, nats, [n] each."""
        return {key: values for key, _, values in self._keyed()}

    @property
    def by_measurement(self) -> dict[str, list[float]]:
        """The values of each example by the keys of ``measurements``, whose values are their means: also bits/dim."""
        bits = {
            f"bits_per_dim_{name}" if i else "bits_per_dim": bits_per_dim(-entry.log_p.double(), self.image_shape)
            for i, (name, entry) in enumerate(self.entries.items())
        }
        return {key: values.tolist() for key, values in (*bits.items(), *self.per_example.items())}

    def kind(self, name: str) -> Kind:
        """What an estimator's values are to log p(x): "exact", "lower bound" or "estimate"."""
        return self._entry(name).kind

    def part(self, part: str, name: str | None = None) -> Estimate:
        """The mean of a part, e.g. "kl", nats.

        Args:
            part: Its name.
            name: Of which estimator; None: of the first one that has such a part.

        Raises:
            UserError: There is none.
        """
        entries = list(self.entries.values()) if name is None else [self._entry(name)]
        found = [entry.parts[part] for entry in entries if part in entry.parts]
        if not found:
            known = sorted({part for entry in entries for part in entry.parts})
            raise UserError(f"There is no part '{part}' in this report; measured: {', '.join(known) or 'none'}.")
        return Estimate.of(found[0])

    def bits_per_dim(self, name: str | None = None) -> Estimate:
        """−log p(x)/(c·h·w·ln 2): lower is better.

        Args:
            name: Of which estimator; None: of the first.

        Raises:
            UserError: No estimator has this name.
        """
        entry = self._entry(next(iter(self.entries)) if name is None else name)
        return Estimate.of(bits_per_dim(-entry.log_p.double(), self.image_shape))

    def measurements(self) -> list[Measurement]:
        """Every number as a run or a table keeps it; bits/dim of the first estimator are the headline.

        Keys are the estimators' names for nats; ``bits_per_dim`` for the first one's bits/dim and
        ``bits_per_dim_NAME`` for the others; a part's own name, or ``NAME_PART`` if an earlier estimator has it too.
        """
        found = []
        for i, (name, entry) in enumerate(self.entries.items()):
            bits, note = self.bits_per_dim(name), entry.kind
            found.append(
                Measurement(
                    key=f"bits_per_dim_{name}" if i else "bits_per_dim",
                    name=f"bits/dim, {entry.label}",
                    unit="bits/dim",
                    value=bits.mean,
                    standard_error=bits.standard_error,
                    better="lower",
                    headline=i == 0,
                    # Of −log p(x): a lower bound of log p(x) makes bits/dim an upper bound.
                    note="upper bound" if note == "lower bound" else note,
                )
            )
        for key, name, values in self._keyed():
            mean, entry = Estimate.of(values), self.entries[name]
            whole = key == name
            part = key.removeprefix(f"{name}_")
            found.append(
                Measurement(
                    key=key,
                    name=entry.label if whole else _PART_NAMES.get(part, part),
                    unit="nats",
                    value=mean.mean,
                    standard_error=mean.standard_error,
                    better="higher" if whole else None,
                    note=entry.kind if whole else "",
                )
            )
        return found

    def _keyed(self) -> Iterator[tuple[str, str, PerExample]]:
        """Key, estimator's name and values of everything measured."""
        taken = set(self.entries)
        for name, entry in self.entries.items():
            yield name, name, entry.log_p
            for part, values in entry.parts.items():
                key = f"{name}_{part}" if part in taken else part
                taken.add(key)
                yield key, name, values

    def _entry(self, name: str) -> LikelihoodEntry:
        if name not in self.entries:
            raise UserError(f"There is no estimator '{name}' in this report; measured: {', '.join(self.entries)}.")
        return self.entries[name]


@torch.no_grad()
def evaluate_likelihood(
    model: object,
    images: Examples,
    estimators: Mapping[str, Estimator],
    *,
    batch_size: int = 256,
    seed: int = 0,
    progress: bool = False,
    prepare: Prepare | None = None,
) -> LikelihoodReport:
    """Measure a model on images in eval mode; the model and torch's own generators come back as they were.

    Densities and probabilities of pixel levels are different quantities: compare bits/dim only between models of one
    kind.

    >>> from epslab.data import load
    >>> from epslab.evaluation import Elbo, Exact, evaluate_likelihood
    >>> from epslab.generative import ProbabilisticPCA
    >>> digits = load("digits", "test")
    >>> report = evaluate_likelihood(ProbabilisticPCA(5).fit(digits.images), digits, {"elbo": Elbo(), "exact": Exact()})
    >>> report.kind("exact"), report.kind("elbo"), abs(report["exact"].mean - report["elbo"].mean) < 1e-3
    ('exact', 'lower bound', True)

    Args:
        model: Has the methods that the estimators need.
        images: The images, or the points of a ``PointSet``, used in the model's dtype and on its device.
        estimators: By name, at least one: ``Elbo``, ``ImportanceWeighted``, ``PriorMonteCarlo``, ``Exact``, or any
            ``Estimator``.
        batch_size: Images at a time.
        seed: Seed of the noise; the noise of image i is a function of the seed and i.
        progress: Show a bar with the draws made, their rate and the time left.
        prepare: Applied to each batch first.

    Raises:
        UserError: batch_size < 1, no images, no estimators, or a model without a method that an estimator needs.
    """
    if batch_size < 1:
        raise UserError(f"batch_size is {batch_size}, but must be at least 1.")
    if len(images) == 0:
        raise UserError("There are no images to evaluate: give a set of at least one.")
    if not estimators:
        raise UserError('There are no estimators: give at least one by name, e.g. {"elbo": Elbo()}.')
    values: dict[str, list[Tensor]] = {name: [] for name in estimators}
    parts: dict[str, dict[str, list[Tensor]]] = {name: {} for name in estimators}
    total = len(images) * sum(estimator.draws for estimator in estimators.values())
    with borrowed(model), progress_bar("evaluating", total, "draws", progress) as advance:
        for x, indices in batches(model, images, batch_size, seed, prepare):
            for name, estimator in estimators.items():
                own = of_indices(seed, indices, "evaluation", estimator.stream)
                found = estimator(model, x, seeds=own, on_draws=advance)
                values[name].append(found.log_p.cpu())
                for part, of_images in found.parts.items():
                    parts[name].setdefault(part, []).append(of_images.cpu())
    entries = {
        name: LikelihoodEntry(
            estimator.label,
            estimator.kind,
            torch.cat(values[name]),
            {part: torch.cat(batch) for part, batch in parts[name].items()},
        )
        for name, estimator in estimators.items()
    }
    return LikelihoodReport(entries, tuple(images.shape))
