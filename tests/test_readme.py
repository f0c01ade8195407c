"""Every Python block of the README runs as it stands, one after another, in an empty folder."""

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
from torch import nn

README = Path(__file__).parents[1] / "README.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```", README.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def test_readme_has_code_to_run() -> None:
    assert BLOCKS


def timm() -> ModuleType:
    """A stand-in for the library of that name: a net that knows the normalisation it was trained with."""

    def create_model(name: str, *, num_classes: int, in_chans: int, checkpoint_path: str) -> nn.Module:
        net = nn.Sequential(
            nn.Conv2d(in_chans, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.LazyLinear(num_classes)
        )
        net.default_cfg = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
        return net

    module = ModuleType("timm")
    module.create_model = create_model  # type: ignore[attr-defined]
    return module


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_readme_block_runs(block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "timm", timm())
    names: dict[str, object] = {}
    exec(compile(block, "README.md", "exec"), names)
    assert len(names) > 1


def test_files_named_in_the_readme_exist() -> None:
    root = README.parent
    named = re.findall(r"`((?:src|tests|benchmarks)/[\w/.]+)`", README.read_text(encoding="utf-8"))
    assert named
    assert [path for path in named if not (root / path).exists()] == []
