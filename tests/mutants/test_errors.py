"""The errors that ``make mutants`` puts into the code, on a file of six lines; and the file of harmless ones."""

from pathlib import Path

from mutants.__main__ import TESTS, declared, found
from mutants.errors import Mutant, mutants
from mutants.running import ROOT, Coverage

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


def test_what_is_changed_and_the_tests_that_must_notice_are_there() -> None:
    for package, tests in TESTS.items():
        assert found(package), package
        assert all((ROOT / test).exists() for test in tests), package


def test_what_is_declared_harmless_is_an_error_that_could_be_made_and_has_a_reason() -> None:
    known = {mutant.name for package in TESTS for mutant in found(package)}
    for name, reason in declared().items():
        assert name in known, name
        assert len(reason) > 10, name


def test_an_error_is_shown_to_the_tests_that_run_its_line_the_quickest_first() -> None:
    path = ROOT / "src" / "epslab" / "seeds.py"
    coverage = Coverage(
        seconds={"a.py::slow": 3.0, "a.py::quick": 1.0, "b.py::one": 2.0, "c.py::other": 0.1},
        lines={
            "a.py::slow": ["epslab/seeds.py:7"],
            "a.py::quick": ["epslab/seeds.py:6", "epslab/seeds.py:7"],
            "b.py": ["epslab/seeds.py:7"],  # a fixture
            "c.py::other": ["epslab/seeds.py:9", "epslab/files.py:7"],
        },
        imported=["epslab/seeds.py:3"],
    )

    def noticing(first: int, last: int) -> list[str]:
        return coverage.tests(Mutant(path, "seeds", "1", "2", 1, (first, 0, last, 0)))

    assert noticing(7, 7) == ["b.py::one", "a.py::quick", "a.py::slow"]
    assert noticing(5, 6) == ["a.py::quick"]
    everything = ["c.py::other", "b.py::one", "a.py::quick", "a.py::slow"]
    assert noticing(3, 3) == everything  # runs at import
    assert noticing(8, 8) == everything  # a default, or a line that nothing runs
