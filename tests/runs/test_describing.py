"""A run describes itself: measurements, columns and captioned pictures go into its folder and come back."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from matplotlib.figure import Figure

from epslab.errors import UserError
from epslab.runs import (
    Best,
    Column,
    DeclaresColumns,
    Measured,
    Measurement,
    Run,
    Table,
    norm_text,
    percent,
    pictures_in,
    png,
    radius_axis,
    radius_text,
    undeclared,
    whole_percent,
    with_interval,
)

ACCURACY = Measurement(
    "accuracy", "accuracy", "fraction", 0.989, interval=(0.986, 0.991), better="higher", headline=True,
    note="clean images", published="≈ 99 % (somebody)",
)  # fmt: skip
MEASURED = Measured(
    [ACCURACY, Measurement("units", "active units", value=14), Measurement("bad", "bad", "nats", math.inf,
     standard_error=math.nan)],
    tables=[Table("By class", ("class", "accuracy"), [("cat", 0.5), ("dog", math.nan), (None, 3)], "A note.")],
    statements=["It works."],
    warnings=["Barely."],
    conditions="16 grey levels",
)  # fmt: skip


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run.create(tmp_path / "a", {"recipe": "toy"})


def test_what_was_measured_comes_back(run: Run) -> None:
    assert run.measurements() == {}
    run.update_result(status="finished")
    run.record(MEASURED, split="test", images=360)
    assert list(run.measurements()) == ["accuracy", "units", "bad"]
    assert run.measurements()["accuracy"] == ACCURACY
    assert isinstance(run.measurements()["units"].value, int)
    bad = run.measurements()["bad"]
    assert bad.value == math.inf
    assert bad.standard_error is not None
    assert math.isnan(bad.standard_error)
    table = run.measured().tables[0]
    assert (table.title, table.columns, table.note) == ("By class", ("class", "accuracy"), "A note.")
    assert repr(table.rows) == repr((("cat", 0.5), ("dog", math.nan), (None, 3)))
    assert (run.measured().statements, run.measured().warnings) == (["It works."], ["Barely."])
    assert run.measured().conditions == "16 grey levels"
    run.record(replace(MEASURED, measurements=[ACCURACY]), split="test", images=10)
    assert list(run.measurements()) == ["accuracy"]
    assert run.result()["status"] == "finished"


def test_the_result_is_read_by_a_person_and_by_jq(run: Run) -> None:
    run.record(MEASURED, split="test", images=360)
    text = (run.folder / "result.json").read_text()

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    result = json.loads(text, parse_constant=refuse)
    assert result["measurements"]["accuracy"] == {
        "name": "accuracy", "unit": "fraction", "value": 0.989, "interval": [0.986, 0.991], "better": "higher",
        "headline": True, "note": "clean images", "published": "≈ 99 % (somebody)",
    }  # fmt: skip
    assert result["measurements"]["units"] == {"name": "active units", "unit": "", "value": 14}
    assert (result["split"], result["images"]) == ("test", 360)
    assert text.count("\n") > 20


@pytest.mark.parametrize(
    ("measurement", "text"),
    [
        (ACCURACY, "98.9 % [98.6, 99.1]"),
        (Measurement("a", "a", "fraction", 0.5, standard_error=0.0125), "50.0 ± 1.2 %"),
        (Measurement("a", "a", "fraction", 0.5), "50.0 %"),
        (Measurement("a", "a", "bits/dim", 0.53794, standard_error=0.00131), "0.5379 ± 0.0013 bits/dim"),
        (Measurement("a", "a", "nats", -12.34, interval=(-13.0, -11.5)), "−12.3 [−13.0, −11.5] nats"),
        (Measurement("a", "a", value=14), "14"),
        (Measurement("a", "a", value=14.0), "14"),
        (Measurement("a", "a", value=1.0, interval=(0.0, math.inf)), "1 [0, ∞]"),
    ],
)
def test_numbers_are_written_with_what_is_known_of_them(measurement: Measurement, text: str) -> None:
    assert measurement.text == text


def test_intervals_and_norms_and_radii_have_one_form() -> None:
    assert percent(0.5, (0.25, 0.75)) == "50.0 % [25.0, 75.0]"
    assert with_interval(1.8412, 1.62, 2.06) == "1.84 [1.62, 2.06]"
    assert with_interval(1234.5, 1000.0, 1500.0) == "1,234 [1,000, 1,500]"
    assert [norm_text(norm) for norm in ("linf", "l2", "l1", "pixels")] == ["L∞", "L2", "L1", "pixels"]


@pytest.mark.parametrize(
    ("radius", "text"),
    [
        (8 / 255, "8/255"), (0.5 / 255, "0.5/255"), (0.1, "0.1"), (0.3, "0.3"), (0.03125, "0.03125"), (12.0, "12"),
        (1000.0, "1000"), (0.0301234, "0.0301"), (200 / 255, "200/255"), (1.0, "1"), (0.0, "0"), (math.inf, "∞"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_a_radius_reads_as_it_was_given(radius: float, text: str, dtype: torch.dtype) -> None:
    """Also after it went through float32: 0.1 is "0.1", not "25.5/255"."""
    assert radius_text(torch.tensor(radius, dtype=dtype).item()) == text


def test_an_axis_of_radii_has_the_unit_they_were_given_in() -> None:
    default = [factor * 8 / 255 for factor in (0.125, 0.25, 0.5, 1, 2, 4)]
    assert radius_axis("linf", [0.0, *default]) == (255, "L∞ radius, 1/255 of the pixel range")
    for norm, radii in (("linf", [0.0, 0.0125, 0.1, 0.2]), ("linf", []), ("l2", default)):
        assert radius_axis(norm, radii)[0] == 1
    assert radius_axis("l2", [0.5])[1] == "L2 radius, the pixel range is 1"


def test_a_radius_that_was_typed_stays() -> None:
    assert [radius_text(text) for text in ("8/255", "0.10", "1/3")] == ["8/255", "0.10", "1/3"]


@pytest.mark.parametrize(
    ("fraction", "text", "whole"),
    [
        (0.0, "0.0 %", "0 %"), (1.0, "100.0 %", "100 %"), (0.5, "50.0 %", "50 %"), (0.0001, "0.01 %", "1 %"),
        (0.9999, "99.99 %", "99 %"), (0.004, "0.4 %", "1 %"), (0.996, "99.6 %", "99 %"), (2.0, "200.0 %", "200 %"),
        (math.nan, "NaN %", "NaN %"),
    ],
)  # fmt: skip
def test_only_none_reads_0_percent_and_only_all_reads_100(fraction: float, text: str, whole: str) -> None:
    assert (percent(fraction), whole_percent(fraction)) == (text, whole)


def test_columns_come_back_and_the_others_have_their_own_name(run: Run) -> None:
    columns = {"critic/gap": Column("Gap", "nats", "lower"), "loss": Column("Loss")}
    run.declare(columns)
    assert run.columns() == columns
    assert undeclared("critic/gradient_penalty") == Column("critic: gradient penalty")
    run.declare({})
    assert run.columns() == {}
    run.update_result(columns={"a": {"wrong": 1}})
    with pytest.raises(UserError, match="does not say what its columns are"):
        run.columns()


def test_an_objective_declares_columns_or_not() -> None:
    class Declares:
        columns = {"loss": Column("Loss")}  # noqa: RUF012

    assert isinstance(Declares(), DeclaresColumns)
    assert not isinstance(lambda: None, DeclaresColumns)


ROWS = "epoch,train/loss,val/loss,val/score\n0,,1.0,9\n1,5.0,3.0,4\n2,4.0,2.0,nan\n3,3.0,2.0,6\n4,3.5,inf,6\n"


@pytest.mark.parametrize(
    ("monitor", "column", "epoch", "text"),
    [
        ("val/loss", Column("Loss", "nats", "lower"), 2, "Loss 2 nats on the validation images"),
        ("val/loss", Column("Loss", "fraction"), 2, "Loss 200.0 % on the validation images"),
        ("val/score", Column("Score", better="higher"), 3, "Score 6 on the validation images"),
        ("val/score", Column("Score", better="lower"), 1, "Score 4 on the validation images"),
        ("train/loss", Column("Loss"), 3, "Loss 3 on the training images"),
    ],
)
def test_the_best_epoch_is_the_first_best_by_the_column_s_direction(
    run: Run, monitor: str, column: Column, epoch: int, text: str
) -> None:
    """Epoch 0 is before training, and what is not finite is never best."""
    (run.folder / "metrics.csv").write_text(ROWS)
    run.update_result(monitor=monitor)
    run.declare({monitor.partition("/")[2]: column})
    best = run.best()
    assert isinstance(best, Best)
    assert (best.epoch, best.last) == (epoch, 4)
    assert best.text == f"{text} at the best epoch, {epoch} of 4"


def test_without_a_monitor_or_epochs_there_is_no_best_one(run: Run) -> None:
    assert run.best() is None
    run.update_result(monitor="val/loss")
    assert run.best() is None
    (run.folder / "metrics.csv").write_text("epoch,val/loss\n0,1.0\n")
    assert run.best() is None
    (run.folder / "metrics.csv").write_text(ROWS)
    assert run.best() is not None
    run.update_result(monitor=None)
    assert run.best() is None


def drawing(width: float = 1.0) -> Figure:
    figure = Figure(figsize=(width, 1.0), dpi=50)
    figure.add_subplot().plot([0, 1], [0, 1])
    return figure


def test_pictures_come_in_order_with_their_captions(run: Run) -> None:
    assert run.pictures() == []
    run.show("zebra", drawing(), "Shown first.")
    run.show("ape", png(drawing()), "Shown second.", alt="An ape.")
    run.show("samples-20", drawing(), "Later.", order=20)
    run.show("samples-3", drawing(), "Earlier.", order=3)
    run.show("zebra", drawing(2.0), "Shown again.")
    (run.figures / "by-hand.png").write_bytes(png(drawing()))
    assert [(one.name, one.caption, one.alt) for one in run.pictures()] == [
        ("samples-3", "Earlier.", ""),
        ("samples-20", "Later.", ""),
        ("zebra", "Shown again.", ""),
        ("ape", "Shown second.", "An ape."),
        ("by-hand", "By hand", ""),
    ]
    assert run.pictures()[2].path.read_bytes() == png(drawing(2.0))
    (run.figures / "ape.png").unlink()
    assert "ape" not in [one.name for one in pictures_in(run.figures)]
    assert json.loads((run.figures / "index.json").read_text())["samples-3"] == {"caption": "Earlier.", "order": 3}


def test_a_read_only_run_shows_nothing(run: Run) -> None:
    other = Run(run.folder, read_only=True)
    other.show("a", drawing(), "A.")
    other.record(MEASURED, split="test", images=1)
    other.declare({"a": Column("a")})
    assert run.pictures() == []
    assert run.result() == {}


@pytest.mark.parametrize("name", ["", "a/b", "../a", ".hidden", "a\\b", "a\nb", " a", "a" * 201])
def test_a_name_that_is_no_file_is_refused(run: Run, name: str) -> None:
    with pytest.raises(UserError, match="cannot name a picture"):
        run.show(name, drawing(), "A.")
    assert list(run.figures.iterdir()) == []


@pytest.mark.parametrize("name", ["grid-fgsm+pgd", "pgd:steps=100,restarts=5", "a b", "Größe"])
def test_any_file_name_will_do(run: Run, name: str) -> None:
    run.show(name, drawing(), "A.")
    assert [(one.name, one.caption) for one in run.pictures()] == [(name, "A.")]


def test_what_is_no_picture_is_refused_before_anything_is_written(run: Run) -> None:
    with pytest.raises(UserError, match="is not a PNG"):
        run.show("a", b"GIF89a", "A.")
    assert list(run.figures.iterdir()) == []
    (run.figures / "index.json").write_text("[1]")
    with pytest.raises(UserError, match="captions of pictures; delete it"):
        run.pictures()


def test_a_kill_while_a_picture_is_written_leaves_nothing_behind(run: Run) -> None:
    for name in (".index.json.x1y2", ".samples-3.png.x1y2"):
        (run.figures / name).write_text("half")
    run.clear_leftovers()
    assert list(run.figures.iterdir()) == []


def test_tables_keep_every_digit() -> None:
    table = Table("t", ("name", "value"), [("a, b", 1 / 3), (None, 2)])
    assert table.to_csv() == 'name,value\n"a, b",0.3333333333333333\n,2\n'
    assert Table.from_dict(table.to_dict()) == replace(table, rows=tuple(map(tuple, table.rows)))
    for broken in ({"columns": ["a"], "rows": [[[1]]]}, {"columns": ["a"], "rows": [[1, 2]]}):
        with pytest.raises(ValueError, match=r"no number and no text|a row of 2"):
            Table.from_dict(broken)
