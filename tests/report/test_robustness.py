import json
import shutil

import pytest
import torch

from epslab import figures
from epslab.errors import UserError
from epslab.report import write_report
from epslab.report.robustness import AuditFolder, attacks_of, headline, is_attack, robustness_section
from epslab.runs import save_picture

SHARE = {"value": 0.5, "successes": 100, "n": 200, "low": 0.4287, "high": 0.5713}
CLEAN = {"value": 0.98, "successes": 196, "n": 200, "low": 0.9496, "high": 0.9945}
TABLE = {
    "columns": [
        "attack", "accuracy", "low", "high", "broken", "median distance", "norm", "queries", "gradients",
        "accuracy in 8 bits",
    ],
    "rows": [
        ["clean", 0.98, 0.9496, 0.9945, None, None, None, None, None, None],
        ["pgd", 0.5, 0.4287, 0.5713, 0.49, 8 / 255, "linf", 31.5, 30.0, 0.51],
        ["worst-case", 0.5, 0.4287, 0.5713, 0.49, None, None, 31.5, 30.0, 0.51],
    ],
}  # fmt: skip
CONTENT = {
    "kind": "attack",
    "settings": {
        "model": "runs/cnn", "data": "digits", "split": "test", "images": 200, "attacks": ["pgd"], "norm": "linf",
        "radius": "8/255", "steps": None, "seed": 0,
    },
    "command": "epslab attack runs/cnn --attacks pgd --radius 8/255",
    "clean_accuracy": CLEAN,
    "worst_case": SHARE,
    "table": TABLE,
    "per_class": {
        "columns": ["class", "examples", "clean", "pgd", "worst-case"], "rows": [["<cat>", 20, 1.0, 0.4, 0.4]]
    },
    "findings": [
        {"name": "gradients are not zero or NaN", "verdict": "pass", "evidence": "0 of 200.", "numbers": {}},
        {"name": "outputs are logits", "verdict": "fail", "evidence": "Rows sum to 1.", "numbers": {}},
        {"name": "white-box beats black-box", "verdict": "not checked", "evidence": "There is none.", "numbers": {}},
    ],
    "sweep": {
        "norm": "linf",
        "curve": {
            "columns": ["radius", "accuracy", "low", "high"],
            "rows": [[0.0, 0.98, 0.95, 0.99], [8 / 255, 0.5, 0.43, 0.57]],
        },
    },
}  # fmt: skip


@pytest.fixture
def attacked(tmp_path):
    """An attack's folder as ``epslab attack`` leaves it, with changes to its result."""

    def make(folder=None, pictures=(), **changes):
        folder = folder or tmp_path / "attack"
        (folder / "figures").mkdir(parents=True)
        (folder / "result.json").write_text(json.dumps({**CONTENT, **changes}))
        for picture in pictures:
            png = figures.png(figures.image_grid(torch.zeros(4, 1, 8, 8)))
            (folder / "figures" / f"{picture}.png").write_bytes(png)
        return folder

    return make


def section(folder):
    return robustness_section(AuditFolder.load(folder))


def test_the_headline_is_the_worst_case_with_its_interval():
    assert headline(CONTENT) == (
        "Worst-case accuracy 50.0 % [42.9, 57.1] in the L∞ ball of radius 8/255 over 200 test images of digits;"
        " 98.0 % [95.0, 99.5] without an attack."
    )


def test_accuracies_are_in_percent_with_intervals_and_costs(attacked):
    table = section(attacked()).tables[0]
    rows = {row[0]: dict(zip(table.columns, row, strict=True)) for row in table.rows}
    assert rows["pgd"]["accuracy, %"] == "50.0"
    assert rows["pgd"]["95 % interval, %"] == "[42.9, 57.1]"
    assert rows["pgd"]["in 8 bits, %"] == "51.0"
    assert rows["pgd"]["median distance"] == "8/255"
    assert rows["pgd"]["gradients"] == 30.0
    assert rows["clean"]["in 8 bits, %"] is None


