"""``epslab attack`` on a run and on the user's own model: numbers, files, going on, and what cannot work."""

import csv
import json
import re
import sys
from pathlib import Path

import pytest
import torch

from epslab import attacks
from epslab.cli.attack import ATTACKS
from epslab.errors import as_flags
from epslab.runs import Run, pictures_in

from .conftest import files_in

QUICK = ("--limit", "12", "--steps", "3", "--no-sweep", "--no-findings")
MODULE = '''
from pathlib import Path
from types import SimpleNamespace

import torch
from torch import nn


class Net(nn.Module):
    """As a Hugging Face classifier: logits in an object, normalised inputs expected, weights from a file."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(64, 10)

    def forward(self, pixel_values):
        return SimpleNamespace(logits=self.head(pixel_values.flatten(1)))


class Bare(Net):
    def forward(self, x):
        calls = Path("calls")
        if calls.exists():  # a user who loses patience
            left = int(calls.read_text()) - 1
            calls.write_text(str(left))
            if left < 0:
                raise KeyboardInterrupt
        return super().forward(x).logits


class Wide(Bare):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(64, 7)
'''


@pytest.fixture
def module(elsewhere):
    """The user's module in the working folder, with weights that read digits a little."""
    (elsewhere / "users_own.py").write_text(MODULE)
    torch.manual_seed(0)
    torch.save({"head.weight": torch.randn(10, 64), "head.bias": torch.zeros(10)}, elsewhere / "weights.pth")
    yield "users_own"
    sys.modules.pop("users_own", None)


def result(folder):
    return json.loads((Path(folder) / "result.json").read_text())


def numbers(folder):
    """What was measured, without where and when."""
    return {name: value for name, value in result(folder).items() if name not in ("command", "settings")}


def test_a_run_is_attacked_into_a_folder_of_its_own(epslab, run):
    outcome = epslab("attack", "run", "--radius", "32/255", "--limit", "20", "--steps", "5")
    assert outcome.code == 0, outcome.err
    folder = run / "attacks" / "linf-32_255-random-fgsm-pgd-steps5-limit20"
    content = result(folder)
    assert content["examples"] == 20
    assert set(content["robust_accuracy"]) == {"random", "fgsm", "pgd"}
    for name in ("clean", "random", "fgsm", "pgd", "worst-case"):
        assert f"\n{name} " in outcome.out
    low, high = (100 * content["worst_case"][end] for end in ("low", "high"))
    assert f"Worst-case accuracy {100 * content['worst_case']['value']:.1f} % [{low:.1f}, {high:.1f}]" in outcome.out
    assert len(content["findings"]) >= 10
    for finding in content["findings"]:
        assert finding["name"] in outcome.out
        assert as_flags(finding["evidence"]) in outcome.out
    assert "✓" in outcome.out
    assert "\x1b" not in outcome.out
    assert f"  epslab report {folder}\n" in outcome.out
    noted = Run.open(run).result()["attacks"][folder.name]
    assert noted["worst_case"] == content["worst_case"]
    pictures = pictures_in(folder / "figures")
    assert [picture.name for picture in pictures] == [
        "accuracies", "radius", "grid-random", "grid-fgsm", "grid-pgd", "least-robust", "most-robust"
    ]  # fmt: skip
    index = json.loads((folder / "figures" / "index.json").read_text())
    assert [picture.caption for picture in pictures] == [entry["caption"] for entry in index.values()]
    for name in ("robustness", "sweep", "examples", "classes"):
        with (folder / f"{name}.csv").open() as file:
            header, *rows = csv.reader(file)
        assert rows
        assert {len(row) for row in rows} == {len(header)}


def test_the_page_of_a_run_has_its_attacks_and_an_attack_has_a_page(epslab, run):
    assert epslab("attack", "run", *QUICK, "--attacks", "fgsm,pgd", "--out", "run/attacks/mine").code == 0
    assert epslab("report", "run").code == 0
    assert epslab("report", "run/attacks/mine", "--out", "mine.html").code == 0
    for page in (Path("run/report.html"), Path("mine.html")):
        text = page.read_text()
        assert "under attack: fgsm, pgd" in text
        assert "Worst-case accuracy" in text
        assert "epslab attack run --limit 12" in text


