"""The benchmark's own code runs; where AutoAttack is not installed it says so."""

import importlib.util
import re
import sys
from pathlib import Path

import pytest
import torch

from epslab import recipes

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "l1.py"


@pytest.mark.skipif(not SCRIPT.exists(), reason="an installed epslab comes without benchmarks")
def test_it_runs_without_the_other_library(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = importlib.util.spec_from_file_location("benchmark_l1", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    monkeypatch.setitem(sys.modules, "pyautoattack", None)  # an import of it fails
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10)).eval()
    monkeypatch.setattr(recipes, "load", lambda run: net)
    (tmp_path / "config.yaml").write_text("model: {}\n")
    benchmark.main([str(tmp_path), "--data", "digits", "--images", "16", "--radius", "2", "--steps", "4"])
    text = capsys.readouterr().out
    rows = re.findall(r"^ +(.+?) {2,}([\d.]+)%", text, re.M)
    assert [name for name, _ in rows] == [
        "PGD, epslab",
        "PGD, by hand",
        "APGD on the cross-entropy, epslab",
        "APGD with targets, epslab",
    ]
    assert all(0 <= float(share) <= 100 for _, share in rows)
    assert text.count("not installed (make bench has it)") == 2
