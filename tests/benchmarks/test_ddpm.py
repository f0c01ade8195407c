"""The benchmark's own side runs; where diffusers is not installed it says so."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "ddpm.py"
pytestmark = pytest.mark.skipif(not SCRIPT.exists(), reason="an installed epslab comes without benchmarks")


@pytest.fixture
def benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location("benchmark_ddpm", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_without_diffusers_it_says_so(
    benchmark: ModuleType, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(benchmark, "find_spec", lambda name: None)
    benchmark.main([])
    assert "diffusers is not installed" in capsys.readouterr().out


def test_both_sides_are_timed_in_turn(
    benchmark: ModuleType, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With epslab in both places: a step moves the weights, samples are images, and a ratio is printed."""
    side = benchmark.Epslab(8)
    before = [p.detach().clone() for p in side.net.parameters()]
    side.step(torch.rand(2, 1, 8, 8))
    side.step(torch.rand(2, 1, 8, 8))
    assert all(not torch.equal(a, b) for a, b in zip(before[-2:], list(side.net.parameters())[-2:], strict=True))
    assert side.sample(2).shape == (2, 1, 8, 8)

    class Other(benchmark.Epslab):  # type: ignore[name-defined, misc]
        name = "diffusers"

    monkeypatch.setattr(benchmark, "Diffusers", Other)
    monkeypatch.setattr(benchmark, "find_spec", lambda name: sys)
    monkeypatch.setattr(benchmark, "STEPS", 2)
    monkeypatch.setattr(torch, "set_num_threads", lambda n: None)
    benchmark.main(["--side", "8", "--batch", "2", "--samples", "1", "--rounds", "2"])
    told = capsys.readouterr().out
    assert told.count("MFLOP an image") == 2
    assert told.count("diffusers' time / epslab's:") == 2
