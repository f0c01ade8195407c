"""A gate as a pytest file: the model must hold, and the attacks must deserve to be believed."""

import pytest
from model import classifier

from epslab.attacks import FGSM, PGD
from epslab.data import load
from epslab.evaluation import RobustnessReport, evaluate_robustness
from epslab.geometry import Linf

BALL = Linf(0.02)
LEAST = 0.5
"""Of the worst-case accuracy's 95 % interval the lower end must reach this."""


@pytest.fixture(scope="module")
def report() -> RobustnessReport:
    test = load("digits", "test").take(100, seed=0)
    attacks = {"fgsm": FGSM(BALL), "pgd": PGD(BALL, steps=10)}
    return evaluate_robustness(classifier(), test.images, test.labels, attacks, sweep=None)


def test_the_model_holds(report: RobustnessReport) -> None:
    low, _ = report.interval("worst-case")
    assert low >= LEAST, str(report)


def test_no_finding_speaks_against_the_attacks(report: RobustnessReport) -> None:
    assert [str(finding) for finding in report.findings if finding.verdict == "fail"] == []
