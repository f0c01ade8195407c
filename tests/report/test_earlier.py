"""Runs written before they described themselves still open and make their pages, with sensible names."""

import copy
import re

import pytest
import torch

from epslab import figures
from epslab.report import headline, run_section, write_report
from epslab.runs import Run

ROWS = """epoch,train/loss,val/loss,train/bits_per_dim,val/bits_per_dim,train/kl,val/kl
0,,2200,,4.0,,1.0
1,700,650,1.2,1.1,20,20
2,400,380,0.8,0.62,20,20
3,380,390,0.7,0.64,22,22
"""
ERRORS = """epoch,train/loss,train/error,val/loss,val/error
0,,,2.3,0.9
1,0.2,0.05,0.1,0.02
2,0.1,0.02,0.12,0.011
"""
VAE = {
    "recipe": "vae", "data": "mnist", "epochs": 3, "latent_dim": 20, "likelihood": "categorical", "levels": 16,
    "binarise": "none", "std": 0.1, "beta": 1.0,
}  # fmt: skip
CLASSIFIER = {"recipe": "small-cnn", "data": "mnist", "epochs": 2, "defence": "none"}


def estimate(mean, error):
    return {"mean": mean, "standard_error": error, "n": 10000}


def share(successes, n, low, high):
    return {"value": successes / n, "successes": successes, "n": n, "low": low, "high": high}


BOUNDS = {
    "split": "test", "images": 10000, "samples": 1, "importance_samples": 100, "prior_samples": None,
    "elbo": estimate(-292.31, 0.71), "importance_weighted": estimate(-287.42, 0.7),
    "bits_per_dim": estimate(0.53794, 0.00131),
    "latents": {
        "images": 7, "active_units": 14, "statement": "14 of 20 latent dimensions are active.",
        "kl_per_dimension": [1.0], "collapsed": False,
    },
}  # fmt: skip
ACCURACY = {
    "split": "test", "images": 10000, "accuracy": share(9890, 10000, 0.9861, 0.9912),
    "cross_entropy": estimate(0.0412, 0.0031), "calibration_error": 0.0123, "confidence": 0.9951,
    "accuracy_per_class": {"accuracy": share(999, 1000, 0.99, 1.0), "<b>": share(950, 1000, 0.93, 0.96)},
}  # fmt: skip


@pytest.fixture
def earlier(tmp_path):
    """A run as it was written then: an ``evaluation`` entry, pictures without an index, columns without labels."""

    def make(name="first", settings=VAE, metrics=ROWS, evaluation=BOUNDS, pictures=(), monitor="val/bits_per_dim"):
        run = Run.create(tmp_path / name, settings)
        (run.folder / "metrics.csv").write_text(metrics)
        for picture in pictures:
            (run.figures / f"{picture}.png").write_bytes(figures.png(figures.image_grid(torch.zeros(4, 1, 8, 8))))
        entries = {} if monitor is None else {"status": "finished", "monitor": monitor}
        run.update_result(**entries, **({} if evaluation is None else {"evaluation": copy.deepcopy(evaluation)}))
        return run

    return make


def test_its_numbers_have_names_units_and_errors(earlier):
    run = earlier()
    assert headline(run) == "Negative ELBO 0.5379 ± 0.0013 bits/dim on 10,000 test images"
    section = run_section(run)
    assert section.text == ("14 of 20 latent dimensions are active.",)
    rows = {row[0]: row[1] for row in section.tables[0].rows}
    assert list(rows)[:2] == ["negative ELBO, bits/dim", "ELBO, a lower bound on log p(x), nats"]
    assert rows["importance-weighted bound on log p(x), nats"] == "−287.42 ± 0.70"
    assert rows["active latent dimensions"] == "14"
    assert rows["draws K of the importance-weighted bound"] == "100"
    assert rows["Negative ELBO, validation images, best epoch (2)"] == "0.62 bits/dim"
    assert len(rows) == len(section.tables[0].rows)


def test_its_curves_are_labelled_and_what_shows_the_same_twice_is_left_out(earlier):
    axes = run_section(earlier()).pictures[0].image.axes
    assert [(one.get_title(loc="left"), one.get_ylabel()) for one in axes] == [
        ("Negative ELBO", "bits/dim, log scale"),
        ("KL from posterior to prior", "nats"),
    ]


