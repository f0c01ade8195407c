"""The command line called in-process: its exit code and what it printed."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from epslab.cli import main


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str


@pytest.fixture
def epslab(capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    def call(*words: object) -> Outcome:
        code = main([str(word) for word in words])
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return call


@pytest.fixture
def refused(epslab: Callable[..., Outcome]) -> Callable[..., str]:
    """Call the command line with what cannot work; the one line it said."""

    def call(*words: object) -> str:
        outcome = epslab(*words)
        assert outcome.code == 2, outcome
        assert outcome.err.startswith("epslab: ")
        assert outcome.err.count("\n") == 1, outcome.err
        assert "Traceback" not in outcome.err
        return outcome.err

    return call


@pytest.fixture
def kept(epslab: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Ask for an attack that was measured before: what is printed; nothing is measured."""

    def call(*words: object) -> str:
        with monkeypatch.context() as patched:
            patched.setattr("epslab.audits.running.audit", None)
            patched.setattr("epslab.audits.audit", None, raising=False)
            outcome = epslab(*words)
        assert outcome.code == 0, outcome
        return outcome.out

    return call


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test works in an empty folder of its own."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("COLUMNS", raising=False)  # set where test files run in parallel
    return folder


def files_in(folder: Path) -> dict[str, bytes | None]:
    """Everything below a folder, with its content."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


@pytest.fixture
def nothing_written(refused: Callable[..., str], elsewhere: Path) -> Callable[..., str]:
    """Call with what cannot work: the sentence; the folder is as it was."""

    def call(*words: object) -> str:
        before = files_in(elsewhere)
        sentence = refused(*words)
        assert files_in(elsewhere) == before
        return sentence

    return call


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small classifier of digits, once for a test file."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    words = ("--epochs", "4", "--width", "4", "--accelerator", "cpu", "--out", str(folder))
    assert main(["train", "small-cnn", *words]) == 0
    return folder


@pytest.fixture
def run(trained: Path, elsewhere: Path) -> Path:
    """A copy of the trained run, by its folder's name, in the working folder."""
    return Path(shutil.copytree(trained, "run"))
