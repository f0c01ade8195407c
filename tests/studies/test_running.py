import html
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from epslab import studies
from epslab.data import ImageSet
from epslab.errors import UserError
from epslab.report import StudyResult
from epslab.studies import NAMES, STUDIES, Context, question, run_study
from epslab.studies import context as contexts

from .founds import ALL


def test_every_study_asks_one_question() -> None:
    for name in NAMES:
        asked = STUDIES[name].QUESTION
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
    assert f"{len(list((toured / 'runs').iterdir()))} models were trained" in page
    assert page.index(results["vae"].answer) < page.index(results["fgsm"].answer) < page.index("<h2")


@pytest.fixture
def copy(toured: Path, tmp_path: Path) -> Path:
    """The studies of the tour in another folder, beside the same runs."""
    for name in NAMES:
        shutil.copytree(toured / name, tmp_path / name)
    (tmp_path / "runs").symlink_to(toured / "runs")
    return tmp_path


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the studies that measure, which here find what was made by hand and say little.

    Data sets of any name are there.
    """
    names: list[str] = []
    for name in NAMES:
        study = STUDIES[name]

        def measure(context: Context, name: str = name) -> object:
            names.append(name)
            return ALL[name]()

        def tell(found: object, name: str = name) -> StudyResult:
            return StudyResult(name, question(name), f"Told by {name}.")

        measure.__annotations__["return"] = study.measure.__annotations__["return"]
        monkeypatch.setattr(study, "measure", measure)
        monkeypatch.setattr(study, "tell", tell)
    whole = contexts.datasets.load

    def load(name: str, split: str, root: Path | None = None) -> ImageSet:
        pixels = torch.full((100, 1, 8, 8), len(name), dtype=torch.uint8)
        return whole(name, split, root) if name == "digits" else ImageSet(pixels, torch.zeros(100).long(), ("a", "b"))

    monkeypatch.setattr(contexts.datasets, "load", load)
    return names


def _again(out: Path, **options: object) -> Path:
    return studies.tour(out=out, **{"accelerator": "cpu", "progress": False, **options})


def _files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for name in NAMES
        for path in sorted((folder / name).rglob("*"))
        if path.is_file()
    }


def test_a_tour_keeps_what_is_measured(copy: Path, measured: list[str]) -> None:
    page = _again(copy)
    assert measured == []
    assert all(f"Told by {name}." in page.read_text() for name in NAMES)


@pytest.mark.processes
def test_a_fresh_process_tells_the_same_from_disk_and_measures_nothing(copy: Path, toured: Path) -> None:
    before = _files(copy)
    results = {name: StudyResult.load(copy / name) for name in NAMES}
    for name in NAMES:
        (copy / name / "result.json").unlink()
        for folder in ("figures", "tables"):
            shutil.rmtree(copy / name / folder, ignore_errors=True)
    code = f"""if True:
        from pathlib import Path
        from epslab import studies
        for name in studies.NAMES:
            study = studies.STUDIES[name]
            def refuse(*_): raise AssertionError("measured again")
            refuse.__annotations__ = study.measure.__annotations__
            study.measure = refuse
        studies.tour(out=Path({str(copy)!r}), accelerator="cpu", progress=False)
    """
    subprocess.run([sys.executable, "-c", code], check=True)
    for name, result in results.items():
        again = StudyResult.load(copy / name)
        assert (again.answer, again.tables, again.warnings) == (result.answer, result.tables, result.warnings)
        assert list(again.figures) == list(result.figures)
    after = _files(copy)
    assert after.keys() == before.keys()
    pages = [(folder / "report.html").read_text().count("<img") for folder in (copy, toured)]
    assert pages[0] == pages[1] > 20
    assert [name for name in after if after[name] != before[name] and not name.endswith("result.json")] == []


def test_words_change_without_measuring(copy: Path, measured: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    tell = STUDIES["beta"].tell
    monkeypatch.setattr(STUDIES["beta"], "tell", lambda found: replace(tell(found), answer="In other words."))
    _again(copy)
    assert measured == []
    assert StudyResult.load(copy / "beta").answer == "In other words."
    assert "In other words." in (copy / "report.html").read_text()


@pytest.mark.parametrize("option", [{"seed": 1}, {"data": "mnist"}])
def test_a_tour_with_other_settings_measures_again(copy: Path, measured: list[str], option: dict) -> None:
    _again(copy, **option)
    assert measured == list(NAMES)


def test_a_changed_setting_measures_again(tmp_path: Path, measured: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    weights = tmp_path / "net.pth"
    context = Context(out=tmp_path / "studies", accelerator="cpu", weights=str(weights))

    def asks_again(context: Context) -> bool:
        before = len(measured)
        run_study("fgsm", context)
        return len(measured) > before

    changes = {"data": "mnist", "scale": "full", "seed": 1, "net": "resnet18", "radius": "0.2", "accelerator": "auto"}
    assert asks_again(context)
    assert not asks_again(context)
    assert not asks_again(replace(context, radius="0.15", net="small-cnn", data_root=tmp_path, progress=False))
    for name, value in changes.items():
        assert asks_again(replace(context, **{name: value})), name
        assert asks_again(context), name
    weights.write_bytes(b"other weights of the same name")
    assert asks_again(context)
    monkeypatch.setattr(contexts.epslab, "__version__", "99")
    assert asks_again(context)
    # Other images of the same name.
    context = replace(context, data="holiday")
    assert asks_again(context)
    assert not asks_again(context)
    pixels = torch.zeros(2, 1, 8, 8, dtype=torch.uint8)
    other = ImageSet(pixels, torch.zeros(2).long(), ("a",))
    monkeypatch.setattr(contexts.datasets, "load", lambda *_: other)
    assert asks_again(replace(context))


@pytest.mark.parametrize("damage", ["{", None])
def test_an_unfinished_study_is_measured_again(copy: Path, measured: list[str], damage: str | None) -> None:
    for name in ("beta", "vae"):
        file = copy / name / "found" / "found.json"
        file.unlink() if damage is None else file.write_text(damage)
    _again(copy)
    assert measured == ["vae", "beta"]


def test_a_study_that_was_not_told_is_told(copy: Path, measured: list[str]) -> None:
    (copy / "vae" / "result.json").unlink()
    (copy / "beta" / "result.json").write_text("{")
    _again(copy)
    assert measured == []
    assert [StudyResult.load(copy / name).answer for name in ("vae", "beta")] == ["Told by vae.", "Told by beta."]


def test_a_study_is_measured_again_where_its_models_are_gone_or_others(copy: Path, measured: list[str], toured) -> None:
    (copy / "runs").unlink()
    shutil.copytree(toured / "runs", copy / "runs", ignore=shutil.ignore_patterns("checkpoints", "tensorboard"))
    shutil.rmtree(copy / "runs" / "beta-10-0")
    (copy / "runs" / "resnet18-half-b-2" / "model.safetensors").write_bytes(b"other weights")
    _again(copy)
    assert measured == ["beta", "transfer"]


def test_a_run_is_shown_once_by_whatever_path(toured: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(toured.parent)
    page = studies.running._page(
        {
            name: studies.running.Finished(StudyResult(name, "Is it?", "Yes.", runs=(run,)), 0.0, kept=False)
            for name, run in (("vae", Path(toured.name, "runs", "vae-0")), ("fgsm", toured / "runs" / "vae-0"))
        },
        Context(out=toured),
    )
    assert [section.title for section in page.sections].count("vae-0 (vae on digits)") == 1


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
    assert not any("kept" in line for line in lines)
    _again(tmp_path, progress=True)
    assert all("kept" in line for line in capsys.readouterr().err.splitlines())


def test_long_studies_keep_their_parts(toured: Path) -> None:
    parts = {name: sorted(path.stem for path in (toured / name / "found").glob("*.json")) for name in NAMES}
    assert len(parts["beta"]) == 5 + 1
    assert parts["fgsm-or-pgd"] == ["defended", "found", "undefended"]
    assert len(parts["defence"]) == 12 + 1
    assert parts["transfer"] == ["found", "resnet18, B", "small-cnn, A", "small-cnn, B"]
    assert parts["findings"] == ["found", "honest", "noisy", "rounded", "scaled", "softmax"]
