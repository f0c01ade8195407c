"""The studies that train: at tiny scale their numbers already obey the theory."""

import pytest
import torch

from epslab.report import StudyResult
from epslab.studies import run_study
from epslab.studies.context import Context
from epslab.studies.manifold import neighbours_agree


def _value(cell: str) -> float:
    return float(cell.split(" ")[0].replace("−", "-"))


def test_vae(results: dict[str, StudyResult], toured) -> None:
    (table,) = results["vae"].tables
    bits, tighter, elbo, reconstruction, kl = (_value(row[1]) for row in table.rows)
    assert tighter < bits < 4
    assert reconstruction + kl == pytest.approx(-elbo, abs=0.02)
    assert bits == pytest.approx(-elbo / 44.3614, abs=0.002)  # 64 pixels·ln 2
    assert "Before training an image costs 4.0" in results["vae"].answer
    assert len(results["vae"].figures) == 4  # curves, and samples at three epochs
    assert "No number is published" in table.note


def test_manifold(results: dict[str, StudyResult]) -> None:
    (table,) = results["manifold"].tables
    assert [row[0] for row in table.rows] == [2, 20]
    assert all(0 <= row[3] <= row[0] for row in table.rows)
    assert "codes do lie by class" in results["manifold"].answer


def test_beta_trades_rate_for_distortion(results: dict[str, StudyResult]) -> None:
    table, statements = results["beta"].tables
    rate, distortion = ([_value(row[i]) for row in table.rows] for i in (1, 2))
    assert rate == sorted(rate, reverse=True)
    assert distortion == sorted(distortion)
    assert table.rows[-1][4] <= table.rows[0][4]
    # The bound itself: (rate + distortion)/(64 pixels·ln 2), whatever β was.
    for row, r, d in zip(table.rows, rate, distortion, strict=True):
        assert _value(row[3]) == pytest.approx((r + d) / 44.3614, abs=0.01)
    assert len(statements.rows) == len(table.rows)
    assert "it falls at every step" in results["beta"].answer


def test_runs_are_shared(results: dict[str, StudyResult], toured) -> None:
    folders = sorted(path.name for path in (toured / "runs").iterdir())
    assert [name for name in folders if name.startswith(("beta", "manifold"))] == [
        *("beta-0.1-0", "beta-0.3-0", "beta-10-0", "beta-3-0"),
        "manifold-0",
    ]
    # One run of each recipe, which the studies that need it share.
    assert {"vae-0", "gan-0", "wgan-0", "wgan-gp-0", "coupling-flow-0", "diffusion-0"} <= set(folders)
    assert {"adversarial-autoencoder-0", "denoising-autoencoder-0"} <= set(folders)
    # Twelve classifiers of the study of defences, three of the study of transfer; the others train none of their own.
    nets = [name for name in folders if name.startswith(("small-cnn", "resnet18"))]
    assert sum(name.startswith("small-cnn-") and "half" not in name for name in nets) == 12
    assert [name for name in nets if "half" in name] == [
        "resnet18-half-b-2",
        "small-cnn-half-a-0",
        "small-cnn-half-b-1",
    ]
    assert len(nets) == 15
    for study in ("fgsm", "fgsm-or-pgd", "defence", "findings"):
        assert results[study].runs[0].name == "small-cnn-0"
    for study in ("vae", "manifold", "beta", "estimators", "divergences"):
        assert any(run.name == "vae-0" for run in results[study].runs)


@pytest.mark.usefixtures("tiny")
def test_full_scale_shows_the_spread_of_three_seeds(tmp_path) -> None:
    result = run_study("vae", Context(scale="full", out=tmp_path, accelerator="cpu", progress=False))
    assert [run.name for run in result.runs] == ["vae-0", "vae-1", "vae-2"]
    assert "standard deviation over 3 training seeds" in result.tables[0].note


def test_neighbours() -> None:
    codes = torch.tensor([[0.0, 0], [0, 1], [5, 5], [5, 6.5]]).repeat(1, 1)
    assert neighbours_agree(codes, torch.tensor([0, 0, 1, 1])) == 1
    assert neighbours_agree(codes, torch.tensor([0, 1, 0, 1])) == 0
    assert neighbours_agree(codes, torch.tensor([0, 0, 1, 0])) == 0.5
