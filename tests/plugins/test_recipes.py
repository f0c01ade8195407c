"""Recipes from outside: trained, killed, resumed, sampled, evaluated and reported by name, as those built in."""

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from epslab import recipes
from epslab.cli import main
from epslab.data import PointSet, toys
from epslab.runs import Run
from epslab.seeds import generator
from epslab.training import Machine, fit

GAN = ("train", "toy-gan", "--latent-dim", "4", "--epochs", "4", "--accelerator", "cpu")


@pytest.fixture(scope="module")
def gan(installed, tmp_path_factory):
    folder = tmp_path_factory.mktemp("gan") / "run"
    assert main([*GAN, "--out", str(folder)]) == 0
    return folder


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_each_is_short():
    for path in (Path(__file__).parent / "package" / "epslab_toys").glob("*.py"):
        assert len(path.read_text().splitlines()) < 60, path


def test_help_names_who_brought_it_without_an_import_and_its_own_flags(capsys):
    assert main(["train", "--help"]) == 0
    assert "toy-gan                   of the package epslab-toys 1.0" in capsys.readouterr().out
    assert "epslab_toys.gan" not in sys.modules
    assert main(["train", "toy-gan", "--help"]) == 0
    assert "Dimensions of the generator's noise (default: 8)" in " ".join(capsys.readouterr().out.split())


def test_two_players_have_labelled_curves(gan):
    run = Run.open(gan)
    columns = run.columns()
    for turn in ("critic", "generator"):
        assert f"val/{turn}/loss" in run.metrics()
        assert columns[f"{turn}/loss"].unit == "nats"
        assert columns[f"{turn}/loss"].label.startswith(f"{turn}: ")
    assert run.result()["status"] == "finished"
    # No monitor where players take turns: the last epoch's weights are kept.
    assert run.result()["best_epoch"] == 4


@pytest.mark.processes
def test_a_killed_training_ends_with_the_same_bits(gan, here):
    command = [sys.executable, "-m", "epslab", *GAN, "--out", "parts"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    rows = 0
    while rows < 3 and process.poll() is None:  # the header, before training, one epoch
        time.sleep(0.02)
        metrics = here / "parts" / "metrics.csv"
        rows = len(metrics.read_text().splitlines()) if metrics.exists() else 0
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert main(["train", "--out", "parts", "--resume", "--accelerator", "cpu"]) == 0
    for name in ("model.safetensors", "metrics.csv"):
        assert (here / "parts" / name).read_bytes() == (gan / name).read_bytes()


def test_it_is_sampled(gan, here, capsys):
    for name in ("a", "b"):
        assert main(["sample", str(gan), "-n", "9", "--out", f"{name}.png"]) == 0
    assert (here / "a.png").read_bytes() == (here / "b.png").read_bytes()
    assert recipes.sample(Run.open(gan), 5).shape == (5, 1, 8, 8)
    assert main(["sample", str(gan), "--means"]) == 2
    assert "whose model draws no means; try `epslab sample" in capsys.readouterr().err


def test_its_own_measurement_and_picture_are_on_the_page(gan, here, capsys):
    shutil.copytree(gan, "run")
    assert main(["evaluate", "run", "--limit", "100"]) == 0
    found = json.loads(Path("run/result.json").read_text())["measurements"]["fooled"]
    low, high = found["interval"]
    assert 0 <= low <= found["value"] <= high <= 1
    printed = f"{100 * found['value']:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"
    assert printed in capsys.readouterr().out
    assert main(["report", "run"]) == 0
    page = Path("run/report.html").read_text()
    for text in (printed, "samples taken for real", "Samples of the generator after training."):
        assert text in page


def test_points_are_trained_on_by_fit_and_by_name(here):
    from epslab_toys.mixture import NegativeLogLikelihood, NormalMixture

    torch.manual_seed(0)
    model = NormalMixture(20)
    train, validation = PointSet(toys.two_moons(1000, generator=generator(0))).split([900, 100], seed=0)
    machine = Machine("cpu")
    objective = NegativeLogLikelihood(model)
    run = fit(model, objective, train, validation, out=here / "fit", epochs=150, learning_rate=0.05, machine=machine)
    losses = run.metrics()["val/loss"]
    # No model beats the entropy of two half circles with noise of deviation 0.05, about ln(2π·0.05·√(2πe)) = 0.26 nats.
    assert 0.2 < min(losses) < 0.75 < losses[0]
    assert main(["train", "mixture", "--data", "moons", "--epochs", "2", "--accelerator", "cpu", "--out", "run"]) == 0
    assert recipes.sample(Run.open("run"), 7).shape == (7, 2)
    for words in (["sample", "run"], ["evaluate", "run"], ["report", "run"]):
        assert main(words) == 0
    assert "Negative log-likelihood" in Path("run/report.html").read_text()
    assert [picture.name for picture in Run.open("run").pictures()][:2] == ["samples-epoch-0000", "samples-epoch-0002"]


def test_an_exact_likelihood_stands_next_to_a_bound(here):
    flags = ["--epochs", "3", "--accelerator", "cpu"]
    assert main(["train", "histogram", *flags, "--learning-rate", "0.1", "--out", "histogram"]) == 0
    assert main(["train", "vae", *flags, "--out", "vae"]) == 0
    for run in ("histogram", "vae"):
        assert main(["evaluate", run, "--limit", "200"]) == 0
    exact, bound = (Run.open(run).measurements()["bits_per_dim"] for run in ("histogram", "vae"))
    assert (exact.note, bound.note) == ("exact", "upper bound")
    assert main(["report", "histogram", "vae", "--out", "page.html"]) == 0
    table = Path("page.html").read_text().partition("<table")[2].partition("</table>")[0]
    for one in (exact, bound):
        assert f"{one.number} ({one.name}; {one.note})" in table


def test_the_histograms_likelihood_is_exact():
    """Over all images of two pixels and three levels the probabilities sum to 1."""
    from epslab_toys.histogram import PixelHistogram

    model = PixelHistogram((1, 1, 2), 3)
    model.logits.data.normal_(generator=generator(0))
    levels = torch.cartesian_prod(torch.arange(3), torch.arange(3)).float() / 2
    torch.testing.assert_close(model.log_prob(levels.view(9, 1, 1, 2)).exp().sum(), torch.tensor(1.0))


def test_the_readmes_recipe_is_trained_from_the_working_folder(here):
    readme = Path(__file__).parents[2] / "README.md"
    (block,) = re.findall(r"```python\n(.[^`]*?class Means.*?)```", readme.read_text(), flags=re.DOTALL)
    Path("my_model.py").write_text(block)
    assert main(["train", "my_model:Means", "--epochs", "2", "--accelerator", "cpu", "--out", "run"]) == 0
    losses = Run.open("run").metrics()["val/loss"]
    assert losses[-1] < losses[0]
    for words in (["sample", "run"], ["evaluate", "run"], ["report", "run"]):
        assert main(words) == 0
