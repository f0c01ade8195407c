"""The measurements of a trained coupling flow: its likelihood."""

from epslab.data import ImageSet, PointSet
from epslab.evaluation.dequantised import Dequantised
from epslab.evaluation.estimators import Exact
from epslab.evaluation.likelihood import evaluate_likelihood
from epslab.generative.flows.coupling_flow import CouplingFlow
from epslab.recipes.plan import Asked
from epslab.runs import Measured, Run


def measure(flow: CouplingFlow, run: Run, examples: ImageSet | PointSet, asked: Asked) -> Measured:
    """The bound in nats and bits/dim with standard errors; of points the exact log-density in nats."""
    estimators = {"log_p": Dequantised(asked.options.noise_samples) if flow.of_images else Exact()}
    report = evaluate_likelihood(
        flow, examples, estimators, batch_size=asked.batch_size, seed=asked.seed, progress=asked.progress
    )
    return Measured(
        report.measurements(),
        conditions=f"{flow.levels} grey levels" if flow.of_images else "a density of points",
        per_example=report.by_measurement,
    )