def test_findings_have_marks_and_evidence_and_failures_are_warnings(attacked):
    made = section(attacked())
    rows = made.tables[1].rows
    assert [row[0][0] for row in rows] == ["✓", "✗", "–"]
    assert [row[1] for row in rows] == ["0 of 200.", "Rows sum to 1.", "There is none."]
    assert made.warnings == ["Not passed: outputs are logits. Rows sum to 1."]


def test_classes_radii_settings_and_the_command_are_there(attacked):
    made = section(attacked())
    assert list(made.tables[2].rows[0]) == ["<cat>", 20, "100.0", "40.0", "40.0"]
    assert [row[0] for row in made.details[0].rows] == ["0", "8/255"]
    settings = dict(made.details[1].rows)
    assert settings["attacks"] == "pgd"
    assert "steps" not in settings
    assert made.code == CONTENT["command"]


def test_pictures_without_an_index_come_in_order_with_captions_and_strangers_last(attacked):
    names = ["most-robust", "grid-pgd", "accuracies", "radius", "least-robust", "mine"]
    made = section(attacked(pictures=names))
    assert [picture.image.stem for picture in made.pictures] == [
        "accuracies", "radius", "grid-pgd", "least-robust", "most-robust", "mine",
    ]  # fmt: skip
    assert all(picture.caption for picture in made.pictures)
    assert "pgd" in made.pictures[2].caption


def test_pictures_are_captioned_and_ordered_by_the_folder(attacked):
    folder = attacked()
    for name in ("second", "first"):
        save_picture(folder / "figures", name, figures.bars([1.0]), f"The {name}.", order=name == "second")
    assert [picture.caption for picture in section(folder).pictures] == ["The first.", "The second."]


FREE = ["grey", 0.1, 0.06, 0.15, 0.9, 1.67, "l2", 14.0, 0.0, 0.1, 1.05, 2.3]


def mixed(*rows, **attacks):
    """Changes to a result: rows of attacks, and what each of them was allowed."""
    columns = [*TABLE["columns"], "distance at 10 %", "distance at 90 %"]
    clean, pgd, worst = ([*row, None, None] for row in TABLE["rows"])
    table = {"columns": columns, "rows": [clean, *([pgd] if "pgd" in attacks else []), *rows, worst]}
    return {"table": table, "attacks": attacks}


GREY = {"norm": "l2", "radius": None}


@pytest.mark.parametrize("radius", [None, "inf", "8/255"])
def test_an_attack_without_a_ball_is_told_by_its_norm_and_distances(attacked, radius):
    settings = {**CONTENT["settings"], "radius": radius, "attacks": ["grey"]}
    made = section(attacked(settings=settings, **mixed(FREE, grey=GREY)))
    assert made.lead == (
        "Median distance that makes the model wrong: L2 1.67 (10 % within 1.05, 90 % within 2.3) by grey;"
        " 50.0 % [42.9, 57.1] of 200 test images of digits stay right at any distance, 98.0 % [95.0, 99.5] without an"
        " attack."
    )
    table = made.tables[0]
    assert table.title == "Accuracy"
    assert dict(zip(table.columns, table.rows[1], strict=True))["median distance"] == "1.67 [1.05, 2.3]"
    assert "Median distance (L2)" in table.note
    assert "ball" not in table.note.replace("without a ball", "")


def test_a_folder_of_before_without_a_radius_has_no_ball(attacked):
    """As one that names no attack's own norm and radius."""
    made = section(attacked(settings={**CONTENT["settings"], "radius": None}))
    assert made.lead.startswith("Median distance that makes the model wrong: L∞ 8/255 by pgd; 50.0 %")


def test_an_attack_that_broke_nothing_has_no_distance(attacked):
    row = ["grey", 0.98, 0.95, 0.99, 0.0, None, "l2", 14.0, 0.0, 0.98, None, None]
    made = section(attacked(**mixed(row, grey=GREY)))
    assert "makes the model wrong: none, as grey broke no image; " in made.lead
    assert made.tables[0].rows[1][4] is None


