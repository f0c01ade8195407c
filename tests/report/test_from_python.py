"""What ``fit`` and ``evaluate_robustness`` write from Python is reported like what the command line writes."""

import json
import re
import sys

import pytest
import torch
from torch import nn

from epslab.attacks import FGSM, RandomNoise
from epslab.classifiers import ClassifierObjective, CrossEntropy
from epslab.data import ImageSet, PointSet, load
from epslab.defences import AdversarialLoss
from epslab.errors import UserError
from epslab.evaluation import Exact, RadiusSweep, evaluate_likelihood, evaluate_robustness
from epslab.generative import ProbabilisticPCA
from epslab.geometry import Linf
from epslab.report import run_section, write_report
from epslab.report.robustness import AuditFolder, robustness_section
from epslab.runs import Column, Run
from epslab.training import Machine, fit


class Halves(nn.Module):
    """Logits of dark and bright; the mean is a parameter."""

    def __init__(self):
        super().__init__()
        self.middle = nn.Parameter(torch.tensor(0.5))

    def forward(self, images):
        grey = images.flatten(1).mean(1) - self.middle
        return torch.stack([-grey, grey], 1)


class Squared:
    """A squared error, with or without a declared column."""

    def __init__(self, model, columns=None):
        self.model = model
        if columns:
            self.columns = columns

    def __call__(self, batch, progress):
        return {"loss": (self.model(batch.examples) - batch.examples).square().flatten(1).sum(1)}


@pytest.fixture
def fitted(tmp_path, monkeypatch):
    """A run of one epoch as a script writes it; with the arguments of the data and the objective's columns."""
    monkeypatch.setattr(sys, "argv", ["/somewhere/else/train.py", "--width", "3"])

    def make(data=None, columns=None):
        model = nn.Linear(2, 2)
        points = data or PointSet(torch.rand(20, 2, generator=torch.Generator().manual_seed(0)))
        train, validation = points.split([15, 5], seed=0)
        return fit(
            model, Squared(model, columns), train, validation, out=tmp_path / "mine", epochs=1, machine=Machine("cpu")
        )

    return make


def test_a_run_of_fit_has_a_true_title(fitted):
    assert run_section(fitted(PointSet(torch.rand(20, 2), name="moons"))).title == "mine (Linear on moons)"


def test_data_without_a_name_are_not_named(fitted):
    assert run_section(fitted()).title == "mine (Linear)"


def test_data_keep_their_name_when_they_are_cut():
    train, validation = load("digits").split([1300, 137], seed=0)
    assert (train.name, validation.name, train[:5].name, train.to("cpu").name) == ("digits",) * 4
    assert ImageSet(train.pixels, train.labels, train.classes).checksum() == train.checksum()


def test_curves_have_the_unit_that_was_declared_and_no_other(fitted, tmp_path):
    plain = run_section(fitted())
    assert plain.pictures[0].image.axes[0].get_ylabel() == ""
    assert "nats" not in plain.lead
    (tmp_path / "mine" / "result.json").unlink()  # even where all that is left are the curves
    assert Run.open(tmp_path / "mine").columns() == {}


def test_a_declared_unit_is_on_the_curve_and_in_the_lead(fitted):
    section = run_section(fitted(columns={"loss": Column("Squared error", "pixels²", "lower")}))
    assert section.pictures[0].image.axes[0].get_ylabel() == "pixels²"
    assert re.match(r"Squared error [\d.]+ pixels² on the validation points", section.lead)


def test_a_classifier_s_curve_has_the_unit_of_its_loss():
    def squared(model, images, labels, generator=None, *, seeds=None):
        return (model(images) - torch.eye(2)[labels]).square().sum(1)

    known = {"loss": CrossEntropy()}, {"loss": AdversarialLoss(FGSM(Linf(0.1)))}
    assert {ClassifierObjective(Halves(), **one).columns["loss"].unit for one in known} == {"nats"}
    assert ClassifierObjective(Halves(), squared).columns["loss"].unit == ""


def test_a_run_of_fit_says_how_it_was_made_and_quotes_no_command_that_fails(fitted, tmp_path):
    code = run_section(fitted()).code
    assert "python train.py --width 3" in code
    assert f"epslab evaluate {tmp_path / 'mine'} --model package.module:name" in code
    assert "epslab train" not in code


