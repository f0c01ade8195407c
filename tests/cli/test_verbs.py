"""Every verb on a real run: from data to page."""

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from safetensors.torch import load_file

from epslab import studies
from epslab.cli import main
from epslab.report import StudyResult
from epslab.runs import Run, number, with_error

TINY = ("--epochs", "2", "--width", "4", "--latent-dim", "2", "--accelerator", "cpu")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained") / "run"
    assert main(["train", "vae", *TINY, "--seed", "3", "--out", str(folder)]) == 0
    return folder


def test_training_leaves_a_run_and_says_what_comes_next(epslab):
    outcome = epslab("train", "vae", *TINY, "--data", "digits")
    run = Run.open("runs/vae-digits")
    assert run.weights.exists()
    best = min(run.metrics()["val/bits_per_dim"])
    assert f"Negative ELBO {number(best)} bits/dim on the validation images" in outcome.out
    for verb in ("evaluate", "sample", "report"):
        assert f"  epslab {verb} runs/vae-digits\n" in outcome.out
    assert "\x1b" not in outcome.out


def test_a_runs_configuration_repeats_it_to_the_bit(epslab, trained):
    assert epslab("train", "--config", trained, "--out", "again").code == 0
    assert Path("again/metrics.csv").read_bytes() == (trained / "metrics.csv").read_bytes()
    first, again = load_file(trained / "model.safetensors"), load_file("again/model.safetensors")
    assert all(first[name].equal(again[name]) for name in first)
    settings, repeated = (yaml.safe_load((folder / "config.yaml").read_text()) for folder in (trained, Path("again")))
    assert {**settings, "provenance": None} == {**repeated, "provenance": None}


def test_the_configurations_keys_are_the_flags(trained, epslab):
    keys = set(yaml.safe_load((trained / "config.yaml").read_text())) - {"recipe", "provenance"}
    text = epslab("train", "vae", "--help").out
    assert not [key for key in keys if f"--{key.replace('_', '-')} " not in text]


def test_a_run_is_resumed_by_its_folder_alone(epslab, trained):
    shutil.copytree(trained, "run")
    assert epslab("train", "--out", "run", "--resume", "--epochs", "3").code == 0
    assert epslab("train", "--config", trained, "--epochs", "3", "--out", "straight").code == 0
    assert Path("run/metrics.csv").read_bytes() == Path("straight/metrics.csv").read_bytes()


def test_evaluation_prints_and_keeps_its_numbers(epslab, trained):
    shutil.copytree(trained, "run")
    outcome = epslab("evaluate", "run", "--limit", "20", "--importance-samples", "3", "--prior-samples", "2")
    assert outcome.code == 0
    found = json.loads(Path("run/result.json").read_text())
    assert found["images"] == 20
    bits = found["measurements"]["bits_per_dim"]
    assert f"{with_error(bits['value'], bits['standard_error'])} bits/dim" in outcome.out
    assert "20 test images" in outcome.out
    assert "nats" in outcome.out
    assert "  epslab report run\n" in outcome.out
    assert list(Path("run/figures").glob("reconstructions*.png"))


def test_the_same_seed_draws_the_same_picture(epslab, trained):
    for name, *flags in [("a",), ("b",), ("c", "--seed", "1"), ("d", "--means")]:
        assert epslab("sample", trained, "-n", "4", "--out", f"new/{name}.png", *flags).code == 0
    pictures = {path.stem: path.read_bytes() for path in Path("new").iterdir()}
    assert pictures["a"] == pictures["b"]
    assert len(set(pictures.values())) == 3
    assert pictures["a"].startswith(b"\x89PNG")


def test_any_number_of_samples_goes_into_a_file(epslab, trained):
    outcome = epslab("sample", trained, "-n", "12000", "--out", "samples.npy")
    assert outcome.code == 0
    assert "array   samples.npy (0.768 MB; numpy.load reads it)" in outcome.out
    assert np.load("samples.npy").shape == (12_000, 1, 8, 8)


def test_samples_go_among_the_runs_figures(epslab, trained):
    shutil.copytree(trained, "run")
    assert "run/figures/samples-5.png" in epslab("sample", "run", "-n", "5").out
    assert Path("run/figures/samples-5.png").exists()


def test_a_report_is_one_page(epslab, trained):
    shutil.copytree(trained, "run")
    assert epslab("report", "run").code == 0
    assert "<html" in Path("run/report.html").read_text()[:500]
    assert "both.html" in epslab("report", "run", trained, "--out", "both.html").out
    assert Path("both.html").exists()


def test_data_list_says_where_each_set_is(epslab):
    from epslab import data

    outcome = epslab("data", "list", "--data-root", "empty")
    assert outcome.code == 0
    for name in data.NAMES:
        line = next(line for line in outcome.out.splitlines() if line.startswith(name))
        origin = "drawn by epslab" if name in data.DRAWN else "comes with scikit-learn"
        assert origin in line if name in (*data.DRAWN, "digits") else f"epslab data fetch {name}" in line
    assert "\x1b" not in outcome.out
    assert not [line for line in outcome.out.splitlines() if line != line.rstrip()]


