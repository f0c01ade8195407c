"""The stages of ``make gpu`` train, stop at the deadline, go on and are measured once; small, on the CPU."""

import argparse
import importlib.util
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from epslab.recipes import SmallCNNRecipe, VAERecipe
from epslab.runs import Run
from epslab.training.module import TrainingModule

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "full_scale.py"
pytestmark = pytest.mark.skipif(not SCRIPT.exists(), reason="an installed epslab comes without benchmarks")


@pytest.fixture
def benchmark() -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("benchmark_full_scale", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.fixture
def tiny(benchmark: ModuleType) -> dict[str, Any]:
    """A stage of each kind, in seconds."""
    vae = VAERecipe(epochs=2, latent_dim=2, hidden=(8,), sample_epochs=())
    cnn = SmallCNNRecipe(epochs=1, width=4)

    def attacked(run: Run, root: str | None) -> dict[str, str]:
        found: dict[str, str] = benchmark.robustness(run, root, images=20, batch_size=20)
        return found | benchmark.throughput(run, root, images=20, steps=2)

    return {
        "vae": benchmark.Stage("VAE", "digits", vae, benchmark.by_recipe("bits_per_dim"), "32-true"),
        "cnn": benchmark.Stage("small CNN", "digits", cnn, attacked, "32-true"),
        "far": benchmark.Stage("elsewhere", "mnist", vae, attacked, "32-true"),
    }


def asked(out: Path, minutes: float = 60.0) -> argparse.Namespace:
    return argparse.Namespace(out=out, minutes=minutes, data_root=str(out / "nothing"))


def test_a_machine_without_a_gpu_is_told_so(
    benchmark: ModuleType, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    benchmark.main(["--out", str(tmp_path / "gpu")])
    assert capsys.readouterr().out == benchmark.NO_GPU + "\n"
    assert not (tmp_path / "gpu").exists()


def test_every_stage_names_a_recipe_that_can_be_built(benchmark: ModuleType) -> None:
    stages = benchmark.stages()
    assert [*stages] == ["vae", "resnet18", "flow", "diffusion"]
    assert stages["vae"].settings == VAERecipe()
    assert stages["resnet18"].settings.attack == "fgsm"


def test_stages_stop_go_on_and_are_measured_once(
    benchmark: ModuleType, tiny: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    assert [entry["status"] for entry in benchmark.measured(asked(tmp_path, 0.0), tiny)] == ["not begun"] * 3
    assert not list(tmp_path.iterdir())

    step = TrainingModule.training_step

    def interrupted(module: TrainingModule, *arguments: Any) -> None:
        step(module, *arguments)
        os.kill(os.getpid(), signal.SIGINT)  # as the deadline does

    with monkeypatch.context() as patch:
        patch.setattr(TrainingModule, "training_step", interrupted)
        first = benchmark.measured(asked(tmp_path), {"vae": tiny["vae"]})
    assert [(entry["status"], entry["epochs"]) for entry in first] == [("to be carried on", "0 of 2")]

    found = benchmark.measured(asked(tmp_path), tiny)
    assert [(entry["status"], entry["epochs"]) for entry in found] == [("finished", "2 of 2"), ("finished", "1 of 1")]
    said = capsys.readouterr().out
    assert "far is left out: " in said
    assert {*found[1]["rows"]} == {
        "accuracy", "under FGSM at 8/255", "under PGD-50 at 8/255", "images a second, PGD-2"
    }  # fmt: skip
    benchmark.show(found)
    table = capsys.readouterr().out
    assert "VAE (digits)" in table
    assert "bits/dim" in table

    monkeypatch.setattr(benchmark.recipes, "train", None)  # nothing is trained again
    again = benchmark.measured(asked(tmp_path), {name: tiny[name] for name in ("vae", "cnn")})
    assert again == found