def test_attacks_in_a_ball_and_without_one_are_told_apart(attacked):
    pgd = {"norm": "linf", "radius": 8 / 255}
    made = section(attacked(**mixed(FREE, pgd=pgd, grey=GREY)))
    assert made.lead == (
        "Worst-case accuracy 50.0 % [42.9, 57.1] in the L∞ ball of radius 8/255 over 200 test images of digits;"
        " median distance that makes the model wrong: L2 1.67 (10 % within 1.05, 90 % within 2.3) by grey;"
        " 98.0 % [95.0, 99.5] without an attack."
    )
    assert made.tables[0].title == "Accuracy"
    assert [row[:2] for row in made.tables[0].rows] == [
        ["clean", None], ["pgd", "L∞ 8/255"], ["grey", "L2 (no ball)"], ["worst-case", None]
    ]  # fmt: skip
    assert "withstands every attack in a ball." in made.tables[0].note


def test_a_distance_as_large_as_the_radius_is_written_as_that_is(attacked):
    """0.2 in float32 is 51/255 to six digits."""
    row = ["pgd", 0.5, 0.4287, 0.5713, 0.49, 0.20000000298, "linf", 31.5, 30.0, 0.51, 0.15, 0.2]
    settings = {**CONTENT["settings"], "radius": "0.2"}
    table = section(attacked(settings=settings, **mixed(row, pgd2={}))).tables[0]
    assert dict(zip(table.columns, table.rows[1], strict=True))["median distance"] == "0.2 [0.15, 0.2]"


def test_an_attack_with_a_ball_of_its_own_is_told_by_that(attacked):
    own = {"pgd": {"norm": "linf", "radius": 8 / 255}, "grey": {"norm": "l2", "radius": 0.5}}
    made = section(attacked(**mixed(FREE, **own)))
    assert "in the L∞ ball of radius 8/255 or the L2 ball of radius 0.5 over" in made.lead
    assert made.tables[0].rows[2][1] == "L2 0.5"


@pytest.mark.parametrize(("radius", "text"), [("8/255", "8/255"), (8 / 255, "8/255"), ("0.15", "0.15"), (0.15, "0.15")])
def test_a_radius_is_written_as_it_was_given(attacked, radius, text):
    made = section(attacked(settings={**CONTENT["settings"], "radius": radius}))
    assert f"in the L∞ ball of radius {text} over" in made.lead


def test_without_sweep_and_findings_their_tables_are_missing(attacked):
    made = section(attacked(sweep=None, findings=[]))
    assert [table.title for table in made.tables] == [
        "Accuracy in the L∞ ball of radius 8/255",
        "By class, accuracy in %",
    ]
    assert [table.title for table in made.details] == ["Settings"]
    assert not made.warnings


def test_a_page_of_an_attack_alone_and_of_a_run_with_it(attacked, make_run, tmp_path):
    run = make_run()
    folder = attacked(run.folder / "attacks" / "pgd")
    (run.folder / "attacks" / "unfinished").mkdir()
    alone = write_report([folder], tmp_path / "alone.html").read_text()
    both = write_report([run], tmp_path / "both.html").read_text()
    for page in (alone, both):
        assert page.count("Worst-case accuracy 50.0 %") == 1
        assert "&lt;cat&gt;" in page
        assert "<cat>" not in page
    assert "first (vae on mnist), attacked" in both
    assert len(attacks_of(run.folder)) == 1
    many = write_report([run, folder], tmp_path / "many.html").read_text()
    assert "epslab: 1 run and 1 attack" in many


def test_folders_without_a_finished_attack_are_refused(attacked, tmp_path, make_run):
    assert not is_attack(tmp_path)
    assert not is_attack(make_run().folder)
    with pytest.raises(UserError, match="no finished attack"):
        AuditFolder.load(tmp_path)
    with pytest.raises(UserError, match="holds no attack"):
        AuditFolder.load(attacked(kind="study"))


@pytest.mark.parametrize("lost", ["settings", "worst_case", "table", "findings", "per_class"])
def test_a_result_that_lacks_its_parts_is_refused(attacked, lost):
    folder = attacked()
    content = {name: value for name, value in CONTENT.items() if name != lost}
    (folder / "result.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match="not as `epslab attack` writes it"):
        section(folder)
    shutil.rmtree(folder)
