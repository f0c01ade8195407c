import json
import re
from dataclasses import replace

import pytest

from epslab import figures
from epslab.errors import UserError
from epslab.report import headline, run_section, with_error, write_report
from epslab.runs import Column, Measured, Measurement, Run, Table


def visible(html):
    """The page's text as a reader sees it: no style, no tags, no pictures."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", re.sub(r"<style>.*?</style>", "", html, flags=re.DOTALL)))


def test_a_run_s_page_tells_all_its_folder_holds(make_run, measured, tmp_path):
    names = ("samples-0", "samples-10", "reconstructions")
    run = make_run(pictures=names, measured=measured)
    page = write_report([run], tmp_path / "page.html")
    text = visible(page.read_text())
    assert "Negative ELBO 0.5379 ± 0.0013 bits/dim on 10,000 test images after 3 epochs of training" in text
    assert "0.536 (a public run)" in text
    assert "14 of 20 latent dimensions are active." in text
    places = [text.index(f"What to see in {name}.") for name in names]
    assert places == sorted(places)
    assert "latent_dim 20" in text
    assert "epslab train --config" in text
    assert "versions: torch" in text
    assert page.read_text().count("<img") == 4


def test_numbers_say_their_unit_what_they_are_and_what_is_published(make_run, measured):
    table = run_section(make_run(measured=measured)).tables[0]
    assert table.columns == ["quantity", "this run", "what it is", "published for these settings"]
    assert table.rows == [
        ["negative ELBO, bits/dim", "0.5379 ± 0.0013", "upper bound", "0.536 (a public run)"],
        ["importance-weighted bound, nats", "−287.42 ± 0.70", "", ""],
        ["active latent dimensions", "14", "", ""],
        ["Negative ELBO, validation images, best epoch (2)", "0.62 bits/dim", "", ""],
    ]
    assert table.note == "± is the standard error. 16 grey levels."
    plain = Measured([Measurement("fid", "FID", value=3.5, interval=(3.1, 3.9))])
    (table,) = run_section(make_run("plain", metrics=None, measured=plain)).tables
    assert table.columns == ["quantity", "this run"]
    assert table.rows == [["FID", "3.50 [3.10, 3.90]"]]
    assert table.note == "[low, high] is the 95 % confidence interval."


def test_a_model_nobody_has_heard_of_has_a_page(make_run, tmp_path):
    """Its monitor, its curves, its measurement and its picture are named by the run alone."""
    rows = "epoch,train/critic/gap,val/critic/gap,val/critic/noise\n0,,3.0,1\n1,2.0,1.5,1\n2,1.5,1.75,1\n"
    found = Measured([Measurement("modes", "modes found", value=7, interval=(6.0, 8.0), better="higher")])
    columns = {"critic/gap": Column("critic: Wasserstein gap", "nats", "lower")}
    run = make_run(metrics=rows, measured=found, columns=columns, pictures=["ring"], recipe="toy")
    run.update_result(monitor="val/critic/gap")
    section = run_section(run)
    assert section.lead == "Modes found 7.0 [6.0, 8.0] on 10,000 test images after 2 epochs of training."
    assert section.tables[0].rows[1] == ["critic: Wasserstein gap, validation images, best epoch (1)", "1.5 nats"]
    axes = section.pictures[0].image.axes
    assert [(one.get_title(loc="left"), one.get_ylabel()) for one in axes] == [("critic: Wasserstein gap", "nats")]
    assert section.pictures[1].caption == "What to see in ring."
    run.update_result(monitor="val/critic/noise", measurements={})
    assert run_section(run).lead == (
        "critic: noise 1 on the validation images at the best epoch, 1 of 2; not yet measured on the test images."
    )
    assert visible(write_report([run, run], tmp_path / "page.html").read_text())


def test_what_was_measured_leads_even_without_a_headline(make_run):
    found = Measured([Measurement("fid", "FID", value=3.5), Measurement("recall", "recall", "fraction", 0.5)])
    run = make_run(measured=found)
    assert headline(run) == "FID 3.5 on 10,000 test images"
    assert "not yet measured" not in run_section(run).lead
    run = make_run("second", measured=replace(found, measurements=[found.measurements[0], replace(
        found.measurements[1], headline=True)]))  # fmt: skip
    assert headline(run) == "Recall 50.0 % on 10,000 test images"


def test_a_run_that_keeps_its_last_weights_has_no_best_epoch(make_run):
    run = make_run()
    run.update_result(monitor=None)
    section = run_section(run)
    assert section.lead == "Trained for 3 epochs; not yet measured on the test images."
    assert section.tables == ()
    assert "best epoch" not in [line.get_label() for line in section.pictures[0].image.axes[0].lines]


def test_the_page_is_made_of_the_folder_alone(make_run, measured, tmp_path):
    """A run that was moved, with nothing else left of it, still makes its page."""
    run = make_run(measured=measured)
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
        "Negative ELBO 0.62 bits/dim on the validation images at the best epoch, 2 of 3; not yet measured on the"
        " test images."
    )
    assert section.warnings == ()


def test_an_interrupted_run_says_so_and_how_to_carry_it_on(make_run):
    section = run_section(make_run(epochs=80))
    assert section.warnings == ("Training stopped after 3 of 80 epochs; it can be continued (see the commands below).",)
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


def test_another_monitor_chooses_another_epoch(make_run):
    run = make_run(columns={"loss": Column("Training objective", "nats", "lower")})
    run.update_result(monitor="train/loss")
    assert run_section(run).lead.startswith(
        "Training objective 380 nats on the training images at the best epoch, 3 of 3;"
    )


def test_warnings_of_the_measurement_are_on_the_page(make_run, measured):
    section = run_section(make_run(measured=replace(measured, statements=(), warnings=["It has collapsed."])))
    assert section.warnings == ("It has collapsed.",)
    assert section.text == ()


def test_a_long_table_is_cut_and_whole_where_it_is_folded(make_run):
    many = Table("By class", ("class", "errors"), [(f"class {i}", i) for i in range(60)], "Counts.")
    found = Measured([Measurement("a", "a", value=1)], tables=[many, Table("Short", ("x",), [(1,)])])
    section = run_section(make_run(measured=found))
    _, cut, short = section.tables
    assert [row[0] for row in cut.rows] == [f"class {i}" for i in range(20)]
    assert cut.note == "The first 20 of 60 rows. Counts."
    assert short.title == "Short"
    assert (section.details[0].title, len(section.details[0].rows)) == ("By class: all 60 rows", 60)


def test_every_text_of_a_run_is_escaped(make_run, measured, tmp_path):
    evil = "<script>alert(1)</script>"
    found = Measured(
        [Measurement("a", evil, evil, 1.0, note=evil, published=evil)],
        [Table(evil, (evil,), [(evil,)])],
        [evil],
        [evil],
    )
    run = make_run(
        "<b>name", measured=found, data=evil, recipe=evil, columns={"kl": Column(evil, evil)}, **{evil: evil}
    )
    run.show("a", figures.bars([1.0]), evil, alt=evil)
    (run.figures / "<i>other.png").write_bytes((run.figures / "a.png").read_bytes())
    html = write_report([run, run.folder], tmp_path / "page.html").read_text()
    assert "<script" not in html
    assert "<b>" not in html
    assert "<i>" not in html
    assert "&lt;script&gt;" in html


def better_and_worse(measured):
    first, *others = measured.measurements
    return replace(measured, measurements=[replace(first, value=0.5), *others]), measured


def test_runs_are_compared_by_what_differs_the_best_first(make_run, measured, tmp_path):
    better, worse = better_and_worse(measured)
    runs = [
        make_run("fresh", latent_dim=3, metrics=None, only_here=1), make_run("worse", latent_dim=2, measured=worse),
        make_run("better", measured=better),
    ]  # fmt: skip
    html = write_report(runs, tmp_path / "page.html").read_text()
    table = html[html.index("The runs compared</h2>") :]
    head = re.findall(r"<th [^>]*>([^<]*)</th>", table)[:5]
    assert head == [
        "run",
        "latent dim",
        "negative ELBO, bits/dim",
        "importance-weighted bound, nats",
        "best epoch",
    ]
    assert [name for name in re.findall(r"<td[^>]*>([^<]*)</td>", table) if name in ("fresh", "worse", "better")] == [
        "better", "worse", "fresh",
    ]  # fmt: skip
    assert "Negative ELBO 0.62 bits/dim (epoch 2)" in html
    assert "Best of 2: better (vae on mnist): Negative ELBO 0.5000 ± 0.0013 bits/dim" in visible(html)


def test_the_direction_says_which_run_is_best(make_run, measured, tmp_path):
    runs = []
    for name, value in (("low", 0.1), ("high", 0.9)):
        one = Measurement("recall", "recall", "fraction", value, better="higher", headline=True)
        runs.append(make_run(name, measured=Measured([one])))
    assert "Best of 2: high (vae on mnist): Recall 90.0 %" in write_report(runs, tmp_path / "page.html").read_text()


@pytest.mark.parametrize(
    ("changed", "settings", "sentence"),
    [
        ({}, {"latent_dim": 2}, "Best of 2"),
        ({}, {"data": "digits"}, "measured on different data"),
        ({"conditions": "2 grey levels"}, {}, "under the same conditions (16 grey levels or 2 grey levels)."),
        ({"conditions": ""}, {}, "under the same conditions (16 grey levels)."),
        ({"key": "other"}, {}, ""),
        ({"unit": "nats"}, {}, ""),
        ({"better": "higher"}, {}, ""),
    ],
)
def test_the_best_run_is_named_only_among_runs_measured_alike(
    make_run, measured, tmp_path, changed, settings, sentence
):
    first, *others = measured.measurements
    changed = {"conditions": measured.conditions, **changed}
    conditions = changed.pop("conditions")
    other = replace(measured, measurements=[replace(first, **changed), *others], conditions=conditions)
    runs = [make_run(measured=measured), make_run("second", measured=other, **settings)]
    page = write_report(runs, tmp_path / "page.html").read_text()
    assert ("Best of 2" in page) is (sentence == "Best of 2")
    assert sentence in page


def test_an_exact_number_and_a_bound_stand_in_one_table_that_says_which_is_which(make_run, tmp_path):
    runs = []
    for name, value, of, note in (("vae", 2.0, "ELBO", "upper bound"), ("flow", 1.5, "log p", "exact")):
        one = Measurement(
            "bits_per_dim", f"bits/dim, {of}", "bits/dim", value, better="lower", headline=True, note=note
        )
        runs.append(make_run(name, measured=Measured([one])))
    html = write_report(runs, tmp_path / "page.html").read_text()
    assert re.findall(r"<t[hd][^>]*>([^<]*)</t[hd]>", html[html.index("The runs compared</h2>") :])[:6] == [
        "run", "bits/dim", "best epoch",
        "flow", "1.5 (bits/dim, log p; exact)", "Negative ELBO 0.62 bits/dim (epoch 2)",
    ]  # fmt: skip
    assert "Best of 2: flow (vae on mnist): Bits/dim, log p 1.5 bits/dim on 10,000 test images (exact)." in html


def test_a_folder_that_is_nothing_is_refused(tmp_path):
    with pytest.raises(UserError, match="neither a run nor a study"):
        write_report([tmp_path], tmp_path / "page.html")
    assert list(tmp_path.iterdir()) == []


def test_a_result_that_cannot_be_read_is_refused(make_run, measured, tmp_path):
    run = make_run(measured=measured)
    result = json.loads((run.folder / "result.json").read_text())
    del result["measurements"]["bits_per_dim"]["name"]
    (run.folder / "result.json").write_text(json.dumps(result))
    with pytest.raises(UserError, match="not as `epslab evaluate` writes it; evaluate the run again"):
        write_report([run], tmp_path / "page.html")


@pytest.mark.parametrize(
    ("mean", "error", "text"),
    [(0.53794, 0.00131, "0.5379 ± 0.0013"), (-103.26, 0.71, "−103.26 ± 0.71"), (5321.0, 120.0, "5,321 ± 120"),
     (1.0, 0.0, "1 ± 0"), (1.0, float("nan"), "1"), (1.0, float("inf"), "1 ± ∞")],
)  # fmt: skip
def test_errors_are_written_to_two_digits(mean, error, text):
    assert with_error(mean, error) == text


def test_a_model_of_points_is_not_said_to_see_images(tmp_path, measured):
    run = Run.create(tmp_path / "ring", {"recipe": "toy", "data": "gaussian-ring"}, provenance={"shape": [2]})
    (run.folder / "metrics.csv").write_text("epoch,val/loss\n0,2.0\n1,1.0\n")
    run.declare({})
    run.update_result(monitor="val/loss")
    assert run_section(run).lead == (
        "loss 1 on the validation points at the best epoch, 1 of 1; not yet measured on the test points."
    )
    run.record(measured, split="test", images=500)
    assert headline(run).endswith("bits/dim on 500 test points")


def test_settings_that_were_changed_on_the_way_are_told_with_the_epoch(make_run):
    run = make_run()
    before, after = {"epochs": 2, "devices": 1}, {"epochs": 6, "devices": 2}
    changes = [{"epoch": 2, "batch": 0, "before": before, "after": after}]
    changes += [{"epoch": 3, "batch": 5, "before": {"epochs": 6}, "after": {"epochs": 9}}]
    run.update_settings({"recipe": "vae", "data": "digits", "epochs": 9, "changes": changes, "repeats": changes})
    (settings,) = (table for table in run_section(run).details if table.title == "Settings")
    assert list(settings.rows)[-2:] == [
        ("changed after epoch 2", "epochs 2 → 6, devices 1 → 2"),
        ("changed after epoch 3, batch 5", "epochs 6 → 9"),
    ]
    assert not {"changes", "repeats"} & {row[0] for row in settings.rows}
