"""Numbers of several training seeds as one, and how a number is written with its uncertainty."""

import math
import statistics
from collections.abc import Mapping, Sequence

from epslab.evaluation.estimate import Estimate
from epslab.report import with_error
from epslab.runs import Measurement


def text(estimate: Estimate) -> str:
    """The mean with its uncertainty: "0.5361 ± 0.0012"."""
    return with_error(estimate.mean, estimate.standard_error)


def estimate(found: Measurement) -> Estimate:
    """A measurement as an estimate; the number of images behind it is not kept."""
    return Estimate(found.value, math.nan if found.standard_error is None else found.standard_error, 0)


def over_seeds(estimates: Sequence[Estimate]) -> Estimate:
    """The mean over training seeds with their standard deviation; of one seed, its own estimate."""
    if len(estimates) == 1:
        return estimates[0]
    means = [estimate.mean for estimate in estimates]
    return Estimate(statistics.mean(means), statistics.stdev(means), len(means))


def count(values: Sequence[int]) -> int | float:
    """The mean of counts, whole where it can be: 20, but 19.67."""
    mean = statistics.mean(values)
    return int(mean) if mean == int(mean) else float(mean)


def meaning(seeds: int) -> str:
    """What stands behind ± in a table of ``over_seeds``, for this number of training seeds."""
    if seeds == 1:
        return "± is the standard error over test images."
    return f"± is the standard deviation over {seeds} training seeds."


def curves_over_seeds(
    metrics: Sequence[Mapping[str, Sequence[float]]],
) -> tuple[dict[str, list[float]], dict[str, list[float]] | None]:
    """Each column's mean over runs of the same length and its standard deviation; None in its place for one run."""
    if len(metrics) == 1:
        return {name: list(values) for name, values in metrics[0].items()}, None
    columns = {name: list(zip(*(run[name] for run in metrics), strict=True)) for name in metrics[0]}
    mean = {name: [math.fsum(row) / len(row) for row in rows] for name, rows in columns.items()}
    # A row without a value (nan) has no spread either.
    spread = {
        name: [math.nan if math.isnan(math.fsum(row)) else statistics.stdev(row) for row in rows]
        for name, rows in columns.items()
    }
    return mean, spread