def test_an_import_path_with_weights_and_normalisation_is_attacked(epslab, module):
    words = ("--data", "digits", "--state", "weights.pth", "--mean", "0.5", "--std", "0.25", *QUICK)
    outcome = epslab("attack", f"{module}:Net", *words, "--attacks", "pgd", "--norm", "l2", "--radius", "0.5")
    assert outcome.code == 0, outcome.err
    folder = Path("runs/attacks/users_own-Net-digits/l2-0.5-pgd-steps3-limit12")
    assert result(folder)["settings"]["mean"] == [0.5]
    assert "users_own:Net on 12 test images of digits: accuracy in the L2 ball of radius 0.5\n" in outcome.out


def test_a_radius_is_a_fraction_or_a_number(epslab, run):
    for radius, out in (("51/255", "a"), ("0.2", "b")):
        assert epslab("attack", "run", *QUICK, "--radius", radius, "--out", out, "--attacks", "pgd").code == 0
    assert numbers("a") == numbers("b")


def test_radii_of_the_sweep_are_those_asked_for(epslab, run):
    words = ("--limit", "8", "--attacks", "fgsm", "--no-findings", "--radii", "1/255,0.1,0.2", "--out", "out")
    assert epslab("attack", "run", *words).code == 0
    assert [row[0] for row in result("out")["sweep"]["curve"]["rows"]] == pytest.approx([0, 1 / 255, 0.1, 0.2])


def test_the_worst_case_alone_is_as_bad_as_all_of_them(epslab, run):
    words = (*QUICK, "--radius", "0.2", "--attacks", "fgsm,pgd")
    assert epslab("attack", "run", *words, "--out", "all").code == 0
    assert epslab("attack", "run", *words, "--worst-case", "--out", "worst").code == 0
    assert set(result("worst")["robust_accuracy"]) == {"fgsm+pgd"}
    assert result("worst")["worst_case"]["value"] <= result("all")["robust_accuracy"]["fgsm"]["value"]


def test_validation_images_and_other_data_are_those_asked_for(epslab, run):
    assert epslab("attack", "run", *QUICK, "--split", "validation", "--attacks", "fgsm", "--out", "v").code == 2
    words = ("--limit", "12", "--no-sweep", "--no-findings", "--attacks", "fgsm")
    assert epslab("attack", "run", *words, "--split", "validation", "--out", "v").code == 0
    assert result("v")["settings"]["split"] == "validation"
    assert epslab("attack", "run", *words, "--data", "digits", "--out", "d").code == 0


def test_an_interrupted_attack_says_how_to_go_on_and_goes_on_to_the_same_result(epslab, module, refused):
    words = ("attack", f"{module}:Bare", "--data", "digits", "--state", "weights.pth", *QUICK, "--batch-size", "4")
    assert epslab(*words, "--out", "straight").code == 0
    Path("calls").write_text("40")
    outcome = epslab(*words, "--out", "out")
    Path("calls").unlink()
    assert outcome.code == 130
    command = f"epslab {' '.join(words)} --out out --resume"
    assert outcome.err == f"epslab: Interrupted; `{command}` goes on where it stopped.\n"
    assert list(Path("out/results").rglob("*.safetensors"))
    assert "was not finished; --resume" in refused(*words, "--out", "out")
    assert epslab(*command.split()[1:]).code == 0
    assert numbers("out") == numbers("straight")


def test_a_finished_attack_is_not_run_again_unless_asked(epslab, run, kept):
    words = ("attack", "run", *QUICK, "--attacks", "pgd", "--out", "out")
    first = epslab(*words)
    before = files_in(Path("out"))
    again = kept(*words)
    assert "measured  before; model, data and settings are the same (--overwrite measures once more)" in again
    assert again.splitlines()[:5] == first.out.splitlines()[:5]
    assert kept(*words, "--resume") == again
    assert files_in(Path("out")) == before
    assert epslab(*words, "--overwrite").code == 0
    after = files_in(Path("out"))
    assert {name: content for name, content in after.items() if name != "result.json"} == {
        name: content for name, content in before.items() if name != "result.json"
    }


