"""Every Python block of the README runs as it stands, one after another, in an empty folder."""

import re
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```", README.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def test_readme_has_code_to_run() -> None:
    assert BLOCKS


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_readme_block_runs(block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(compile(block, "README.md", "exec"), names)
    assert len(names) > 1


def test_files_named_in_the_readme_exist() -> None:
    root = README.parent
    named = re.findall(r"`((?:src|tests|benchmarks)/[\w/.]+)`", README.read_text(encoding="utf-8"))
    assert named
    assert [path for path in named if not (root / path).exists()] == []
