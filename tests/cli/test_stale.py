"""Numbers that are no longer the run's, from the shell: training that went on, weights and data that were replaced."""

import html
import json
import re
import sys
from pathlib import Path

import pytest
import torch

from epslab.cli import main
from epslab.runs import Run

TINY = ("--width", "4", "--accelerator", "cpu")
QUICK = ("--attacks", "fgsm", "--radius", "32/255", "--limit", "12", "--no-sweep", "--no-findings")
NET = """
from torch import nn


def net():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained") / "run"
    assert main(["train", "small-cnn", *TINY, "--epochs", "1", "--out", str(folder)]) == 0
    assert main(["evaluate", str(folder)]) == 0
    assert main(["attack", str(folder), *QUICK]) == 0
    return folder


@pytest.fixture
def net(elsewhere):
    """The user's own net and its weights."""
    (elsewhere / "own_net.py").write_text(NET)
    yield "own_net:net"
    sys.modules.pop("own_net", None)


def weights(path, seed):
    generator = torch.Generator().manual_seed(seed)
    torch.save({"1.weight": torch.randn(10, 64, generator=generator), "1.bias": torch.zeros(10)}, path)


def text_of(page):
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", Path(page).read_text())).split())


def result(folder):
    return json.loads((Path(folder) / "result.json").read_text())


def test_a_run_that_was_trained_on_shows_no_numbers_of_its_earlier_weights(epslab, run):
    before = Run.open(run).measurements()["accuracy"].text
    (attack,) = (run / "attacks").iterdir()
    assert epslab("report", run).code == 0
    assert before in text_of("run/report.html")
    assert "under attack: fgsm" in text_of("run/report.html")
    assert epslab("train", "--config", run, "--out", run, "--resume", "--epochs", "3").code == 0
    assert epslab("report", run).code == 0
    page = text_of("run/report.html")
    assert before not in page
    assert "on the validation images at the best epoch" in page
    assert "its numbers on the test images are out of date." in page
    assert "left out: the weights have changed since; `epslab evaluate run` measures the run again." in page
    assert "under attack: fgsm" not in page
    assert f"The attack '{attack.name}' is left out: the weights have changed since;" in page
    assert "How often the classifier is right against how sure it is" not in page
    # The attack's own page says so, too.
    assert epslab("report", attack, "--out", "attack.html").code == 0
    assert "This attack is out of date: the weights have changed since;" in text_of("attack.html")
    # Measured once more, all is the run's own again.
    assert epslab("attack", run, *QUICK).code == 0
    (again,) = set((run / "attacks").iterdir()) - {attack}
    assert re.fullmatch(rf"{attack.name}-[0-9a-f]{{8}}", again.name)
    assert result(again)["of"]["weights"] == Run.open(run).weights_hash() != result(attack)["of"]["weights"]
    assert epslab("evaluate", run).code == 0
    after = Run.open(run).measurements()["accuracy"].text
    assert epslab("report", run).code == 0
    page = text_of("run/report.html")
    assert f"{after} on 360 test images after 3 epochs of training." in page
    assert "of the last evaluation are left out" not in page
    assert "under attack: fgsm" in page
    assert f"The attack '{attack.name}' is left out" in page


def test_a_finished_attack_on_the_same_weights_is_still_done(kept, run):
    (attack,) = (run / "attacks").iterdir()
    assert f"epslab report {attack}\n" in kept("attack", run, *QUICK)
    assert len(list((run / "attacks").iterdir())) == 1


def test_another_file_of_weights_under_the_same_name_is_another_attack(epslab, refused, kept, net):
    weights("w.pth", 1)
    words = ("attack", net, "--data", "digits", "--state", "w.pth", *QUICK)
    assert epslab(*words).code == 0
    first = Path("runs/attacks/own_net-net-digits/linf-32_255-fgsm-limit12")
    before = (first / "result.json").read_bytes()
    assert kept(*words)
    weights("w.pth", 2)
    assert epslab(*words).code == 0
    (second,) = set(first.parent.iterdir()) - {first}
    assert (first / "result.json").read_bytes() == before
    assert result(second)["of"]["weights"] != result(first)["of"]["weights"]
    assert f"epslab report {second}\n" in kept(*words)
    assert "holds an attack of another model, or of one with other weights" in refused(*words, "--out", first)
    weights("w.pth", 1)
    assert f"epslab report {first}\n" in kept(*words)


def test_another_normalisation_seed_or_radii_are_another_attack(epslab, refused, kept, net):
    weights("w.pth", 1)
    words = ("attack", net, "--data", "digits", "--state", "w.pth", "--attacks", "fgsm", "--limit", "12")
    parent = Path("runs/attacks/own_net-net-digits")
    told = []
    for more in (
        ("--mean", "0.3", "--std", "0.2", "--no-sweep", "--no-findings"),
        ("--mean", "0.3", "--std", "0.5", "--no-sweep", "--no-findings"),
        ("--mean", "0.4", "--std", "0.5", "--no-sweep", "--no-findings"),
        ("--mean", "0.4", "--std", "0.5", "--radii", "2/255", "--no-findings"),
    ):
        assert epslab(*words, *more).code == 0
        told.append(len(list(parent.iterdir())))
        assert kept(*words, *more)
    assert told == [1, 2, 3, 4]
    hashes = [result(folder)["of"]["weights"] for folder in parent.iterdir()]
    assert len(set(hashes)) == 3


def test_going_on_with_an_attack_on_other_weights_is_refused(epslab, refused, run):
    (attack,) = (run / "attacks").iterdir()
    (attack / "result.json").unlink()  # as if it had been interrupted
    opened = Run.open(run)
    state = torch.load(opened.last_checkpoint, weights_only=True)["state_dict"]
    opened.save_weights({name.removeprefix("model."): tensor + 0.1 for name, tensor in state.items()})
    assert "holds an evaluation with other settings, model" in refused("attack", run, *QUICK, "--resume")


def test_other_data_of_the_same_name_is_another_attack(epslab, refused, kept, net):
    from PIL import Image

    for split in ("train", "test"):
        for label in range(10):
            folder = Path("data") / split / str(label)
            folder.mkdir(parents=True)
            Image.new("L", (8, 8), 20 * label).save(folder / "a.png")
    weights("w.pth", 1)
    words = ("attack", net, "--data", "data", "--state", "w.pth", "--attacks", "fgsm", "--no-sweep", "--no-findings")
    assert epslab(*words).code == 0
    assert kept(*words)
    Image.new("L", (8, 8), 250).save("data/test/3/a.png")
    assert epslab(*words).code == 0
    first, second = sorted(Path("runs/attacks/own_net-net-data").iterdir())
    assert result(first)["of"]["data"] != result(second)["of"]["data"]
    assert result(first)["of"]["weights"] == result(second)["of"]["weights"]


def test_damaged_weights_are_one_sentence_for_every_verb(epslab, refused, run):
    content = bytearray((run / "model.safetensors").read_bytes())
    content[-1000:] = bytes(1000)
    (run / "model.safetensors").write_bytes(bytes(content))
    for verb in ("evaluate", "attack"):
        assert "model.safetensors' are damaged" in refused(verb, run)
    assert "are damaged" in refused("train", "small-cnn", *TINY, "--weights", run, "--out", "other")
