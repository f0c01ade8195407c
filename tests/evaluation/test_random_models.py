"""Classifiers that draw: the evaluation hands them each example's own seeds, so that their answers can be repeated."""

from pathlib import Path
from typing import Any

import pytest
import torch
from robust_samples import Push, digits, trained
from torch import Tensor, nn

from epslab.attacks import PGD, Attack, Attacked, RandomNoise, Restarts, WorstCase
from epslab.evaluation import RadiusSweep, evaluate_robustness
from epslab.evaluation.findings import evidence
from epslab.evaluation.findings.evidence import reference_attacks
from epslab.geometry import Ball, Linf
from epslab.seeds import noise
from epslab.types import Images, Labels, Logits, Seeds


class Smoothed(nn.Module):
    """Noise on the image, from the seeds it is given; ``careless`` adds some from torch's own generator."""

    def __init__(self, careless: float = 0.0) -> None:
        super().__init__()
        self.net = trained()
        self.careless = careless
        self.met: list[tuple[Tensor | None, int]] = []

    def forward(self, images: Images, *, seeds: Seeds | None = None, counter: int = 0) -> Logits:
        self.met.append((seeds, counter))
        if seeds is None:
            return self.forward(images, seeds=torch.randint(0, 2**62, (len(images),)))
        drawn = images + 0.3 * noise(seeds, counter, tuple(images.shape[1:])).to(images)
        logits: Tensor = self.net(drawn + self.careless * torch.randn_like(images))
        return logits


class Blind(Push):
    """Moves every image, and asks the model nothing."""

    def __call__(self, model: Any, images: Images, labels: Labels, **rest: Any) -> Attacked:
        return super().__call__(lambda x: x.flatten(1), images, labels, **rest)


ATTACKS: dict[str, Attack] = {
    "push": Blind(Linf(0.1)),
    "pgd": PGD(Linf(0.1), steps=3),
    "composite": WorstCase((RandomNoise(Linf(0.05)), Restarts(PGD(Linf(0.1), steps=2), 2))),
}


def evaluated(model: nn.Module, n: int = 60, **arguments: Any) -> Any:
    x, y = digits()
    options: dict[str, Any] = {"sweep": RadiusSweep((0.05, 0.1), "linf", Blind), "findings": False, "batch_size": 30}
    return evaluate_robustness(model, x[:n], y[:n], ATTACKS, **(options | arguments))


def numbers(report: Any) -> list[Any]:
    return [value for row in report.examples().rows for value in row]


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    def blind(ball: Ball) -> dict[str, Attack]:
        return dict.fromkeys(reference_attacks(ball), Blind(ball))

    monkeypatch.setattr(evidence, "reference_attacks", blind)


def test_answers_depend_on_the_example_alone_not_on_its_batch() -> None:
    whole = evaluated(Smoothed())
    assert 0.2 < whole.clean_accuracy < 1
    assert 0 < whole.robust_accuracy["composite"] < whole.clean_accuracy
    for size, n in ((60, 60), (7, 60), (1, 8)):
        found = numbers(evaluated(Smoothed(), n, batch_size=size))
        assert found == pytest.approx(numbers(whole)[: len(found)], rel=1e-4, abs=1e-4)
    assert numbers(evaluated(Smoothed(), seed=1)) != numbers(whole)
    same, y = digits()[0][:1].repeat(8, 1, 1, 1), digits()[1][:1].repeat(8)
    report = evaluate_robustness(Smoothed(), same, y, ATTACKS, sweep=None, findings=False)
    assert len(set(report.margins.tolist())) == 8  # each example has noise of its own


def test_a_resumed_evaluation_repeats_the_noise(tmp_path: Path) -> None:
    whole = evaluated(Smoothed(), out=tmp_path)
    for file in ("clean/000000030", "attacks/pgd/000000000", "attacks/composite/000000030", "sweep/000000030"):
        (tmp_path / "results" / f"{file}.safetensors").unlink()
    torch.rand(3)
    assert numbers(evaluated(Smoothed(), out=tmp_path, resume=True)) == numbers(whole)


def test_every_question_of_the_evaluation_comes_with_seeds() -> None:
    model = Smoothed()
    evaluated(model, findings=True)
    assert model.met
    assert all(seeds is not None for seeds, _ in model.met)


def test_the_findings_ask_twice_with_the_same_seeds() -> None:
    """So that a model passes if its noise comes from them alone, and fails if some of it comes from elsewhere."""
    names = ("the model answers deterministically", "answers do not depend on batch mates")
    for careless, verdict in ((0.0, "pass"), (0.3, "fail")):
        found = {finding.name: finding for finding in evaluated(Smoothed(careless), findings=True).findings}
        assert {found[name].verdict for name in names} == {verdict}
