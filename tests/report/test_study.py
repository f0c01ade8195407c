import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest

from epslab import figures
from epslab.errors import UserError
from epslab.report import StudyResult, Table, study_section, write_report


def study(folder):
    rows = ((1, 0.1, "0.5 ± 0.1", None), (20, float("inf"), 'a, "b"', float("-inf")))
    return StudyResult(
        "estimators",
        "By how much do they miss?",
        "By 65 nats.",
        tables=(
            Table("Errors, nats", ("D", "error", "text", "none"), rows, "A note."),
            Table("Errors, nats", ("a",), ()),
        ),
        figures={"Falls with D: ελβο": figures.bars([1.0]), "…": figures.bars([2.0])},
        runs=(folder / "runs" / "inner", Path("/elsewhere/outer")),
        code="epslab study estimators",
        warnings=("One seed only.",),
    )


def test_a_study_comes_back_from_its_folder(tmp_path):
    made = study(tmp_path)
    assert made.save(tmp_path) == tmp_path / "result.json"
    read = StudyResult.load(tmp_path)
    assert read.tables == made.tables
    assert (read.name, read.question, read.answer, read.code) == (made.name, made.question, made.answer, made.code)
    assert (read.runs, read.warnings) == (made.runs, made.warnings)
    assert [path.read_bytes() for path in read.figures.values()] == [figures.png(f) for f in made.figures.values()]
    assert list(read.figures) == list(made.figures)


def test_a_moved_study_finds_its_own_runs(tmp_path):
    study(tmp_path / "a").save(tmp_path / "a")
    (tmp_path / "a").rename(tmp_path / "b")
    assert StudyResult.load(tmp_path / "b").runs == (tmp_path / "b" / "runs" / "inner", Path("/elsewhere/outer"))


def test_a_result_told_again_leaves_no_old_figures_and_tables(tmp_path):
    made = study(tmp_path)
    made.save(tmp_path)
    (tmp_path / "figures" / "mine.png").write_bytes(b"mine")
    kept, _ = made.figures.items()
    table = Table("Other words", ("a",), ())
    replace(made, figures=dict([kept]), tables=[made.tables[0], table]).save(tmp_path)
    assert sorted(path.name for path in (tmp_path / "figures").iterdir()) == ["01-falls-with-d.png", "mine.png"]
    assert sorted(path.name for path in (tmp_path / "tables").iterdir()) == ["01-errors-nats.csv", "02-other-words.csv"]


def test_tables_are_written_with_every_digit_and_json_is_strict(tmp_path):
    study(tmp_path).save(tmp_path)
    with (tmp_path / "tables" / "01-errors-nats.csv").open(newline="") as file:
        assert list(csv.reader(file))[1:] == [["1", "0.1", "0.5 ± 0.1", ""], ["20", "inf", 'a, "b"', "-inf"]]

    def refuse(constant):
        raise AssertionError(constant)

    json.loads((tmp_path / "result.json").read_text(), parse_constant=refuse)
    assert sorted(path.name for path in (tmp_path / "figures").iterdir()) == ["01-falls-with-d.png", "02-untitled.png"]


def test_a_study_s_section_leads_with_its_answer(tmp_path):
    section = study_section(study(tmp_path))
    assert section.title == "By how much do they miss?"
    assert section.lead == "By 65 nats."
    assert [picture.caption for picture in section.pictures] == ["Falls with D: ελβο", "…"]
    study(tmp_path).save(tmp_path)
    assert "One seed only." in write_report([tmp_path], tmp_path / "page.html").read_text()


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"name": "x"}'])
def test_a_folder_without_a_study_is_refused(tmp_path, content):
    (tmp_path / "result.json").write_text(content)
    with pytest.raises(UserError, match="no study that can be read"):
        StudyResult.load(tmp_path)


def test_a_study_names_runs_next_to_it_and_no_folder_of_the_machine(tmp_path):
    result = StudyResult("a", "Why?", "So.", runs=(tmp_path / "runs" / "vae-0",))
    path = result.save(tmp_path / "a")
    assert json.loads(path.read_text())["runs"] == ["../runs/vae-0"]
    assert str(tmp_path) not in path.read_text()
    assert StudyResult.load(tmp_path / "a").runs == result.runs


@pytest.mark.parametrize("mark", ["config.yaml", "evaluation.json"])
def test_a_study_is_not_saved_over_a_run_or_an_attack(tmp_path, mark):
    (tmp_path / mark).write_text("")
    (tmp_path / "result.json").write_text("the only copy")
    with pytest.raises(UserError, match="holds a run or an attack"):
        StudyResult("mine", "?", ".").save(tmp_path)
    assert (tmp_path / "result.json").read_text() == "the only copy"
