"""Run folders: made, opened, refused, and what they hold."""

import json
import math
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import nn

from epslab.errors import UserError
from epslab.runs import Run, read_table, write_table


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run.create(tmp_path / "runs" / "a", {"recipe": "vae", "width": 32})


def test_a_new_run_has_settings_and_provenance(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    content = yaml.safe_load((run.folder / "config.yaml").read_text())
    assert content == run.config
    assert list(content) == ["recipe", "width", "provenance"]
    versions = content["provenance"]["versions"]
    assert versions["torch"] == torch.__version__
    assert versions["python"] == ".".join(map(str, sys.version_info[:3]))
    assert {"epslab", "lightning"} < versions.keys()
    commit = content["provenance"]["commit"]
    assert commit is None or len(commit.rstrip("+")) == 40
    assert run.checkpoints.is_dir()
    assert run.figures.is_dir()
    monkeypatch.setattr("sys.argv", ["/somewhere/epslab", "train", "vae", "--out", "a b"])
    other = Run.create(run.folder.parent / "b", {}, provenance={"data": {"train": "sha256:0"}})
    assert other.config["provenance"]["command"] == "epslab train vae --out 'a b'"
    assert other.config["provenance"]["data"] == {"train": "sha256:0"}


def test_settings_of_any_type_become_plain(tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        "data_root": Path("x/y"), "hidden": (1, 2), "rate": torch.tensor(0.5), "nested": {"a": [None, True]},
    }  # fmt: skip
    config = Run.create(tmp_path / "a", settings).config
    del config["provenance"]
    assert config == {"data_root": "x/y", "hidden": [1, 2], "rate": 0.5, "nested": {"a": [None, True]}}


def test_without_a_checkout_there_is_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert Run.create(tmp_path / "a", {}).config["provenance"]["commit"] is None


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not a run: it is not a folder"):
        Run.open(tmp_path / "none")
    with pytest.raises(UserError, match=r"is not a run: it has no config\.yaml"):
        Run.open(tmp_path)
    (tmp_path / "config.yaml").write_text("- a list")
    with pytest.raises(UserError, match="holds no settings"):
        _ = Run.open(tmp_path).config
    (tmp_path / "config.yaml").write_text("a: [")
    with pytest.raises(UserError, match="as YAML"):
        _ = Run.open(tmp_path).config


def test_creating_needs_a_place(run: Run, tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match="already holds a run; continue it with `resume=True`, replace it with `overwrite=True`"
    ):
        Run.create(run.folder, {})
    other = tmp_path / "other"
    other.mkdir()
    Run.create(other, {})  # an empty folder will do
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"Cannot write .*a': .*file' is not a folder that can be written"):
        Run.create(tmp_path / "file" / "a", {})


def test_overwriting_empties_runs_only(run: Run, tmp_path: Path) -> None:
    (run.folder / "old").mkdir()
    (run.folder / "old" / "file").touch()
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").touch()
    (run.folder / "link").symlink_to(outside)
    again = Run.create(run.folder, {"recipe": "other"}, overwrite=True)
    assert sorted(path.name for path in again.folder.iterdir()) == ["checkpoints", "config.yaml", "figures"]
    assert again.config["recipe"] == "other"
    assert (outside / "kept").exists()
    with pytest.raises(UserError, match=r"is not empty and not a run \(it holds 'kept'\)"):
        Run.create(outside, {}, overwrite=True)
    assert (outside / "kept").exists()


def test_a_kill_while_creating_leaves_no_hindrance(tmp_path: Path) -> None:
    (tmp_path / ".config.yaml.x1y2").write_text("half")
    assert [path.name for path in Run.create(tmp_path, {}).folder.glob(".*")] == []


def test_settings_are_replaced_and_provenance_stays(run: Run) -> None:
    before = run.config["provenance"]
    run.update_settings({"epochs": 5})
    assert run.config == {"epochs": 5, "provenance": before}


