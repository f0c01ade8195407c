"""A section of a page about what ``evaluate_likelihood`` returned."""

from epslab.evaluation import LikelihoodReport
from epslab.report.blocks import Section
from epslab.report.measured import numbers
from epslab.runs import Measured


def likelihood_section(report: LikelihoodReport) -> Section:
    """The bounds or exact values in bits/dim and nats; the first estimator's leads."""
    return Section(
        title=report.title,
        lead=f"{report.headline}.",
        tables=(numbers(Measured(report.measurements()), None),),
    )
