"""Lightning beside a torchvision that is installed but cannot be imported."""

import importlib
import subprocess
import sys
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import pytest

from epslab.lightning import without_broken

ERROR = "operator torchvision::nms does not exist"


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """A folder in which torchvision is installed, and fails as a build for another torch does."""
    package = tmp_path / "site" / "torchvision"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(f"from . import ops\nraise RuntimeError({ERROR!r})\n")
    (package / "ops.py").write_text("")
    described = package.with_name("torchvision-0.20.0.dist-info")
    described.mkdir()
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: torchvision\nVersion: 0.20.0\n")
    return package.parent


def test_a_broken_package_is_not_there_inside_and_is_back_afterwards(
    broken: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(broken)
    with without_broken("torchvision"):
        assert find_spec("torchvision") is None
        with pytest.raises(metadata.PackageNotFoundError):
            metadata.version("torchvision")
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module("torchvision.ops")
        assert metadata.version("torch")
    assert metadata.version("torchvision") == "0.20.0"
    with pytest.raises(RuntimeError, match=ERROR):
        importlib.import_module("torchvision")


def test_it_is_back_after_an_error_too(broken: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(broken)
    with pytest.raises(KeyError), without_broken("torchvision"):
        raise KeyError
    assert metadata.version("torchvision") == "0.20.0"


def test_a_package_that_works_is_left_alone() -> None:
    with without_broken("yaml"), without_broken("no_such_package"):
        assert find_spec("yaml") is not None
        assert metadata.version("PyYAML")


COMMANDS = """
import sys
from epslab.cli import main
train = "train small-cnn --data digits --epochs 1 --accelerator cpu --out run"
attack = "attack run --attacks fgsm --limit 10 --accelerator cpu --no-sweep --no-findings"
codes = [main(words.split()) for words in ("--help", train, attack, "attack mine:net --data digits")]
import epslab.training.loop, epslab.evaluation, torchmetrics
assert codes == [0, 0, 0, 2], codes
assert "torchvision" not in sys.modules
"""


@pytest.mark.processes
def test_every_verb_works_beside_a_broken_torchvision(broken: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("import torchvision\n")
    code = f"import sys; sys.path.insert(0, {str(broken)!r})\n{COMMANDS}"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert "Trained run" in done.stdout
    assert (
        f"'mine' cannot be imported (RuntimeError: {ERROR}); this torchvision was built for another torch"
        in done.stderr
    )
    assert "Traceback" not in done.stderr
