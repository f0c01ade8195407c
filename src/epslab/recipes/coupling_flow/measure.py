"""The measurements of a trained coupling flow: its likelihood."""

from dataclasses import replace

from epslab.data import ImageSet, PointSet
from epslab.evaluation.dequantised import Dequantised
from epslab.evaluation.estimators import Exact
from epslab.evaluation.likelihood import evaluate_likelihood
from epslab.generative.flows.coupling_flow import CouplingFlow
from epslab.recipes.coupling_flow.pictures import draw_all
from epslab.recipes.plan import Asked
from epslab.recipes.quality import joined, measure_samples
from epslab.runs import Measured, Measurement, Run


def measure(flow: CouplingFlow, run: Run, examples: ImageSet | PointSet, asked: Asked) -> Measured:
    """The bound in nats and bits/dim with standard errors; of points the exact log-density in nats."""
    estimators = {"log_p": Dequantised(asked.options.noise_samples) if flow.of_images else Exact()}
    report = evaluate_likelihood(
        flow, examples, estimators, batch_size=asked.batch_size, seed=asked.seed, progress=asked.progress
    )
    draw_all(flow, run, examples, asked.seed)
    found = Measured(
        report.measurements() if flow.of_images else _in_nats(report.measurements()),
        conditions=f"{flow.levels} grey levels" if flow.of_images else "a density of points",
        per_example=report.by_measurement if flow.of_images else {"log_p": report.by_measurement["log_p"]},
    )
    return joined(found, measure_samples(flow.sample, run, examples, asked))


def _in_nats(measurements: list[Measurement]) -> list[Measurement]:
    """Those of points: a density has no bits."""
    return [replace(one, headline=True) for one in measurements if one.unit == "nats"]
