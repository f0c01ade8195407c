"""The errors that ``make mutants`` puts into the code, on a file of six lines; and the file of harmless ones."""

from pathlib import Path

from mutants.__main__ import EQUIVALENT, TESTS, found
from mutants.errors import mutants

CODE = """
def f(x: int = 3, *, up: bool = True) -> int:
    if x < 2 and not up:
        raise ValueError(1 + x)
    return -x if up else x + 1 + 1
"""


def test_every_kind_of_expression_is_changed_once_for_each_error_that_fits(tmp_path: Path) -> None:
    path = tmp_path / "code.py"
    path.write_text(CODE, encoding="utf-8")
    assert [mutant.name for mutant in mutants(path, "code")] == [
        "code.f: True -> False",
        "code.f: 3 -> 4",
        "code.f: x < 2 and (not up) -> x < 2 or not up",
        "code.f: x < 2 -> x <= 2",
        "code.f: 2 -> 3",
        "code.f: not up -> up",
        "code.f: -x if up else x + 1 + 1 -> x + 1 + 1 if up else -x",
        "code.f: -x -> x",
        "code.f: x + 1 + 1 -> x + 1 - 1",
        "code.f: x + 1 -> x - 1",
        "code.f: 1 -> 2",
        "code.f: 1 -> 2 (2)",
    ]


def test_the_error_stands_in_the_source_and_nothing_else_changes(tmp_path: Path) -> None:
    path = tmp_path / "code.py"
    path.write_text(CODE, encoding="utf-8")
    changed = [mutant.source() for mutant in mutants(path, "code")]
    assert changed[3] == CODE.replace("x < 2", "(x <= 2)")
    assert changed[8] == CODE.replace("x + 1 + 1", "(x + 1 - 1)")
    assert changed[11] == CODE.replace("x + 1 + 1", "x + 1 + (2)")


def test_what_is_declared_harmless_is_an_error_that_could_be_made_and_has_a_reason() -> None:
    known = {mutant.name for package in TESTS for mutant in found(package)}
    for line in EQUIVALENT.read_text(encoding="utf-8").splitlines():
        name, _, reason = line.partition("  # ")
        assert name in known, name
        assert len(reason) > 10, name