def test_results_are_merged(run: Run) -> None:
    assert run.result() == {}
    run.update_result(status="running", value=torch.tensor(2.5))
    run.update_result(status="finished", table={"a": (1, 2)})
    assert run.result() == {"status": "finished", "value": 2.5, "table": {"a": [1, 2]}}
    assert json.loads((run.folder / "result.json").read_text()) == run.result()
    for content in ("{", "[1]"):
        (run.folder / "result.json").write_text(content)
        with pytest.raises(UserError, match=r"result\.json' .*delete it"):
            run.result()


def test_tables_read_back_exactly(run: Run) -> None:
    assert run.metrics() == {}
    rows: list[dict[str, int | float]] = [
        {"epoch": 0, "val/loss": 1 / 3},
        {"epoch": 1, "train/loss": 1e-300, "val/loss": 2.0},
    ]
    write_table(run.folder / "metrics.csv", ["epoch", "train/loss", "val/loss"], rows)
    assert (run.folder / "metrics.csv").read_text().splitlines()[:2] == [
        "epoch,train/loss,val/loss",
        "0,,0.3333333333333333",
    ]
    metrics = run.metrics()
    assert metrics["epoch"] == [0, 1]
    assert metrics["val/loss"] == [1 / 3, 2.0]
    assert math.isnan(metrics["train/loss"][0])
    assert metrics["train/loss"][1] == 1e-300
    write_table(run.folder / "timing.csv", ["epoch", "seconds"], [])
    assert run.timing() == {"epoch": [], "seconds": []}
    for content in ("", "epoch,a\n1,x\n", "epoch,a\n1\n"):
        (run.folder / "metrics.csv").write_text(content)
        with pytest.raises(UserError, match="is not a table of numbers"):
            read_table(run.folder / "metrics.csv")


def test_weights_go_and_come(run: Run) -> None:
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3))
    model.to(memory_format=torch.channels_last)
    assert run.weights_about() == {}
    run.save_weights(model.state_dict(), {"epoch": 4, "value": 0.1})
    assert run.weights_about() == {"epoch": 4, "value": 0.1}
    other = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3))
    run.load_weights(other)
    for name, value in model.state_dict().items():
        assert torch.equal(other.state_dict()[name], value)
    first = run.weights.read_bytes()
    run.save_weights(model.state_dict(), {"epoch": 4, "value": 0.1})
    assert run.weights.read_bytes() == first


def test_tied_weights_are_kept(run: Run) -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    model[1].weight = model[0].weight
    run.save_weights(model.state_dict())
    expected = model[0].weight.detach().clone()
    with torch.no_grad():
        model[0].weight.zero_()
    run.load_weights(model)
    assert torch.equal(model[1].weight, expected)


def test_weights_that_do_not_fit_are_refused(run: Run) -> None:
    model = nn.Linear(3, 2)
    with pytest.raises(UserError, match="has no weights yet"):
        run.load_weights(model)
    run.save_weights(model.state_dict())
    kept = model.weight.detach().clone()
    for other, sentence in (
        (nn.Linear(4, 2), r"1 entries differ, first 'weight' \(file: 2×3, model: 2×4\)"),
        (nn.Sequential(model), r"4 entries differ, first '0.bias' \(file: missing, model: 2\)"),
        (nn.Linear(3, 2, bias=False), r"first 'bias' \(file: 2, model: missing\)"),
    ):
        with pytest.raises(UserError, match=sentence):
            run.load_weights(other)
    assert torch.equal(model.weight, kept)
    run.weights.write_bytes(b"no weights")
    with pytest.raises(UserError, match="is not a safetensors file"):
        run.load_weights(model)
    with pytest.raises(UserError, match="is not a safetensors file"):
        run.weights_about()


def test_a_read_only_run_writes_nothing(run: Run) -> None:
    other = Run(run.folder, read_only=True)
    before = {path: path.stat().st_mtime_ns for path in run.folder.rglob("*")}
    other.update_result(a=1)
    other.save_weights({"w": torch.zeros(1)})
    other.update_settings({"a": 1})
    assert {path: path.stat().st_mtime_ns for path in run.folder.rglob("*")} == before


def test_space_is_asked_for_before(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    model = nn.Linear(1000, 1000)
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 50_000_000})())
    with pytest.raises(UserError, match="Not enough disk: a run's checkpoints needs 66 MB"):
        run.require_space_for(model.parameters())
    run.require_space_for([torch.zeros(1)])
