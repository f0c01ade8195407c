import html
import json
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from epslab import studies
from epslab.errors import UserError
from epslab.report import StudyResult
from epslab.studies import NAMES, Context, module, question, run_study


def test_every_study_asks_one_question() -> None:
    for name in NAMES:
        asked = import_module(module(name)).QUESTION
        assert question(name) == asked
        assert asked.count("?") == 1
        assert asked.endswith("?")


def test_unknown_studies(tmp_path: Path) -> None:
    for ask in (question, lambda name: run_study(name, Context(out=tmp_path))):
        with pytest.raises(UserError, match=r"Unknown study 'betta'\. Did you mean 'beta'"):
            ask("betta")
    assert not list(tmp_path.iterdir())
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        studies.nothing  # noqa: B018


@pytest.mark.processes
def test_names_and_questions_need_no_torch() -> None:
    code = "import sys; from epslab.studies import NAMES, question; [question(n) for n in NAMES]; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "epslab.studies" in loaded
    assert "torch" not in loaded


def test_the_page_holds_every_study(toured: Path, results: dict[str, StudyResult]) -> None:
    page = html.unescape((toured / "report.html").read_text())
    for result in results.values():
        assert result.question in page
        assert result.answer in page
        assert result.code in page
    assert "vae-0 (vae on digits)" in page
    assert "manifold-0 (vae on digits)" in page
    assert "epslab tour --data digits --seed 0" in page
    assert "21 models were trained" in page
    assert page.index(results["vae"].answer) < page.index(results["fgsm"].answer) < page.index("<h2")


@pytest.fixture
def copy(toured: Path, tmp_path: Path) -> Path:
    """The studies of the tour in another folder (their runs stay where they are)."""
    for name in NAMES:
        shutil.copytree(toured / name, tmp_path / name)
    return tmp_path


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the studies that are run, which here have nothing to say."""
    names: list[str] = []
    for name in NAMES:

        def run(context: Context, name: str = name) -> StudyResult:
            names.append(name)
            return StudyResult(name, question(name), "Nothing.")

        monkeypatch.setattr(import_module(module(name)), "run", run)
    return names


def _again(out: Path, **options: object) -> Path:
    return studies.tour(out=out, **{"accelerator": "cpu", "progress": False, **options})


def test_a_tour_keeps_what_is_finished(copy: Path, measured: list[str], toured: Path) -> None:
    page = _again(copy)
    assert measured == []
    assert page.read_text().count("<img") == (toured / "report.html").read_text().count("<img")


@pytest.mark.parametrize("option", [{"seed": 1}, {"data": "mnist"}])
def test_a_tour_with_other_settings_measures_anew(copy: Path, measured: list[str], option: dict) -> None:
    _again(copy, **option)
    assert measured == list(NAMES)


@pytest.mark.parametrize("file", ["settings.json", "result.json"])
def test_an_unfinished_study_is_measured_again(copy: Path, measured: list[str], file: str) -> None:
    (copy / "beta" / file).write_text("{")
    (copy / "vae" / file).unlink()
    _again(copy)
    assert measured == ["vae", "beta"]


def test_a_run_is_shown_once_by_whatever_path(toured: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(toured.parent)
    page = studies.running._page(
        {
            name: studies.running.Finished(StudyResult(name, "Is it?", "Yes.", runs=(run,)), 0.0)
            for name, run in (("vae", Path(toured.name, "runs", "vae-0")), ("fgsm", toured / "runs" / "vae-0"))
        },
        Context(out=toured),
    )
    assert [section.title for section in page.sections].count("vae-0 (vae on digits)") == 1


def test_a_study_whose_runs_are_gone_is_measured_again(copy: Path, measured: list[str]) -> None:
    result = json.loads((copy / "beta" / "result.json").read_text())
    result["runs"] = [str(copy / "gone")]
    (copy / "beta" / "result.json").write_text(json.dumps(result))
    _again(copy)
    assert measured == ["beta"]


@pytest.mark.usefixtures("measured")
def test_a_study_is_saved_with_the_command_that_repeats_it(tmp_path: Path) -> None:
    saved = run_study("beta", Context(out=tmp_path, data="my digits", seed=3))
    assert StudyResult.load(tmp_path / "beta") == saved
    assert saved.code == "epslab study beta --data 'my digits' --scale quick --seed 3"


@pytest.mark.usefixtures("measured")
def test_the_tour_says_what_it_does(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _again(tmp_path, progress=True)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[0] for line in lines] == list(NAMES)
    _again(tmp_path, progress=True)
    assert all("kept" in line for line in capsys.readouterr().err.splitlines())
