"""The benchmark's own code runs; where the other libraries are not installed it says so."""

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "pgd.py"


@pytest.fixture
def benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location("benchmark_pgd", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.mark.skipif(not SCRIPT.exists(), reason="an installed epslab comes without benchmarks")
def test_it_runs_without_the_other_libraries(
    benchmark: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("torchattacks", "foolbox", "art", "cleverhans"):
        monkeypatch.setitem(sys.modules, name, None)  # an import of it fails
    arguments = "--data digits --width 4 --epochs 1 --adversarial-epochs 1 --training-steps 1 --images 32 --batches 2"
    flags = [*arguments.split(), "--steps", "4", "--rounds", "1", "--cache", str(tmp_path)]
    benchmark.main(flags)
    first = capsys.readouterr().out
    benchmark.main(flags)
    second = capsys.readouterr().out

    assert first.count("training the") == 2
    assert "training the" not in second  # the nets are kept
    missing = "not installed, not compared (make bench has them): torchattacks, foolbox, art, cleverhans"
    for text in (first, second):
        assert text.count(missing) == 2
        rows = re.findall(r"^ *(epslab|epslab, every step|floor|bare loop) +([\d.]+) +([\d.]+) +([\d.]+)", text, re.M)
        assert [name for name, *_ in rows] == ["epslab", "epslab, every step", "floor", "bare loop"] * 2
        assert all(float(seconds) >= 0 and float(ratio) > 0 for _, seconds, ratio, _ in rows)
        assert rows[0][2] == "1.00"
        assert rows[1][3] == "1.00"
        assert len(re.findall(r"of 4 gradients an image and left [\d.]+% of the images robust", text)) == 2
        assert "a step of PGD-7 training: epslab" in text


def test_every_side_is_measured_inside_the_same_ball(benchmark: ModuleType) -> None:
    """An image outside the ball is put into it before it counts."""

    images, labels = torch.full((2, 1, 2, 2), 0.5), torch.tensor([0, 0])
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 2, bias=False)).requires_grad_(False)
    model[1].weight.copy_(torch.tensor([[0.0] * 4, [1.0] * 4]))
    model[1].bias = torch.nn.Parameter(torch.tensor([2.5, 0.0]))  # class 1 above a mean of 0.625
    far = torch.stack([torch.full((1, 2, 2), 0.9), torch.full((1, 2, 2), 0.55)])
    assert benchmark.robust(model, benchmark.Threat(0.1), images, labels, far).tolist() == [True, True]
    assert benchmark.robust(model, benchmark.Threat(0.2), images, labels, far).tolist() == [False, True]
