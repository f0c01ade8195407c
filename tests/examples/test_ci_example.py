"""The example for continuous integration: its YAML parses, its commands run, and its gate can fail."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

CI = Path(__file__).parents[2] / "examples" / "ci"
WORKFLOW = yaml.safe_load((CI / "robustness.yml").read_text(encoding="utf-8"))
STEPS = WORKFLOW["jobs"]["robustness"]["steps"]
pytestmark = pytest.mark.processes


def command(name: str) -> str:
    (found,) = [step["run"] for step in STEPS if step.get("name") == name]
    return found


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ci") / "repository"
    shutil.copytree(CI, folder, ignore=shutil.ignore_patterns("runs", "*.safetensors", "__pycache__"))
    trained = shell(command("Train, or fetch your weights"), folder)
    assert trained.returncode == 0, trained.stderr
    return folder


def shell(words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a step as the action's shell does, with this environment's commands on the path."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "COLUMNS": "200"}
    return subprocess.run(["bash", "-e", "-o", "pipefail", "-c", words], cwd=folder, env=environment, text=True,
                          capture_output=True, check=False, timeout=240)  # fmt: skip


def test_the_workflow_is_one_that_github_reads() -> None:
    assert set(WORKFLOW) == {"name", True, "jobs"}  # YAML 1.1 reads the key `on` as true
    assert all(("uses" in step) != ("run" in step) for step in STEPS)
    assert all("@" in step["uses"] for step in STEPS if "uses" in step)
    cache = next(step["with"] for step in STEPS if step.get("uses", "").startswith("actions/cache"))
    assert cache["path"] == "runs/attacks"


def test_the_gate_passes_then_fails_and_the_page_is_written(workspace: Path) -> None:
    attack = command("Attack")
    passed = shell(attack, workspace)
    assert passed.returncode == 0, passed.stderr
    found = json.loads((workspace / "robustness.json").read_text())
    assert found["worst_case"]["low"] >= 0.5
    assert shell(command("Page"), workspace).returncode == 0
    assert "<html" in (workspace / "robustness.html").read_text(encoding="utf-8")
    # Nothing changed, so nothing is measured again; a stricter gate fails.
    failed = shell(attack.replace("--fail-below 50", "--fail-below 95"), workspace)
    assert failed.returncode == 3, failed.stderr
    assert "its lower end below 95 %" in failed.stderr
    again = json.loads((workspace / "robustness.json").read_text())
    assert (found["kept"], again["kept"]) == (False, True)
    assert {**found, "kept": True, "gates": again["gates"]} == again
    assert len(list(workspace.glob("runs/attacks/*/*"))) == 1


def test_the_pytest_file_passes_and_fails_where_the_model_does_not_hold(workspace: Path) -> None:
    strict = (workspace / "test_robustness.py").read_text().replace("LEAST = 0.5", "LEAST = 0.99")
    (workspace / "test_strict.py").write_text(strict)
    outcome = shell(f"{sys.executable} -m pytest -rA -p no:cacheprovider test_robustness.py test_strict.py", workspace)
    assert outcome.returncode == 1, outcome.stdout
    assert "FAILED test_strict.py::test_the_model_holds - AssertionError: Worst-case accuracy" in outcome.stdout
    assert "1 failed, 3 passed" in outcome.stdout