@pytest.mark.parametrize("command", ["-c", "ipykernel_launcher.py -f kernel.json", "", "__main__.py"])
def test_a_notebook_or_a_prompt_is_no_script(fitted, command):
    run = fitted()
    config = run.folder / "config.yaml"
    config.write_text(config.read_text().replace("train.py --width 3", f"'{command}'"))
    assert "python" not in run_section(run).code.replace("trained from Python", "")


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    """The folder and the report of an evaluation of 20 grey images, five of them within reach of the attack."""
    folder = tmp_path_factory.mktemp("evaluated") / "robustness"
    grey = torch.linspace(0.02, 0.48, 20)
    images = grey[:, None, None, None].expand(20, 1, 2, 2).clone()
    attacks = {"fgsm": FGSM(Linf(0.125)), "random": RandomNoise(Linf(0.125))}
    report = evaluate_robustness(
        Halves(), images, torch.zeros(20, dtype=torch.int64), attacks, out=folder, findings=False,
        sweep=RadiusSweep((0.125, 0.25)),
    )  # fmt: skip
    return folder, report


def test_a_folder_of_evaluate_robustness_has_a_page(evaluated, tmp_path):
    folder, report = evaluated
    made = robustness_section(AuditFolder.load(folder))
    broken = int(report.broken.sum())
    assert 0 < broken < 20
    assert made.title == "Halves under attack: fgsm, random"
    assert made.lead == (
        f"Worst-case accuracy {report.worst_case} in the L∞ ball of radius 0.125 over 20 images;"
        f" {report.clean_accuracy} without an attack."
    )
    assert len(made.pictures) == 2
    settings = dict(made.details[-1].rows)
    assert settings["norm"] == "L∞"
    assert settings["attack fgsm"].startswith("FGSM(ball=Ball(norm='linf', radius=0.125)")
    html = write_report([folder], tmp_path / "page.html").read_text()
    assert f"{report.worst_case}" in html
    assert html.count("<img") == 2
    assert not re.search(r"\d\.\d{7,}", re.sub(r"base64,[^\"]*|<style>.*?</style>", "", html, flags=re.DOTALL))


def test_the_folder_says_which_script_began_it(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["judge.py"])
    images, labels = torch.full((2, 1, 2, 2), 0.3), torch.zeros(2, dtype=torch.int64)
    attacks = {"fgsm": FGSM(Linf(0.1))}
    evaluate_robustness(Halves(), images, labels, attacks, out=tmp_path / "out", findings=False, sweep=None)
    monkeypatch.setattr(sys, "argv", ["another.py"])
    evaluate_robustness(
        Halves(), images, labels, attacks, out=tmp_path / "out", findings=False, sweep=None, resume=True
    )
    assert robustness_section(AuditFolder.load(tmp_path / "out")).code == "python judge.py"


def test_a_report_that_was_returned_makes_the_same_page(evaluated, tmp_path):
    folder, report = evaluated
    own, kept = (robustness_section(one) for one in (AuditFolder.of(report), AuditFolder.load(folder)))
    assert (own.title, own.lead, own.tables, own.details) == (kept.title, kept.lead, kept.tables, kept.details)
    assert write_report([report], str(tmp_path / "page.html")).exists()


def test_a_broken_folder_is_no_attack(evaluated, tmp_path):
    folder, _ = evaluated
    content = json.loads((folder / "robustness.json").read_text())
    del content["attacks"]
    (tmp_path / "robustness.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match="no finished attack that can be read"):
        AuditFolder.load(tmp_path)


def test_a_report_is_a_page_of_its_own(evaluated, tmp_path):
    _, report = evaluated
    html = report.to_html(tmp_path / "short.html")
    assert (tmp_path / "short.html").read_text() == html
    assert f"<td>{report.worst_case}</td>" in html
    assert "<td>0.25</td>" in html  # a radius of the sweep
    assert "prefers-color-scheme: dark" in html
    assert not re.search(r"https?:|<script|\d\.\d{6,}", html)
    with pytest.raises(UserError, match="is a folder"):
        report.to_html(tmp_path)


def test_a_report_prints_lines_a_person_reads(evaluated):
    _, report = evaluated
    for text in (str(report), repr(report), str(report.interval("fgsm"))):
        assert not re.search(r"\d\.\d{4,}|tensor|Proportion|AttackResult", text)
    lines = str(report).splitlines()
    assert lines[0].startswith(f"Worst-case accuracy {report.worst_case} in the L∞ ball of radius 0.125 over 20")
    assert [line.split()[0] for line in lines[1:]] == ["clean", "fgsm", "random", "worst-case"]
    low, high = report.interval("fgsm")
    assert str(report.interval("fgsm")) == f"[{100 * low:.1f}, {100 * high:.1f}] %"


def test_a_likelihood_is_printed_and_has_pages(tmp_path):
    digits = load("digits", "test")[:50]
    report = evaluate_likelihood(ProbabilisticPCA(5).fit(digits.images), digits, {"exact": Exact()})
    value = report.measurements()[0].number
    assert str(report).splitlines()[0] == "Likelihood of 50 images"
    assert value in str(report)
    assert "tensor" not in repr(report)
    assert value in report.to_html(tmp_path / "short.html")
    assert value in write_report([report], tmp_path / "long.html").read_text()