def test_a_resumed_attack_must_be_the_same(epslab, run, refused):
    words = ("attack", "run", *QUICK, "--attacks", "pgd", "--out", "out")
    assert epslab(*words).code == 0
    assert "other settings" in refused(*words, "--restarts", "2", "--resume")


def test_other_things_in_the_folder_are_left_alone(epslab, run, refused):
    Path("out").mkdir()
    Path("out/mine.txt").write_text("mine")
    assert "holds other things" in refused("attack", "run", *QUICK, "--out", "out", "--overwrite")
    assert Path("out/mine.txt").read_text() == "mine"


def test_a_model_no_better_than_guessing_is_said(epslab, module):
    words = ("--data", "digits", "--limit", "40", "--no-sweep", "--no-findings", "--attacks", "fgsm")
    assert "no better than guessing" in epslab("attack", f"{module}:Bare", *words, "--out", "out").out


REFUSED = {
    ("--attacks", "pdg"): "Did you mean 'pgd'?",
    ("--attacks", "pgd,pgd"): "named 2 times",
    ("--attacks", ","): "no attack to run",
    ("--radius", "8/0"): "--radius",
    ("--radius", "-1"): "--radius",
    ("--radius", "wide"): "8/255",
    ("--radius", "nan"): "--radius",
    ("--radii", "1/255,x"): "--radii",
    ("--radii", "0.2,0.1"): "ascending",
    ("--norm", "l3"): "norm 'l3'",
    ("--steps", "0"): "--steps must be at least 1",
    ("--restarts", "0"): "--restarts must be at least 1",
    ("--limit", "0"): "--limit must be at least 1",
    ("--batch-size", "0"): "--batch-size must be at least 1",
    ("--attacks", "fgsm", "--restarts", "3"): "fgsm has no --restarts; leave it out",
    ("--attacks", "random,fgsm", "--steps", "3"): "random and fgsm have no --steps; leave it out",
    ("--attacks", "pgd:step=3"): "Unknown option of pgd 'step'. Did you mean 'steps'?",
    ("--attacks", "pgd:steps=many"): "pgd's option 'steps' is 'many', but must be a whole number.",
    ("--attacks", "pgd:steps=0"): "steps is 0",
    ("--attacks", "pgd:objective=margins"): "Did you mean 'margin'?",
    ("--attacks", "pgdd:steps=3"): "Did you mean 'pgd'?",
    ("--attacks", "fgsm:steps=3"): "Unknown option of fgsm 'steps'",
    ("--attacks", "nowhere.yaml"): "'nowhere.yaml' cannot be read (No such file or directory)",
    ("--attacks", "no_such_module:Attack"): "no_such_module",
    ("--split", "train"): "--split must be one of 'test', 'validation', not 'train'.",
    ("--accelerator", "abacus"): "accelerator 'abacus'",
    ("--resume", "--overwrite"): "give one of them",
    ("--data", "dgits"): "data set 'dgits'",
    ("--state", "w.pth"): "for a model at an import path",
    ("--mean", "0.5", "--std", "0.5"): "for a model at an import path",
    ("--mean", "half"): "--mean",
}


@pytest.mark.parametrize("words", REFUSED, ids=" ".join)
def test_what_cannot_work_on_a_run_is_one_sentence_and_writes_nothing(refused, run, words):
    before = files_in(Path())
    assert REFUSED[words] in refused("attack", "run", *words)
    assert files_in(Path()) == before


