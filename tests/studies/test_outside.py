"""A study from outside: by import path or entry point, killed in the middle, told again."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from epslab.errors import UserError
from epslab.report import StudyResult
from epslab.studies import STUDIES, Context, run_study

SOURCE = """
from dataclasses import dataclass
from pathlib import Path

from epslab.report import StudyResult, Table
from epslab.studies import Context


@dataclass(frozen=True)
class Part:
    square: int


@dataclass(frozen=True)
class Found:
    parts: tuple[Part, ...]


def square(i: int) -> Part:
    with Path("asked").open("a") as log:
        log.write(str(i))
    if i == 2 and Path("kill").exists():
        raise KeyboardInterrupt
    return Part(i * i)


class Squares:
    QUESTION = "What are the squares?"

    def measure(self, context: Context) -> Found:
        return Found(tuple(context.once(f"square-{i}", square, i) for i in range(4)))

    def tell(self, found: Found) -> StudyResult:
        rows = [(part.square,) for part in found.parts]
        return StudyResult("squares", self.QUESTION, Path("word").read_text(), tables=(Table("All", ("n",), rows),))


squares = Squares()
nothing = object()
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working folder with the study's module, and a package that brings it as "squares"."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "toy_squares.py").write_text(SOURCE)
    info = tmp_path / "site" / "toys-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toys\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[epslab.studies]\nsquares = toy_squares:squares\n")
    monkeypatch.syspath_prepend(tmp_path / "site")
    (tmp_path / "word").write_text("They grow.")
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_a_killed_study_goes_on_with_what_was_measured(here: Path) -> None:
    (here / "kill").touch()
    context = Context(out=here / "out", progress=False)
    with pytest.raises(KeyboardInterrupt):
        run_study("toy_squares:squares", context)
    (here / "kill").unlink()
    result = run_study("toy_squares:squares", context)
    assert (here / "asked").read_text() == "012" + "23"
    assert [row for (row,) in result.tables[0].rows] == [0, 1, 4, 9]
    assert StudyResult.load(here / "out" / "toy_squares.squares").answer == "They grow."
    (here / "word").write_text("They are even and odd by turns.")
    assert run_study("toy_squares:squares", context).answer == "They are even and odd by turns."
    assert (here / "asked").read_text() == "012" + "23"


def test_a_package_brings_a_study_to_the_command_line(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from epslab.cli import main

    assert "squares" in STUDIES
    main(["study", "--help"])
    assert "from toys 1.0" in capsys.readouterr().out
    main(["study", "squares", "--out", "out"])
    shown = capsys.readouterr().out
    assert "What are the squares?" in shown
    assert "They grow." in shown
    assert "out/squares/tables" in shown
    main(["study", "squares", "--out", "out"])
    assert (here / "asked").read_text() == "0123"
    main(["study", "squares", "--out", "out", "--overwrite"])
    assert (here / "asked").read_text() == "01230123"


def test_what_is_no_study_is_refused(here: Path) -> None:
    with pytest.raises(UserError, match=r"'toy_squares:nothing' is no study: .* QUESTION, measure"):
        run_study("toy_squares:nothing", Context(out=here / "out"))
    assert not (here / "out").exists()
