"""Every example runs as it stands, in an empty folder; a second run carries on instead of a traceback."""

import ast
import json
import runpy
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch
from torch import nn

EXAMPLES = Path(__file__).parents[2] / "examples"
SCRIPTS = {
    "write_an_attack": ("random corners", "runs/examples/write-an-attack.html"),
    "write_an_objective": ("Squared error of hidden pixels", "runs/examples/fill-in.html"),
    "train_and_compare": ("defended: ", "runs/examples/compared.html"),
    "judge_a_timm_model": ("pgd", "runs/examples/timm.html"),
    "judge_a_hugging_face_model": ("pgd", "runs/examples/hugging-face.html"),
}
TWICE = ("write_an_objective", "judge_a_timm_model")
NEEDS = {"judge_a_timm_model": "timm", "judge_a_hugging_face_model": "transformers"}
CELLS = json.loads((EXAMPLES / "robustness.ipynb").read_text(encoding="utf-8"))["cells"]


def net(classes: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(288, classes))


def stand_in(name: str) -> ModuleType:
    """A module with what the example uses of the library of that name."""
    module = ModuleType(name)
    if name == "timm":

        def create_model(name: str, *, num_classes: int, in_chans: int) -> nn.Module:
            made = net(num_classes)
            made.pretrained_cfg = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
            return made

        module.create_model = create_model  # type: ignore[attr-defined]
        return module

    class ResNetForImageClassification(nn.Module):
        def __init__(self, config: SimpleNamespace) -> None:
            super().__init__()
            self.net = net(config.num_labels)

        def forward(self, pixel_values: torch.Tensor) -> SimpleNamespace:
            return SimpleNamespace(loss=None, logits=self.net(pixel_values), hidden_states=None)

    module.ResNetConfig = SimpleNamespace  # type: ignore[attr-defined]
    module.ResNetForImageClassification = ResNetForImageClassification  # type: ignore[attr-defined]
    return module


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return tmp_path


def test_every_script_is_run_here_and_named_in_the_list() -> None:
    files = {path.stem for path in EXAMPLES.glob("*.py")}
    assert files == set(SCRIPTS)
    listed = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert [name for name in (*files, "robustness.ipynb", "ci/") if name not in listed] == []


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_runs(name: str, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    if name in NEEDS:
        monkeypatch.setitem(sys.modules, NEEDS[name], stand_in(NEEDS[name]))
    told, page = SCRIPTS[name]
    for _ in range(2 if name in TWICE else 1):
        runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
        out = capsys.readouterr().out
        assert told in out
        assert "tensor(" not in out
        assert "Proportion(" not in out
    assert "<html" in (folder / page).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NEEDS)
def test_a_script_runs_with_the_library_itself(name: str, folder: Path) -> None:
    if find_spec(NEEDS[name]) is None:
        pytest.skip(f"{NEEDS[name]} is not installed")
    runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
    assert (folder / SCRIPTS[name][1]).is_file()


def test_the_attack_obeys_the_ball_and_its_seeds(folder: Path) -> None:
    from epslab.geometry import Linf

    corners = runpy.run_path(str(EXAMPLES / "write_an_attack.py"))["RandomCorners"](Linf(0.1), tries=5)
    model, images = nn.Sequential(nn.Flatten(), nn.Linear(64, 3)), torch.rand(20, 1, 8, 8)
    labels, own = torch.arange(20) % 3, torch.arange(20)
    whole = corners(model, images, labels, seeds=own)
    assert (whole.images - images).abs().max() <= 0.1 + 1e-6
    assert 0 <= whole.images.min() <= whole.images.max() <= 1
    assert torch.equal(whole.success, model(whole.images).argmax(1) != labels)
    alone = corners(model, images[7:8], labels[7:8], seeds=own[7:8])
    assert torch.equal(alone.images, whole.images[7:8])


def test_the_notebook_runs_and_shows_what_it_should(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Cell after cell; the last expression of each is displayed as a notebook would."""
    names: dict[str, object] = {}
    shown = []
    for cell in CELLS:
        if cell["cell_type"] == "code":
            value = run_cell("".join(cell["source"]), names)
            if value is not None:
                display = getattr(value, "_repr_html_", None) or value._repr_png_  # type: ignore[attr-defined]
                shown.append((type(value).__name__, display()))
    kinds = [kind for kind, _ in shown]
    assert kinds == ["ImageSet", "Run", "Attacked", "Drawing", "RobustnessReport", "Table"]
    assert all(len(html) < 3000 for kind, html in shown if kind != "Drawing")
    assert (folder / "runs" / "notebook.html").is_file()
    assert "pass: " in capsys.readouterr().out


def test_the_notebook_is_kept_small_and_without_outputs() -> None:
    assert (EXAMPLES / "robustness.ipynb").stat().st_size < 10_000
    assert all(not cell.get("outputs") and cell.get("execution_count") is None for cell in CELLS)
    assert len({cell["id"] for cell in CELLS}) == len(CELLS)


def run_cell(source: str, names: dict[str, object]) -> object:
    """Run a cell; the value of its last line where that is an expression."""
    tree = ast.parse(source)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), names)
    return eval(compile(ast.Expression(last.value), "cell", "eval"), names) if isinstance(last, ast.Expr) else None