def test_its_pictures_have_captions_in_order(earlier):
    names = ("zebra", "kl-per-dimension", "reconstructions", "samples-epoch-0010", "samples-epoch-0000")
    pictures = run_section(earlier(pictures=names)).pictures[1:]
    assert [picture.caption for picture in pictures] == [
        "Samples before training.",
        "Samples after epoch 10.",
        "Test images above, what the model makes of their codes below.",
        "What each latent dimension costs: KL from posterior to prior, averaged over test images.",
        "Zebra",
    ]


def test_a_collapse_is_warned_of(earlier):
    collapsed = copy.deepcopy(BOUNDS)
    collapsed["latents"]["collapsed"] = True
    section = run_section(earlier(evaluation=collapsed))
    assert section.warnings == ("14 of 20 latent dimensions are active.",)
    assert section.text == ()


def test_a_classifier_s_accuracy_leads(earlier):
    run = earlier(settings=CLASSIFIER, metrics=ERRORS, evaluation=ACCURACY, monitor="val/error")
    section = run_section(run)
    assert section.lead == "Accuracy 98.9 % [98.6, 99.1] on 10,000 test images after 2 epochs of training."
    assert section.text == ("It is surer than it is right: its mean confidence is 99.5 %.",)
    numbers, classes = section.tables
    assert numbers.rows[0][:2] == ["accuracy", "98.9 % [98.6, 99.1]"]
    assert numbers.rows[1][:2] == ["cross-entropy, nats", "0.0412 ± 0.0031"]
    assert numbers.rows[-1][:2] == ["Error, validation images, best epoch (2)", "1.1 %"]
    assert "Clopper & Pearson" in classes.note
    assert [tuple(row) for row in classes.rows] == [
        ("<b>", "95.0 % [93.0, 96.0]", 1000),
        ("accuracy", "99.9 % [99.0, 100.0]", 1000),
    ]


@pytest.mark.parametrize(
    ("confidence", "said"),
    [(0.99, ()), (0.9, ("It is right more often than it is sure: its mean confidence is 90.0 %.",))],
)
def test_a_confidence_outside_the_interval_is_spoken_of(earlier, confidence, said):
    evaluation = {**ACCURACY, "confidence": confidence}
    assert run_section(earlier(settings=CLASSIFIER, metrics=ERRORS, evaluation=evaluation)).text == said


def test_without_a_monitor_the_column_that_was_meant_chooses(earlier):
    run = earlier(settings=CLASSIFIER, metrics=ERRORS, evaluation=None, monitor=None)
    assert run_section(run).lead == (
        "Error 1.1 % on the validation images at the best epoch, 2 of 2; not yet measured on the test images."
    )
    rows = [
        f"{line},{error}" for line, error in zip(ERRORS.splitlines(), ("val/robust_error", 1, 0.3, 0.4), strict=True)
    ]
    run = earlier("robust", settings=CLASSIFIER, metrics="\n".join(rows) + "\n", evaluation=None, monitor=None)
    assert run_section(run).lead.startswith("Error under the training attack 30.0 % on the validation images at the")


@pytest.mark.parametrize(
    ("settings", "evaluation", "changed", "comparable"),
    [
        (VAE, BOUNDS, {"latent_dim": 2}, True),
        (VAE, BOUNDS, {"levels": 2}, False),
        (VAE, BOUNDS, {"likelihood": "normal"}, False),
        (VAE, BOUNDS, {"data": "digits"}, False),
        (CLASSIFIER, ACCURACY, {"width": 16}, True),
        (CLASSIFIER, ACCURACY, {"defence": "adversarial-loss"}, False),
        (CLASSIFIER, ACCURACY, {"data": "digits"}, False),
    ],
)
def test_runs_are_ranked_only_where_their_numbers_compare(earlier, tmp_path, settings, evaluation, changed, comparable):
    runs = [
        earlier(settings=settings, evaluation=evaluation),
        earlier("second", settings={**settings, **changed}, evaluation=evaluation),
    ]
    page = write_report(runs, tmp_path / "page.html").read_text()
    assert ("Best of 2" in page) is comparable
    head = re.findall(r"<th [^>]*>([^<]*)</th>", page[page.index("The runs compared</h2>") :])
    assert ("accuracy" if settings is CLASSIFIER else "negative ELBO, bits/dim") in head[:4]


def test_measuring_it_again_replaces_the_entry_of_then(earlier, measured):
    run = earlier()
    run.record(measured, split="test", images=5)
    assert "evaluation" not in run.result()
    assert run.result()["status"] == "finished"
    assert list(run.measurements()) == ["bits_per_dim", "log_p", "active_units"]
    assert headline(run).endswith("on 5 test images")