REFUSED_IMPORTS = {
    ("{}:Bare",): "Give --data",
    ("{}:Bare", "--data", "digits", "--split", "validation"): "Only a run has validation images",
    ("{}:Missing", "--data", "digits"): "has no 'Missing'",
    ("{}s:Net", "--data", "digits"): "no module",
    ("{}", "--data", "digits"): "neither a run folder nor an import path",
    ("{}:Wide", "--data", "digits"): "tells 7 classes apart, but the data has 10",
    ("{}:Bare", "--data", "digits", "--state", "nowhere.pth"): "no file 'nowhere.pth'",
    ("{}:Wide", "--data", "digits", "--state", "weights.pth"): "another net",
    ("{}:Bare", "--data", "digits", "--mean", "0.5"): "needs both",
    ("{}:Bare", "--data", "digits", "--mean", "0.5,0.5", "--std", "1"): "channels",
    ("{}:Bare", "--data", "digits", "--mean", "0.5", "--std", "0"): "must be positive",
}


@pytest.mark.parametrize("words", REFUSED_IMPORTS, ids=" ".join)
def test_what_cannot_work_on_an_import_path_is_one_sentence(refused, module, words):
    first, *rest = words
    assert REFUSED_IMPORTS[words] in refused("attack", first.format(module), *rest)
    assert not Path("runs").exists()


def test_a_run_of_a_generative_model_is_no_classifier(epslab, refused):
    words = ("--epochs", "1", "--width", "4", "--latent-dim", "2", "--accelerator", "cpu", "--out", "vae")
    assert epslab("train", "vae", *words).code == 0
    assert "holds a 'vae', which is no classifier" in refused("attack", "vae")


def test_an_empty_folder_is_no_run(refused):
    Path("empty").mkdir()
    assert "is not a run" in refused("attack", "empty")


def test_the_help_names_every_attack_and_says_the_unit(epslab):
    text = " ".join(epslab("attack", "--help").out.split())
    assert tuple(attacks.ATTACKS.builtin) == ATTACKS
    for name in ATTACKS:
        assert name in text
    assert "units of the pixel range [0, 1]: 8/255 means 8/255" in text


def test_attacks_take_options_of_their_own(epslab, run):
    words = ("--limit", "6", "--no-sweep", "--no-findings", "--radius", "0.1")
    named = "fgsm,pgd:steps=3,restarts=2,pgd:steps=4,objective=margin,step_size=2/255"
    assert epslab("attack", "run", *words, "--attacks", named, "--out", "line").code == 0
    content = result("line")
    keys = ["fgsm", "pgd", "pgd-2"]
    assert list(content["robust_accuracy"]) == keys
    assert content["settings"]["attacks"][1] == "pgd:steps=3,restarts=2"
    described = [content["attacks"][key]["settings"] for key in keys]
    assert "steps=3" in described[1]
    assert "restarts=2" in described[1]
    assert "objective=epslab.attacks.objectives.margin" in described[2]
    assert f"step_size={2 / 255}" in described[2]
    Path("attacks.yaml").write_text("fgsm:\nstrong: {attack: pgd, steps: 3, restarts: 2}\n")
    assert epslab("attack", "run", *words, "--attacks", "attacks.yaml", "--out", "file").code == 0
    other = result("file")
    assert list(other["robust_accuracy"]) == ["fgsm", "strong"]
    assert other["robust_accuracy"]["fgsm"] == content["robust_accuracy"]["fgsm"]


OUTSIDE = '''
import math
from dataclasses import dataclass

import torch
from epslab.attacks import Attacked
from epslab.geometry import Ball


@dataclass(frozen=True)
class Fade:
    """Fades every image to grey until the model is wrong: no ball, and an option."""

    shades: int = 4
    norm = "l2"
    radius = math.inf

    def part(self, index):
        return self

    def thorough(self):
        return self

    def __call__(self, model, images, labels, *, generator=None, seeds=None):
        found, open_ = images.clone(), torch.ones_like(labels, dtype=torch.bool)
        with torch.no_grad():
            for shade in range(self.shades + 1):
                faded = torch.lerp(images, torch.full_like(images, 0.5), shade / self.shades)
                found = torch.where(open_[:, None, None, None], faded, found)
                open_ = open_ & (model(found).argmax(1) == labels)
        queries = torch.full_like(labels, self.shades + 1)
        return Attacked(found, ~open_, Ball("l2", 0.0).distance(found, images), queries, 0 * queries)
'''


