"""A classifier's run on a page: accuracy with its interval first, then curves, pictures, classes."""

import re

import pytest

from epslab.report import run_section, write_report
from epslab.report.numbers import headline

METRICS = """epoch,train/loss,train/error,val/loss,val/error
0,,,2.3,0.9
1,0.2,0.05,0.1,0.02
2,0.1,0.02,0.12,0.011
"""
SETTINGS = {"recipe": "small-cnn", "epochs": 2, "defence": "none", "beta": None}


def share(successes, n, low, high):
    return {"value": successes / n, "successes": successes, "n": n, "low": low, "high": high}


EVALUATION = {
    "split": "test",
    "images": 10000,
    "accuracy": share(9890, 10000, 0.9861, 0.9912),
    "cross_entropy": {"mean": 0.0412, "standard_error": 0.0031, "n": 10000},
    "calibration_error": 0.0123,
    "confidence": 0.9951,
    "accuracy_per_class": {"accuracy": share(999, 1000, 0.99, 1.0), "<b>": share(950, 1000, 0.93, 0.96)},
}


@pytest.fixture
def classifier(make_run):
    def make(name="first", evaluation=EVALUATION, metrics=METRICS, **settings):
        return make_run(name, metrics=metrics, evaluation=evaluation, **{**SETTINGS, **settings})

    return make


def test_the_accuracy_leads(classifier):
    run = classifier()
    assert headline(run.result()) == "98.9 % [98.6, 99.1] test accuracy on 10,000 images"
    section = run_section(run)
    assert section.lead == "98.9 % [98.6, 99.1] test accuracy on 10,000 images after 2 epochs of training."
    assert section.text == ("It is surer than it is right: its mean confidence is 99.5 %.",)
    numbers, classes = section.tables
    assert numbers.rows[0] == ("accuracy", "98.9 % [98.6, 99.1]")
    assert numbers.rows[1] == ("cross-entropy, nats", "0.0412 ± 0.0031")
    assert ("validation at the best epoch (2), accuracy", "98.90 %") in numbers.rows
    assert "Clopper & Pearson" in numbers.note
    assert [row[0] for row in classes.rows] == ["<b>", "accuracy"]
    assert classes.rows[0] == ("<b>", "95.0 % [93.0, 96.0]", 1000)


def test_the_page_is_worth_showing(classifier, tmp_path):
    run = classifier()
    page = write_report([run], tmp_path / "page.html").read_text()
    assert "Accuracy by class" in page
    assert "&lt;b&gt;" in page
    assert page.count("<img") == 1  # the curves


def test_a_confidence_within_the_interval_is_not_spoken_of(classifier):
    assert run_section(classifier(evaluation={**EVALUATION, "confidence": 0.99})).text == ()
    (statement,) = run_section(classifier("low", evaluation={**EVALUATION, "confidence": 0.9})).text
    assert statement == "It is right more often than it is sure: its mean confidence is 90.0 %."


def test_before_its_evaluation_it_speaks_of_validation_only(classifier):
    assert run_section(classifier(evaluation=None)).lead == (
        "98.90 % accuracy on the validation images at the best epoch, 2 of 2; not yet measured on the test images."
    )


def test_under_attack_the_best_epoch_is_the_most_robust_one(classifier):
    rows = [
        f"{line},{error}" for line, error in zip(METRICS.splitlines(), ("val/robust_error", 1, 0.3, 0.4), strict=True)
    ]
    section = run_section(classifier(evaluation=None, metrics="\n".join(rows) + "\n", defence="adversarial-loss"))
    assert section.lead.startswith("70.00 % accuracy under the training attack on the validation images at the best")


def test_of_many_classes_the_worst_are_shown(classifier):
    many = {f"class {i}": share(i, 100, 0.0, 1.0) for i in range(60)}
    table = run_section(classifier(evaluation={**EVALUATION, "accuracy_per_class": many})).tables[1]
    assert [row[0] for row in table.rows] == [f"class {i}" for i in range(20)]
    assert table.note.startswith("The 20 least accurate of 60 classes.")


@pytest.mark.parametrize(
    ("changed", "best", "comparable"),
    [({"width": 16}, True, True), ({"defence": "adversarial-loss"}, False, True), ({"data": "digits"}, False, False)],
)
def test_runs_are_compared_by_accuracy(classifier, tmp_path, changed, best, comparable):
    worse = {**EVALUATION, "accuracy": share(9000, 10000, 0.89, 0.91)}
    runs = [classifier("worse", evaluation=worse), classifier("better", **changed)]
    html = write_report(runs, tmp_path / "page.html").read_text()
    head = re.findall(r"<th [^>]*>([^<]*)</th>", html[html.index("The runs compared") :])
    assert head[2:6] == ["accuracy", "cross-entropy, nats", "calibration error", "best validation"]
    assert ("Best of 2: better" in html) is best
    assert ("their accuracies do not compare" in html) is not comparable