def test_a_terminal_gets_lines_of_its_width(epslab, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert max(map(len, epslab("data", "list").out.splitlines())) <= 80


def test_data_check_gives_a_verdict_on_each_file(epslab):
    outcome = epslab("data", "check", "digits")
    assert outcome.code == 0
    assert "ok" in outcome.out


@pytest.mark.parametrize("action", ["check", "fetch"])
def test_data_that_are_drawn_have_no_files(epslab, action):
    outcome = epslab("data", action, "ring")
    assert outcome.code == 2
    assert "'ring' is drawn by epslab when it is used: there are no files" in outcome.err


def test_data_root_is_an_argument_or_the_environment(epslab, monkeypatch):
    monkeypatch.setenv("EPSLAB_DATA", "from-environment")
    assert "from-environment" in epslab("data", "check", "mnist").err
    assert "from-flag" in epslab("data", "check", "mnist", "--data-root", "from-flag").err


def test_a_study_gets_its_context_and_its_answer_is_printed(epslab, monkeypatch):
    asked = []

    def run_study(name, context):
        asked.append((name, context))
        return StudyResult(name, "Is it?", "It is, by 3 nats.", warnings=("barely",))

    monkeypatch.setattr(studies, "run_study", run_study, raising=False)
    outcome = epslab("study", "beta", "--data", "mnist", "--scale", "full", "--seed", "4", "--data-root", "there")
    assert outcome.code == 0
    ((name, context),) = asked
    assert (name, context.data, context.scale, context.seed) == ("beta", "mnist", "full", 4)
    assert (context.out, context.data_root) == (Path("runs/studies/mnist-full"), Path("there"))
    for text in ("Is it?", "It is, by 3 nats.", "barely", "epslab report runs/studies/mnist-full/beta"):
        assert text in outcome.out


def test_the_help_of_study_lists_every_question(epslab):
    text = epslab("study", "--help").out
    assert all(name in text and studies.question(name) in text for name in studies.NAMES)


@pytest.mark.parametrize(("words", "name"), [(("betta",), "beta"), (("beta", "--scale", "ful"), "full")])
def test_an_unknown_study_or_scale_names_the_nearest(refused, words, name):
    assert f"Did you mean '{name}'?" in refused("study", *words)


@pytest.fixture
def toured(monkeypatch):
    """Calls of the tour, which writes an empty page."""
    calls = []

    def tour(out, **settings):
        calls.append({"out": out, **settings})
        out.mkdir(parents=True, exist_ok=True)
        (out / "report.html").write_text("<html>")
        return out / "report.html"

    monkeypatch.setattr(studies, "tour", tour, raising=False)
    return calls


def test_the_tour_says_where_its_page_is(epslab, toured):
    outcome = epslab("tour", "--seed", "2")
    assert "runs/tour/report.html" in outcome.out
    assert "Next:" in outcome.out
    for command in ("epslab train small-cnn", "epslab attack runs/first", "epslab report runs/first"):
        assert f"\n  {command}" in outcome.out
    assert toured == [
        {"out": Path("runs/tour"), "data": "digits", "data_root": None, "seed": 2, "accelerator": "auto", "devices": 1}
    ]


def test_the_tour_says_how_to_enter_the_environment_where_epslab_is_no_command(epslab, toured, monkeypatch):
    """As after `make tour`, which calls .venv/bin/epslab."""
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("sys.prefix", str(Path.cwd() / ".venv"))
    assert "\n  source .venv/bin/activate   # or type .venv/bin/epslab in place of epslab\n" in epslab("tour").out
    monkeypatch.setattr("shutil.which", lambda name: f"/somewhere/{name}")
    assert "activate" not in epslab("tour").out


def test_an_overwritten_tour_loses_its_studies_and_nothing_else(epslab, toured):
    for run in ("out/runs/vae-0", "out/runs/mine", "elsewhere"):
        Path(run).mkdir(parents=True)
        Path(run, "config.yaml").write_text("recipe: vae")
    Path("out/beta/found").mkdir(parents=True)
    Path("out/beta/notes.txt").write_text("no study")
    StudyResult("vae", "?", ".", runs=(Path("out/runs/vae-0"), Path("elsewhere"))).save(Path("out/vae"))
    StudyResult("fgsm", "?", ".").save(Path("out/fgsm"))
    Path("out/fgsm/notes.txt").write_text("the user's")
    epslab("tour", "--out", "out")
    assert Path("out/vae").exists()
    epslab("tour", "--out", "out", "--overwrite")
    assert not Path("out/vae").exists()
    assert [path.name for path in Path("out/fgsm").iterdir()] == ["notes.txt"]
    assert not Path("out/runs/vae-0").exists()
    assert all(Path(kept).exists() for kept in ("out/runs/mine", "elsewhere", "out/beta/notes.txt"))


@pytest.mark.processes
def test_two_processes_train_one_run_and_speak_with_one_voice(trained):
    words = ["train", "--config", str(trained), "--devices", "2", "--strategy", "ddp", "--accelerator", "cpu"]
    environment = {name: value for name, value in os.environ.items() if not name.endswith("RANK")}
    done = subprocess.run(
        [sys.executable, "-m", "epslab", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
        env={**environment, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert [path.name for path in Path("runs").iterdir()] == ["vae-digits"]
    assert done.stdout.count("Trained runs/vae-digits") == 1
    with Path("runs/vae-digits/metrics.csv").open() as two, (trained / "metrics.csv").open() as one:
        for ours, theirs in zip(csv.DictReader(two), csv.DictReader(one), strict=True):
            assert ours["epoch"] == theirs["epoch"]
            assert float(ours["val/bits_per_dim"]) == pytest.approx(float(theirs["val/bits_per_dim"]), rel=1e-3)