FADE = ("--limit", "6", "--no-findings", "--attacks", "fading:Fade:shades=2")


def test_an_attack_from_outside_without_a_ball_and_with_an_option(epslab, run, refused):
    Path("fading.py").write_text(OUTSIDE)
    outcome = epslab("attack", "run", *FADE)
    assert outcome.code == 0, outcome.err
    (folder,) = (run / "attacks").iterdir()
    assert folder.name == "fading_Fade_shades_2-limit6"
    content = result(folder)
    assert list(content["robust_accuracy"]) == ["Fade"]
    assert "\nMedian distance that makes the model wrong: L2 " in outcome.out
    found = content["attacks"]["Fade"]
    assert (found["norm"], found["radius"]) == ("l2", None)
    assert 0 < found["distance"]["10 %"] <= found["distance"]["median"] <= found["distance"]["90 %"]
    wrong = refused("attack", "run", *FADE[:-1], "fading:Fade:shade=2")
    assert "Unknown option of fading:Fade 'shade'. Did you mean 'shades'?" in wrong
    assert epslab("report", str(folder), "--out", "page.html").code == 0
    page = Path("page.html").read_text()
    assert "Accuracy against how far Fade may change an image" in page
    for text in (outcome.out, (folder / "result.json").read_text(), page):
        assert "linf" not in text
        assert "L∞" not in text
        assert "8/255" not in text


@pytest.mark.parametrize("flag", [("--radius", "8/255"), ("--norm", "l1")])
def test_a_radius_that_no_attack_has_is_refused(refused, run, flag):
    Path("fading.py").write_text(OUTSIDE)
    assert f"fading:Fade has no {flag[0]}; leave it out" in refused("attack", "run", *FADE, *flag)


def test_a_sweep_may_have_a_norm_where_no_attack_has_a_radius(epslab, run):
    Path("fading.py").write_text(OUTSIDE)
    assert epslab("attack", "run", *FADE, "--radii", "0.5,1", "--norm", "l2", "--out", "out").code == 0
    assert result("out")["sweep"]["norm"] == "l2"


def test_the_worst_case_is_that_of_the_attacks_in_the_ball(epslab, run):
    Path("fading.py").write_text(OUTSIDE)
    words = (*QUICK, "--radius", "0.02", "--attacks")
    assert epslab("attack", "run", *words, "fgsm,pgd,fading:Fade:shades=2", "--out", "both").code == 0
    assert epslab("attack", "run", *words, "fgsm,pgd", "--out", "ball").code == 0
    both, ball = result("both"), result("ball")
    assert both["robust_accuracy"]["Fade"]["value"] < ball["worst_case"]["value"]
    assert both["worst_case"] == ball["worst_case"]
    assert both["survival"] == ball["survival"]
    assert both["table"]["rows"][-1] == ball["table"]["rows"][-1]


def test_a_file_of_attacks_and_a_long_line_have_folders_with_short_names(epslab, run):
    words = ("--limit", "6", "--no-sweep", "--no-findings")
    Path("mine.yaml").write_text("fgsm:\nstrong: {attack: pgd, steps: 3, objective: margin}\n")
    assert epslab("attack", "run", *words, "--attacks", "mine.yaml").code == 0
    (first,) = (run / "attacks").iterdir()
    assert re.fullmatch(r"linf-8_255-mine-[0-9a-f]{6}-limit6", first.name)
    assert result(first)["settings"]["attacks"] == ["fgsm", "strong (pgd:steps=3,objective=margin)"]
    Path("mine.yaml").write_text("fgsm:\n")
    assert epslab("attack", "run", *words, "--attacks", "mine.yaml").code == 0
    long = ",".join(f"pgd:steps={n},restarts=1,objective=margin,goal=untargeted" for n in (1, 2, 3))
    assert epslab("attack", "run", *words, "--attacks", long).code == 0
    assert len(list((run / "attacks").iterdir())) == 3
    assert any(
        re.fullmatch(r"linf-8_255-pgd-pgd-2-pgd-3-[0-9a-f]{6}-limit6", path.name)
        for path in (run / "attacks").iterdir()
    )
