import re

import pytest

from epslab.errors import UserError
from epslab.report import run_section, with_error, write_report
from epslab.report.published import FACTS, matching


def visible(html):
    """The page's text as a reader sees it: no style, no tags, no pictures."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", re.sub(r"<style>.*?</style>", "", html, flags=re.DOTALL)))


def test_a_run_s_page_tells_all_its_folder_holds(make_run, evaluation, tmp_path):
    names = ("samples-epoch-0000", "samples-epoch-0010", "reconstructions")
    run = make_run(pictures=names, evaluation=evaluation)
    page = write_report([run], tmp_path / "page.html")
    text = visible(page.read_text())
    assert "0.5379 ± 0.0013 bits/dim on 10,000 test images after 3 epochs of training" in text
    assert "0.536" in text
    assert "14 of 20 latent dimensions are active." in text
    assert "Samples before training" in text
    assert "Samples after 10 epochs" in text
    assert "Test images above" in text
    assert "latent_dim 20" in text
    assert "epslab train --config" in text
    assert "versions: torch" in text
    assert page.read_text().count("<img") == 4


def test_the_page_is_made_of_the_folder_alone(make_run, evaluation, tmp_path):
    """A run that was moved, with nothing else left of it, still makes its page."""
    run = make_run(evaluation=evaluation)
    moved = run.folder.rename(tmp_path / "moved")
    assert "0.5379" in write_report([moved], moved / "report.html").read_text()


def test_a_fresh_run_still_has_a_page(make_run, tmp_path):
    run = make_run(metrics=None)
    text = visible(write_report([run], tmp_path / "page.html").read_text())
    assert "No epoch has been completed yet" in text
    assert "Settings" in text
    assert "--resume" in text


def test_before_its_evaluation_a_run_speaks_of_validation_only(make_run):
    section = run_section(make_run())
    assert section.lead == (
        "0.6200 bits/dim on the validation images at the best epoch, 2 of 3; not yet measured on the test images."
    )
    assert section.warnings == ()


def test_an_interrupted_run_says_so_and_how_to_carry_it_on(make_run):
    section = run_section(make_run(epochs=80))
    assert section.warnings == (
        "Training stopped after 3 of 80 epochs; it can be carried on (see the commands below).",
    )
    assert "--resume" in section.code
    stopped_early = make_run("early", epochs=80, patience=5)
    stopped_early.update_result(status="finished")
    early = run_section(stopped_early)
    assert early.warnings == ()
    assert "--resume" not in early.code


@pytest.mark.parametrize("bad", ["", "inf", "nan"])
def test_numbers_that_are_not_finite_are_warned_of(make_run, metrics, bad):
    section = run_section(make_run(metrics=metrics.replace("2,400,", f"2,{bad},")))
    assert section.warnings == ("train/loss was not finite at epoch 2: numbers after it mean nothing.",)


def test_with_another_beta_the_weighted_loss_chooses_the_best_epoch(make_run):
    assert "380.0 nats of training objective" in run_section(make_run(beta=4.0)).lead


def test_a_collapse_is_warned_of(make_run, evaluation):
    evaluation["latents"]["collapsed"] = True
    section = run_section(make_run(evaluation=evaluation))
    assert section.warnings == (evaluation["latents"]["statement"],)
    assert section.text == ()


def test_every_text_of_a_run_is_escaped(make_run, evaluation, tmp_path):
    evil = "<script>alert(1)</script>"
    evaluation["latents"]["statement"] = evil
    evaluation[evil] = 1.0
    run = make_run(
        "<b>name", pictures=("reconstructions",), evaluation=evaluation, data=evil, recipe=evil, **{evil: evil}
    )
    (run.figures / "<i>other.png").write_bytes((run.figures / "reconstructions.png").read_bytes())
    html = write_report([run, run.folder], tmp_path / "page.html").read_text()
    assert "<script" not in html
    assert "<b>" not in html
    assert "<i>" not in html
    assert "&lt;script&gt;" in html


def test_runs_are_compared_by_what_differs(make_run, evaluation, tmp_path):
    first = make_run("first", evaluation=evaluation)
    second = make_run("second", latent_dim=2, metrics=None)
    html = write_report([first.folder, second], tmp_path / "page.html").read_text()
    head = re.findall(r"<th [^>]*>([^<]*)</th>", html[html.index("The runs compared") :])[:5]
    assert head == ["run", "latent dim", "bits/dim", "log p bound, nats", "active dimensions"]
    assert "0.6200 (epoch 2)" in html
    assert "first (vae on mnist): 0.5379 ± 0.0013 bits/dim" in visible(html)


@pytest.mark.parametrize("changed", [{"data": "digits"}, {"levels": 2}, {"likelihood": "normal"}, {"latent_dim": 2}])
def test_the_best_run_is_named_only_among_runs_of_the_same_images(make_run, evaluation, tmp_path, changed):
    runs = [make_run(evaluation=evaluation), make_run("second", evaluation=evaluation, **changed)]
    page = write_report(runs, tmp_path / "page.html").read_text()
    comparable = "latent_dim" in changed
    assert ("Best of 2" in page) is comparable
    assert ("their bounds do not compare" in page) is not comparable


def test_a_folder_that_is_nothing_is_refused(tmp_path):
    with pytest.raises(UserError, match="neither a run nor a study"):
        write_report([tmp_path], tmp_path / "page.html")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "changed",
    [{"data": "digits"}, {"levels": 2}, {"latent_dim": 3}, {"net": "perceptron"}, {"beta": 2.0}, {"width": 16}],
)
def test_published_numbers_are_quoted_for_their_settings_only(make_run, evaluation, changed):
    table = run_section(make_run(metrics=None, evaluation=evaluation)).tables[0]
    assert table.columns == ("quantity", "this run", "published")
    assert ("negative ELBO, bits/dim", "0.5379 ± 0.0013", "0.536") in table.rows
    other = run_section(make_run("other", metrics=None, evaluation=evaluation, **changed)).tables[0]
    assert other.columns == ("quantity", "this run")


def test_published_facts_are_those_of_the_reference():
    static = {"recipe": "vae", "data": "mnist", "net": "perceptron", "likelihood": "bernoulli", "prior": "normal",
              "beta": 1.0, "free_bits": 0.0, "binarise": "static", "hidden": [500]}  # fmt: skip
    assert [(fact.quantity, fact.value) for fact in matching(static)] == [("elbo", "≈ −103"), ("log_p", "≈ −97")]
    assert matching({**static, "hidden": [200, 200]}) == ()
    assert matching({}) == ()
    assert all(fact.source and fact.settings["data"] in ("mnist", "cifar10") for fact in FACTS)


@pytest.mark.parametrize(
    ("mean", "error", "text"),
    [(0.53794, 0.00131, "0.5379 ± 0.0013"), (-103.26, 0.71, "−103.26 ± 0.71"), (5321.0, 120.0, "5,321 ± 120"),
     (1.0, 0.0, "1.0000 ± 0.0000"), (1.0, float("nan"), "1.000 ± NaN")],
)  # fmt: skip
def test_errors_are_written_to_two_digits(mean, error, text):
    assert with_error(mean, error) == text


def test_a_quantity_measured_twice_is_shown_once(make_run, evaluation):
    evaluation["latents"]["images"] = 7
    rows = run_section(make_run(metrics=None, evaluation=evaluation)).tables[0].rows
    assert [row[1] for row in rows if row[0] == "images measured"] == ["10,000"]
