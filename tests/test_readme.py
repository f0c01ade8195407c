"""Every Python block of the README runs as it stands, twice, in an empty folder, and prints what the README shows."""

import re
from pathlib import Path

import pytest
import torch

from epslab.cli import main

README = Path(__file__).parents[1] / "README.md"
TEXT = README.read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", TEXT, flags=re.DOTALL | re.MULTILINE)
PRINTED = re.findall(r"^```text\n(.*?)^```", TEXT, flags=re.DOTALL | re.MULTILINE)


def test_readme_has_code_to_run_and_shows_what_it_prints() -> None:
    assert len(BLOCKS) == 3
    assert len(PRINTED) == 2


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where all blocks run."""
    return tmp_path_factory.mktemp("readme")


def shape(text: str) -> str:
    """The text without its numbers, the room they take, and findings that failed: another machine computes others."""
    findings = re.search(r"^Findings: .*$", text, flags=re.MULTILINE)
    return re.sub(r"\s+", " ", re.sub(r"[−\d][\d,.]*", "N", text[: findings.end()] if findings else text)).strip()


def written(folder: Path) -> dict[Path, int]:
    """When each file of weights, curves and results was written."""
    return {
        path: path.stat().st_mtime_ns
        for path in folder.rglob("*")
        if path.suffix in (".safetensors", ".ckpt") or path.name == "metrics.csv"
    }


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_a_block_runs_twice_and_the_second_time_reads_what_is_there(
    number: int, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    block, names = compile(BLOCKS[number], "README.md", "exec"), dict[str, object]()
    with torch.random.fork_rng():
        torch.manual_seed(0)  # of the first weights, as at the start of a process
        exec(block, names)
        assert len(names) > 1
        told, before = capsys.readouterr().out, written(folder)
        exec(block, {})
    assert capsys.readouterr().out == told
    assert written(folder) == before
    assert not re.search(r"\d\.\d{8,}|tensor|\w\(\w+=", told)  # neither all digits, nor an object's insides
    if told:
        assert shape(told) == shape(PRINTED[number])


def test_the_blocks_runs_have_pages_from_the_command_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the blocks, in the same folder."""
    monkeypatch.chdir(folder)
    assert main(["report", "runs/cnn", "runs/robustness", "--out", "page.html"]) == 0
    page = (folder / "page.html").read_text(encoding="utf-8")
    assert "cnn (Sequential on digits)" in page
    assert "Sequential under attack: random, pgd, apgd" in page


def test_files_named_in_the_readme_exist() -> None:
    root = README.parent
    named = re.findall(r"`((?:src|tests|benchmarks)/[\w/.]+)`", TEXT)
    assert named
    assert [path for path in named if not (root / path).exists()] == []
