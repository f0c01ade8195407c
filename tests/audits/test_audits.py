"""An audit from Python, as a user writes it."""

import json
import math
from dataclasses import dataclass

import pytest
import torch

from epslab.attacks import Attacked
from epslab.audits import Target, audit, build_attacks, pictures
from epslab.data import ImageSet
from epslab.errors import UserError
from epslab.evaluation import evaluate_robustness
from epslab.geometry import Ball, Linf
from epslab.report import write_report
from epslab.training import Machine


def brightness(images):
    """Dark images are of class 0, bright ones of class 1."""
    mean = images.flatten(1).mean(1) - 0.5
    return torch.stack([-mean, mean], 1)


@dataclass(frozen=True)
class Whiten:
    """Adds the least grey that makes a dark image bright: no ball."""

    norm = "l2"
    radius = math.inf

    def part(self, index):
        return self

    def thorough(self):
        return self

    def __call__(self, model, images, labels, *, generator=None, seeds=None):
        found = images + (0.502 - images.flatten(1).mean(1)).clamp(min=0)[:, None, None, None]
        asked = torch.ones(len(images), dtype=torch.int64)
        success = model(found).argmax(1) != labels
        return Attacked(found, success, Ball("l2", 0.0).distance(found, images), asked, 0 * asked)


@pytest.fixture
def target():
    """Four grey images that lie 0.1, 0.2, 0.3, 0.4 below the boundary, and one that the model gets wrong."""
    grey = torch.tensor([0.4, 0.3, 0.2, 0.1, 0.9])
    images = ImageSet((255 * grey).round().to(torch.uint8)[:, None, None, None].expand(5, 1, 4, 4).clone(),
                      torch.zeros(5, dtype=torch.int64), ("dark", "bright"))  # fmt: skip
    return Target("mine:brightness", brightness, images, "greys", "test")


def test_three_lines_attack_a_model_and_the_folder_reports(target, tmp_path):
    attacks = build_attacks("fgsm,pgd:steps=3", Linf(38 / 255))
    report = audit(target, attacks, out=tmp_path / "mine", findings=False)
    assert float(report.worst_case) == 3 / 5
    content = json.loads((tmp_path / "mine" / "result.json").read_text())
    asked = {name: content["settings"][name] for name in ("model", "images", "attacks", "norm", "radius")}
    assert asked == {
        "model": "mine:brightness", "images": 5, "attacks": ["fgsm", "pgd"], "norm": "linf", "radius": "38/255"
    }  # fmt: skip
    page = write_report([tmp_path / "mine"], tmp_path / "page.html").read_text()
    assert "Worst-case accuracy 60.0 % [14.7, 94.7] in the L∞ ball of radius 38/255" in page


def test_an_audit_that_was_done_is_not_done_again_unless_asked(target, tmp_path):
    attacks = build_attacks("fgsm", Linf(0.1))
    audit(target, attacks, out=tmp_path / "mine", sweep=None, findings=False)
    with pytest.raises(UserError, match="resume"):
        audit(target, attacks, out=tmp_path / "mine", sweep=None, findings=False)
    audit(target, attacks, out=tmp_path / "mine", sweep=None, findings=False, resume=True)


def test_a_precision_is_the_models_own(target, tmp_path):
    with pytest.raises(UserError, match=r"precision=bf16-mixed: .* model\.half"):
        audit(target, build_attacks("fgsm", Linf(0.1)), out=tmp_path / "out", machine=Machine(precision="bf16-mixed"))
    assert not (tmp_path / "out").exists()


def test_accuracy_by_distance_falls_where_the_boundary_is(target):
    """Grey by 0.1 in all 16 pixels is an L2 distance of 0.1·√16 = 0.4, and so on; half a level is 0.008."""
    images = target.images
    report = evaluate_robustness(
        brightness, images.images, images.labels, {"white": Whiten()}, sweep=None, findings=False
    )
    (line, *_) = pictures._by_distance(report, "white", 2).axes[0].lines
    distances, accuracy = line.get_data()
    assert distances[0] == 0
    expected = [100 * sum(0.4 * k + 0.008 > d + 0.01 for k in (1, 2, 3, 4)) / 5 for d in distances]
    near = [min(abs(0.4 * k + 0.008 - d) for k in (1, 2, 3, 4)) < 0.02 for d in distances]
    assert [a for a, close in zip(accuracy, near, strict=True) if not close] == pytest.approx(
        [e for e, close in zip(expected, near, strict=True) if not close]
    )
    assert accuracy[0] == 80
    assert accuracy[-1] == 0
